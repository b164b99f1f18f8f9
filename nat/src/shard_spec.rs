//! Which worker translates what, where there are several.
//!
//! # Theory of operation
//!
//! Each worker has a table of its own, and nothing of it is shared. So every packet of a connection has to
//! come to the one worker whose table has it, whichever worker reads it, and the others hand it over. The choice
//! is made from the packet and the policy alone, since the tables of others cannot be looked into:
//!
//! - A container (an [`OwnerId`]) has one worker, its *home*: the number of its slot, modulo the number of
//!   workers. All its mappings and connections are there, so that its quota is one number, a mapping does not
//!   depend on the queue that a packet came by, and of what it sends outside nothing but the sender must be known:
//!   a fragment's tail, an echo and an ICMP error go where the rest does.
//! - The ports from which the inside appears are cut into slices, one a worker. So who is meant by a packet to
//!   such a port is known from the port; by a packet to a published port, from the policy.
//!
//! | packet | worker |
//! |---|---|
//! | a container to elsewhere | the sender's home |
//! | outside to a published port | the home of the container behind it |
//! | outside to a port of the range | the one whose slice it is |
//! | hairpin to a published port, from an endpoint that has a mapping | the home of the client, which has the mapping |
//! | hairpin to a port of the range: an answer to the above, or by a mapping | the one whose slice it is |
//! | hairpin between two published endpoints | the home with the smaller slot of the two containers', for both ways |
//! | an ICMP error | as an answer of the packet that it quotes |
//! | anything else to or from an address of ours | whoever has read it: it is the host's |
//!
//! A hairpin to a mapping is thus done by the server's side as a whole; a client of another home gets a second
//! mapping there, of that worker's slice. It is the one case in which an endpoint has two.
//!
//! Of fragments only the first has ports. Where they are needed, all fragments of a packet go to its *tracker*
//! first, which does not depend on ports: the sender's home, or for outside a hash of addresses and identification.
//! It waits for the first, chooses the worker, and hands all of them over.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::owner::OwnerId;
use crate::view::View;

/// One worker among several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSpec {
    worker: usize,
    workers: usize,
}

impl ShardSpec {
    /// The only worker.
    pub const SINGLE: Self = Self { worker: 0, workers: 1 };

    /// Worker number `worker` of `workers`.
    ///
    /// # Panics
    /// If there is no such worker.
    #[must_use]
    pub fn new(worker: usize, workers: usize) -> Self {
        assert!(worker < workers, "worker {worker} of {workers}");
        Self { worker, workers }
    }

    /// Whether there is no other worker.
    #[inline]
    #[must_use]
    pub const fn is_single(self) -> bool {
        self.workers == 1
    }

    /// Its number.
    #[must_use]
    pub const fn worker(self) -> usize {
        self.worker
    }

    /// A container's home.
    #[must_use]
    pub const fn home(self, owner: OwnerId) -> usize {
        owner.0 as usize % self.workers
    }

    /// This worker's part of a range of ports. Empty if there are fewer ports than workers, and it gets none.
    #[must_use]
    pub fn slice(self, range: &RangeInclusive<u16>) -> RangeInclusive<u16> {
        let bound = |worker: usize| worker * range.len() / self.workers;
        let (from, to) = (bound(self.worker), bound(self.worker + 1));
        if from == to {
            return RangeInclusive::new(1, 0);
        }
        // Both are offsets of ports within the range.
        range.start() + from as u16..=range.start() + (to - 1) as u16
    }

    /// Whose slice of a range a port is in.
    #[must_use]
    pub fn slice_of(self, range: &RangeInclusive<u16>, port: u16) -> Option<usize> {
        let offset = range.contains(&port).then(|| usize::from(port - range.start()))?;
        Some(((offset + 1) * self.workers - 1) / range.len())
    }

    /// Who tracks the fragments of a packet from outside. The same for all of them on every worker.
    #[must_use]
    pub fn tracker(self, view: &View) -> usize {
        let wide = |address| match address {
            IpAddr::V4(address) => u128::from(address.to_bits()),
            IpAddr::V6(address) => address.to_bits(),
        };
        let ident = u128::from(view.fragment.map_or(0, |fragment| fragment.ident));
        let mixed = wide(view.src).rotate_left(32) ^ wide(view.dst) ^ ident;
        let folded = (mixed as u64 ^ (mixed >> 64) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (folded >> 32) as usize % self.workers
    }
}

#[cfg(test)]
mod tests;
