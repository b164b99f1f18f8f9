//! Pinholes: refused hairpin attempts that open the reverse direction (RFC 4787 REQ-8, REQ-9).
//!
//! # Theory of operation
//!
//! A hairpin packet to another mapping passes only if that mapping's endpoint has contacted the sender's
//! address ([`super::filter`]). A refused packet creates no connection, so it leaves no filter entry. It
//! leaves a pinhole, through which the peer's packet passes and opens the connection. A pinhole is a
//! keyed hash in the slot of that hash, with the timeout of a UDP mapping. Hole punching retries, so a
//! pinhole that a collision overwrote comes back.

use crate::limits::{PINHOLES_MAX, UDP_IDLE};
use crate::state::{CoarseTime, units};

/// The pinhole table.
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
