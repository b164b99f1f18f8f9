//! Which inner endpoints have spoken, in vain, to an address of ours: from there they may be reached.
//!
//! # Theory of operation
//!
//! A packet from inside to the outer endpoint of another mapping is refused until that one's inside has spoken
//! to the sender's address ([`super::contacts`]). It begins no connection, so it leaves no contact; it leaves a knock,
//! by which the other's packet gets in, which then begins the connection. A knock is a keyed hash in the place that
//! the hash names, and lasts as long as a UDP mapping. One that another takes the place of is left again by the next
//! packet: whoever punches holes repeats himself.

use crate::limits::{KNOCKS_MAX, UDP_IDLE};
use crate::state::{Moment, units};

/// The knocks of a table.
#[derive(Debug)]
pub(crate) struct Knocks {
    places: Box<[Option<(u64, Moment)>]>,
}

impl Knocks {
    pub(crate) fn new() -> Self {
        Self { places: vec![None; KNOCKS_MAX].into_boxed_slice() }
    }

    pub(crate) fn has(&self, hash: u64, now: Moment) -> bool {
        self.places[place(hash)]
            .is_some_and(|(known, since)| known == hash && now.since(since) <= units(UDP_IDLE))
    }

    pub(crate) fn note(&mut self, hash: u64, now: Moment) {
        self.places[place(hash)] = Some((hash, now));
    }
}

const fn place(hash: u64) -> usize {
    hash as usize % KNOCKS_MAX
}
