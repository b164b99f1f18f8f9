//! Requests to control for the MAC address of a next hop.
//!
//! Control gets an address once in [`RESOLVE_EVERY`]. At most [`RESOLVES_MAX`] requests are open,
//! [`RESOLVES_PER_PORT_MAX`] of one port, so that a subnet scan cannot load control. When full, a request of a
//! light port evicts one of the fullest port. A dropped request repeats with the next frame.

use std::net::IpAddr;

use fastpath::{Nanos, PortIndex};

use super::occupancy::PortOccupancy;
use crate::datapath::limits::{RESOLVE_EVERY, RESOLVES_MAX, RESOLVES_PER_PORT_MAX};

/// A next hop: its address, and the port of the uplink on whose link it is.
pub(super) type Hop = (IpAddr, PortIndex);

/// A requested address.
#[derive(Debug)]
struct Request {
    address: Hop,
    since: Nanos,
    /// The requesting port.
    port: PortIndex,
}

/// Recent and pending requests.
#[derive(Debug)]
pub(super) struct NeighbourResolver {
    requests: Vec<Request>,
    occupancy: PortOccupancy,
    pending: Vec<(Hop, PortIndex)>,
}

impl NeighbourResolver {
    pub(super) fn new() -> Self {
        Self {
            requests: Vec::with_capacity(RESOLVES_MAX),
            occupancy: PortOccupancy::new(RESOLVES_MAX),
            pending: Vec::with_capacity(RESOLVES_MAX),
        }
    }

    /// Requests an address for a port, unless a recent request exists; false if dropped.
    pub(super) fn request(&mut self, now: Nanos, address: Hop, port: PortIndex) -> bool {
        let is_over = |since: Nanos| now - since >= RESOLVE_EVERY;
        // Pending requests are at the limit.
        let has_capacity = self.pending.len() < RESOLVES_MAX;
        if let Some(request) = self.requests.iter_mut().find(|request| request.address == address) {
            if is_over(request.since) && has_capacity {
                request.since = now;
                self.pending.push((address, port));
            }
            return true;
        }
        if self.requests.len() == RESOLVES_MAX
            || self.occupancy.count(port) >= RESOLVES_PER_PORT_MAX
        {
            let occupancy = &mut self.occupancy;
            self.requests.retain(|request| {
                let stays = !is_over(request.since);
                if !stays {
                    occupancy.remove(request.port);
                }
                stays
            });
        }
        if !has_capacity
            || self.occupancy.count(port) >= RESOLVES_PER_PORT_MAX
            || !self.evict_for(port)
        {
            return false;
        }
        self.occupancy.add(port);
        self.requests.push(Request { address, since: now, port });
        self.pending.push((address, port));
        true
    }

    /// Evicts for a port.
    fn evict_for(&mut self, port: PortIndex) -> bool {
        if self.requests.len() < RESOLVES_MAX {
            return true;
        }
        let Some(fullest) = self.occupancy.fullest_above(port) else { return false };
        let Some(at) = self.requests.iter().position(|request| request.port == fullest) else {
            return false;
        };
        self.requests.swap_remove(at);
        self.occupancy.remove(fullest);
        true
    }

    /// Removes the pending requests, with their ports.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (Hop, PortIndex)> {
        self.pending.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_port_has_its_share_of_the_questions() {
        let (now, mut resolver) = (Nanos(1_000_000_000_000), NeighbourResolver::new());
        let scanners = (RESOLVES_MAX / RESOLVES_PER_PORT_MAX) as u16;
        let address = |port: u16, n: usize| -> Hop {
            (Ipv4Addr::new(10, port as u8, 0, n as u8).into(), PortIndex(900))
        };
        for port in 0..scanners {
            for n in 0..RESOLVES_PER_PORT_MAX {
                assert!(resolver.request(now, address(port, n), PortIndex(port)), "{port} {n}");
            }
            assert!(!resolver.request(now, address(port, 255), PortIndex(port)), "{port}");
        }
        // A worker does the same after each round.
        assert_eq!(resolver.drain().count(), RESOLVES_MAX);
        for n in 0..10 {
            assert!(resolver.request(now, address(200, n), PortIndex(200)), "{n}");
        }
        assert_eq!((resolver.drain().count(), resolver.requests.len()), (10, RESOLVES_MAX));
        // A recent request is not repeated.
        assert!(resolver.request(now, address(200, 0), PortIndex(0)));
        assert_eq!(resolver.drain().count(), 0);
        let later = now.after(RESOLVE_EVERY);
        assert!(resolver.request(later, address(0, 255), PortIndex(0)));
        assert_eq!(resolver.drain().collect::<Vec<_>>(), [(address(0, 255), PortIndex(0))]);
    }
}
