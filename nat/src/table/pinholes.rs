//! Pinholes: internal endpoints that were refused a hairpin, and may be reached from there (RFC 4787 REQ-8, REQ-9).
//!
//! # Theory of operation
//!
//! A packet from inside to the external endpoint of another mapping is refused until that one's inside has spoken
//! to the sender's address ([`super::filter`]). It begins no connection, so it leaves no filter entry; it leaves a pinhole,
//! by which the other's packet gets in, which then begins the connection. A pinhole is a keyed hash in the slot that
//! the hash names, and lasts as long as a UDP mapping. One that another takes the slot of is left again by the next
//! packet: whoever punches holes repeats himself.

use crate::limits::{PINHOLES_MAX, UDP_IDLE};
use crate::state::{CoarseTime, units};

/// The pinholes of a table.
#[derive(Debug)]
pub(crate) struct Pinholes {
    slots: Box<[Option<(u64, CoarseTime)>]>,
}

impl Pinholes {
    pub(crate) fn new() -> Self {
        Self { slots: vec![None; PINHOLES_MAX].into_boxed_slice() }
    }

    pub(crate) fn has(&self, hash: u64, now: CoarseTime) -> bool {
        self.slots[slot(hash)]
            .is_some_and(|(known, since)| known == hash && now.since(since) <= units(UDP_IDLE))
    }

    pub(crate) fn insert(&mut self, hash: u64, now: CoarseTime) {
        self.slots[slot(hash)] = Some((hash, now));
    }
}

const fn slot(hash: u64) -> usize {
    hash as usize % PINHOLES_MAX
}
