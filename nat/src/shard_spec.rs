//! The worker that translates a packet, where there are several.
//!
//! # Theory of operation
//!
//! Each worker has a connection table of its own and shares none of it. All packets of a connection must
//! reach the worker whose table has it. The packet and the policy alone name that worker:
//!
//! - A container (an [`OwnerId`]) has a *worker of its own*: its slot modulo the number of workers. That worker has
//!   all its mappings, and its connections but those with other containers, so that a mapping is independent of
//!   the receive queue. The quota counts at each worker for itself. The sender alone decides for outbound packets:
//!   tails, echoes and ICMP errors too.
//! - Each worker has a slice of the SNAT ports. The port names the worker of an inbound packet to such a
//!   port; the policy names that of a packet to a published port.
//!
//! | packet | worker |
//! |---|---|
//! | container to elsewhere | the sender's worker |
//! | uplink to a published port | the worker of its container |
//! | uplink to an SNAT port | the owner of the slice |
//! | hairpin to a published port, from a mapped endpoint | the client's worker, which has the mapping |
//! | hairpin to an SNAT port: a reply to the above, or by a mapping | the owner of the slice |
//! | hairpin between two published endpoints | the worker of the smaller slot, in both directions |
//! | routed to a container of another network | likewise |
//! | ICMP error | as a reply to the quoted packet |
//! | others to or from an external address | the reader: they are the host's |
//!
//! A hairpin to a mapping belongs to the server's worker. A client with another worker gets a second
//! mapping there, from that worker's slice: the only case of an endpoint with two.
//!
//! Only first fragments have ports. Where ports decide, all fragments go to the packet's *tracker*, which
//! ports do not decide: the sender's worker, or a hash of addresses and identification from the uplink.
//! The tracker waits for the first fragment, chooses the worker, and hands all of them off.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::limits::PORT_BLOCK;
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

    /// There is no other worker.
    #[inline]
    #[must_use]
    pub const fn is_single(self) -> bool {
        self.workers == 1
    }

    /// The worker's number.
    #[must_use]
    pub const fn worker(self) -> usize {
        self.worker
    }

    /// A container's worker.
    #[must_use]
    pub const fn worker_of(self, owner: OwnerId) -> usize {
        owner.0 as usize % self.workers
    }

    /// The worker of what two containers send each other.
    #[must_use]
    pub fn worker_of_pair(self, one: OwnerId, other: OwnerId) -> usize {
        self.worker_of(one.min(other))
    }

    /// This worker's slice of a port range; empty if there are fewer ports than workers.
    #[must_use]
    pub fn slice(self, range: &RangeInclusive<u16>) -> RangeInclusive<u16> {
        let bound = |worker: usize| worker * range.len() / self.workers;
        let (from, to) = (bound(self.worker), bound(self.worker + 1));
        if from == to {
            return RangeInclusive::new(1, 0);
        }
        // Offsets within the range.
        range.start() + from as u16..=range.start() + (to - 1) as u16
    }

    /// The blocks of this worker's slice; the last one may be shorter.
    pub fn blocks(self, range: &RangeInclusive<u16>) -> impl Iterator<Item = RangeInclusive<u16>> {
        let (first, last) = self.slice(range).into_inner();
        (first..=last).step_by(PORT_BLOCK).map(move |start| {
            let end = u32::from(start) + PORT_BLOCK as u32 - 1;
            start..=end.min(last.into()) as u16
        })
    }

    /// The worker whose slice has a port.
    #[must_use]
    pub fn slice_of(self, range: &RangeInclusive<u16>, port: u16) -> Option<usize> {
        let offset = range.contains(&port).then(|| usize::from(port - range.start()))?;
        Some(((offset + 1) * self.workers - 1) / range.len())
    }

    /// The tracker of a packet from the uplink; equal for all fragments on all workers.
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
