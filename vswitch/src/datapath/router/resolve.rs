//! Asking control for the MAC address of a next hop.
//!
//! The same address is asked for once in [`RESOLVE_EVERY`]; of [`RESOLVES_MAX`] at a time, [`RESOLVES_PER_PORT_MAX`] on behalf
//! of one port, so that who scans a subnet does not keep control busy. Where as many as may be were asked for, one on
//! behalf of a port that asked for few displaces one of the port that asked for most, which may then be asked for
//! again sooner. What is not asked for now is asked for when the next frame comes.

use std::net::IpAddr;

use fastpath::{Nanos, PortIndex};

use super::occupancy::Shares;
use crate::datapath::limits::{RESOLVE_EVERY, RESOLVES_MAX, RESOLVES_PER_PORT_MAX};

/// An address that was asked for.
#[derive(Debug)]
struct Asked {
    address: IpAddr,
    since: Nanos,
    /// On whose behalf.
    port: PortIndex,
}

/// Questions that were asked lately, and those that are to be.
#[derive(Debug)]
pub(super) struct Resolve {
    asked: Vec<Asked>,
    shares: Shares,
    wanted: Vec<(IpAddr, PortIndex)>,
}

impl Resolve {
    pub(super) fn new() -> Self {
        Self {
            asked: Vec::with_capacity(RESOLVES_MAX),
            shares: Shares::new(RESOLVES_MAX),
            wanted: Vec::with_capacity(RESOLVES_MAX),
        }
    }

    /// Wants an address on behalf of a port, unless it was asked for lately; false where too many were.
    pub(super) fn ask(&mut self, now: Nanos, address: IpAddr, port: PortIndex) -> bool {
        let is_over = |since: Nanos| now - since >= RESOLVE_EVERY;
        // What control has not taken yet is as much as it may be.
        let is_room = self.wanted.len() < RESOLVES_MAX;
        if let Some(asked) = self.asked.iter_mut().find(|asked| asked.address == address) {
            if is_over(asked.since) && is_room {
                asked.since = now;
                self.wanted.push((address, port));
            }
            return true;
        }
        if self.asked.len() == RESOLVES_MAX || self.shares.of(port) >= RESOLVES_PER_PORT_MAX {
            let shares = &mut self.shares;
            self.asked.retain(|asked| {
                let stays = !is_over(asked.since);
                if !stays {
                    shares.take(asked.port);
                }
                stays
            });
        }
        if !is_room || self.shares.of(port) >= RESOLVES_PER_PORT_MAX || !self.make_room(port) {
            return false;
        }
        self.shares.add(port);
        self.asked.push(Asked { address, since: now, port });
        self.wanted.push((address, port));
        true
    }

    /// Sees to a place for a port.
    fn make_room(&mut self, port: PortIndex) -> bool {
        if self.asked.len() < RESOLVES_MAX {
            return true;
        }
        let Some(richest) = self.shares.richer_than(port) else { return false };
        let Some(at) = self.asked.iter().position(|asked| asked.port == richest) else {
            return false;
        };
        self.asked.swap_remove(at);
        self.shares.take(richest);
        true
    }

    /// What is to be asked, and on whose behalf.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (IpAddr, PortIndex)> {
        self.wanted.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_port_has_its_share_of_the_questions() {
        let (now, mut resolve) = (Nanos(1_000_000_000_000), Resolve::new());
        let scanners = (RESOLVES_MAX / RESOLVES_PER_PORT_MAX) as u16;
        let address = |port: u16, n: usize| Ipv4Addr::new(10, port as u8, 0, n as u8).into();
        for port in 0..scanners {
            for n in 0..RESOLVES_PER_PORT_MAX {
                assert!(resolve.ask(now, address(port, n), PortIndex(port)), "{port} {n}");
            }
            assert!(!resolve.ask(now, address(port, 255), PortIndex(port)), "{port}");
        }
        // As a worker does after each round.
        assert_eq!(resolve.take().count(), RESOLVES_MAX);
        for n in 0..10 {
            assert!(resolve.ask(now, address(200, n), PortIndex(200)), "{n}");
        }
        assert_eq!((resolve.take().count(), resolve.asked.len()), (10, RESOLVES_MAX));
        // What somebody asked for lately is not asked for again.
        assert!(resolve.ask(now, address(200, 0), PortIndex(0)));
        assert_eq!(resolve.take().count(), 0);
        let later = now.after(RESOLVE_EVERY);
        assert!(resolve.ask(later, address(0, 255), PortIndex(0)));
        assert_eq!(resolve.take().collect::<Vec<_>>(), [(address(0, 255), PortIndex(0))]);
    }
}
