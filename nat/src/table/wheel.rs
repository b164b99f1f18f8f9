//! Expiry by a timing wheel.
//!
//! # Theory of operation
//!
//! Time is counted in slots of 2^30 ns, about a second. The wheel has [`SLOTS`] of them, more than the
//! longest timeout, so there is one level. A slot is a list of connections that may have expired when
//! it comes. A packet does not move its connection: it writes the time, and when the slot comes the
//! connection goes to the slot of its new deadline. So an active connection costs one move a timeout, and
//! expiry costs work for what is due only. Only a timeout that became shorter moves it at once.
//!
//! A call does no more operations than it is allowed; what it leaves is first the next time. Whoever
//! looks a connection up asks whether it has expired, so one that the wheel did not get to yet is
//! as good as gone.

use super::link::{HEAD, Link, NIL};
use super::slab::Slab;
use crate::state::CoarseTime;

/// Slots: 2 hours and 26 minutes.
pub(crate) const SLOTS: usize = 8192;

/// The wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<u32>,
    /// The slot that comes next, counted from the beginning of time.
    at: u32,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self { slots: vec![NIL; SLOTS], at: 0 }
    }

    /// Its own memory in bytes.
    pub(crate) const fn bytes() -> usize {
        SLOTS * size_of::<u32>()
    }

    /// Nothing is on it: it goes to the present at once.
    pub(crate) fn reset(&mut self, now: CoarseTime) {
        self.at = now.slot();
    }

    /// Puts a connection, which is not on the wheel, where it may have expired.
    pub(crate) fn insert(&mut self, flows: &mut Slab, number: u32) {
        let flow = flows.at(number);
        // The slot after the one in which it expires, so that it has when the slot comes.
        let slot = CoarseTime(flow.seen).later(flow.state.timeout(flow.transport())).slot() + 1;
        let idx = slot.max(self.at) as usize % SLOTS;
        let first = std::mem::replace(&mut self.slots[idx], number);
        flows.at_mut(number).wheel_link = Link { next: first, prev: HEAD | idx as u32 };
        if first != NIL {
            flows.at_mut(first).wheel_link.prev = number;
        }
    }

    /// Takes a connection off the wheel.
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

    /// A connection whose slot has come, and which has expired; `operations` are used up. None if there is
    /// none yet.
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
