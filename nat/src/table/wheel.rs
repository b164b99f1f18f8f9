//! Expiry by a timing wheel.
//!
//! # Theory of operation
//!
//! A slot covers 2^30 ns, about a second. [`SLOTS`] of them exceed the longest timeout, so one level is
//! enough. A slot lists connections that may expire in it. A packet only writes the time; when the slot
//! comes, an active connection moves to the slot of its new deadline. So it costs one move a timeout. A
//! shorter timeout moves it at once.
//!
//! A call is bounded in operations; the next one continues. Lookups check the expiry themselves, so a
//! late sweep lets no expired connection pass.

use super::link::{HEAD, Link, NIL};
use super::slab::Slab;
use crate::state::CoarseTime;

/// Slots: 2 hours and 26 minutes.
pub(crate) const SLOTS: usize = 8192;

/// The wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<u32>,
    /// The next slot, counted from time zero.
    at: u32,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { slots: vec![NIL; SLOTS], at: 0 }
    }

    /// Memory in bytes.
    pub(crate) const fn bytes() -> usize {
        SLOTS * size_of::<u32>()
    }

    /// An empty wheel skips to the present.
    pub(crate) fn reset(&mut self, now: CoarseTime) {
        self.at = now.slot();
    }

    /// Inserts a connection, which must not be on the wheel.
    pub(crate) fn insert(&mut self, flows: &mut Slab, number: u32) {
        let flow = flows.at(number);
        // The slot after its deadline, so that it has expired when the slot comes.
        let slot = CoarseTime(flow.seen).later(flow.state.timeout(flow.transport())).slot() + 1;
        let idx = slot.max(self.at) as usize % SLOTS;
        let first = std::mem::replace(&mut self.slots[idx], number);
        flows.at_mut(number).wheel_link = Link { next: first, prev: HEAD | idx as u32 };
        if first != NIL {
            flows.at_mut(first).wheel_link.prev = number;
        }
    }

    /// Removes a connection.
    pub(crate) fn remove(&mut self, flows: &mut Slab, number: u32) {
        let Link { next, prev } =
            std::mem::replace(&mut flows.at_mut(number).wheel_link, Link::NONE);
        if prev & HEAD != 0 {
            self.slots[(prev & !HEAD) as usize] = next;
        } else {
            flows.at_mut(prev).wheel_link.next = next;
        }
        if next != NIL {
            flows.at_mut(next).wheel_link.prev = prev;
        }
    }

    /// The next expired connection, for at most `operations`; none if no further slot is due.
    pub(crate) fn expired(
        &mut self,
        flows: &mut Slab,
        now: CoarseTime,
        operations: &mut usize,
    ) -> Option<u32> {
        while *operations > 0 && self.at <= now.slot() {
            *operations -= 1;
            let number = self.slots[self.at as usize % SLOTS];
            if number == NIL {
                self.at += 1;
                continue;
            }
            let flow = flows.at(number);
            if flow.state.has_expired(flow.transport(), CoarseTime(flow.seen), now) {
                return Some(number);
            }
            self.remove(flows, number);
            self.insert(flows, number);
        }
        None
    }
}
