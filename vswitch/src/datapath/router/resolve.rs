//! Asking control for the MAC address of a next hop.
//!
//! The same address is asked for once in [`RESOLVE_EVERY`]; of [`RESOLVES_MAX`] at a time, so that who scans a
//! subnet does not keep control busy. What is not asked for now is asked for when the next frame comes.

use std::net::IpAddr;

use fastpath::Nanos;

use crate::datapath::limits::{RESOLVE_EVERY, RESOLVES_MAX};

/// Questions that were asked lately, and those that are to be.
#[derive(Debug)]
pub(super) struct Resolve {
    asked: Vec<(IpAddr, Nanos)>,
    wanted: Vec<IpAddr>,
}

impl Resolve {
    pub(super) fn new() -> Self {
        Self { asked: Vec::with_capacity(RESOLVES_MAX), wanted: Vec::with_capacity(RESOLVES_MAX) }
    }

    /// Wants an address, unless it was asked for lately; false where too many were.
    pub(super) fn ask(&mut self, now: Nanos, address: IpAddr) -> bool {
        let is_over = |since: Nanos| now - since >= RESOLVE_EVERY;
        if let Some((_, since)) = self.asked.iter_mut().find(|(asked, _)| *asked == address) {
            if is_over(*since) {
                *since = now;
                self.wanted.push(address);
            }
            return true;
        }
        if self.asked.len() == RESOLVES_MAX {
            self.asked.retain(|&(_, since)| !is_over(since));
        }
        let is_room = self.asked.len() < RESOLVES_MAX;
        if is_room {
            self.asked.push((address, now));
            self.wanted.push(address);
        }
        is_room
    }

    /// What is to be asked.
    pub(super) fn take(&mut self) -> impl Iterator<Item = IpAddr> {
        self.wanted.drain(..)
    }
}
