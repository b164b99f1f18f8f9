//! SYNs of other connections than the tracked ones with their ports ([`crate::tcp`]).
//!
//! # Theory of operation
//!
//! Such a SYN waits for its answer in the slot of its connection's number. A SYN that another one overwrote comes again,
//! since its sender retries. An entry of a connection that has ended meanwhile does no harm: only the answer that
//! acknowledges exactly its sequence number finds it.

use crate::direction::Direction;
use crate::limits::{OTHER_SYNS_MAX, TCP_TRANSITORY_IDLE};
use crate::state::{CoarseTime, units};
use crate::view::Segment;

#[derive(Clone, Copy, Debug)]
struct OtherSyn {
    connection: u32,
    dir: Direction,
    syn: Segment,
    since: CoarseTime,
}

/// The last such SYN of each slot.
#[derive(Debug)]
pub(crate) struct OtherSyns {
    slots: Box<[Option<OtherSyn>]>,
}

impl OtherSyns {
    pub(crate) fn new() -> Self {
        Self { slots: vec![None; OTHER_SYNS_MAX].into_boxed_slice() }
    }

    /// The SYN in this direction of a connection.
    pub(crate) fn find(&self, connection: u32, dir: Direction, now: CoarseTime) -> Option<Segment> {
        let known = self.slots[slot(connection)]?;
        let is_it = known.connection == connection && known.dir == dir;
        let is_live = now.since(known.since) <= units(TCP_TRANSITORY_IDLE);
        (is_it && is_live).then_some(known.syn)
    }

    pub(crate) fn insert(
        &mut self,
        connection: u32,
        dir: Direction,
        syn: Segment,
        now: CoarseTime,
    ) {
        self.slots[slot(connection)] = Some(OtherSyn { connection, dir, syn, since: now });
    }
}

const fn slot(connection: u32) -> usize {
    connection as usize % OTHER_SYNS_MAX
}
