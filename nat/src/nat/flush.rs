//! Flush: connections removed by command.

use super::{Nat, Row};

/// Progress of a flush. A flush visits once each connection that is older than it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushing {
    next: u32,
    before: u32,
    ended: usize,
}

impl Flushing {
    /// Connections ended.
    #[must_use]
    pub const fn ended(&self) -> usize {
        self.ended
    }
}

impl Nat {
    /// Starts a flush.
    pub fn start_flush(&mut self) -> Flushing {
        Flushing { next: 0, before: self.revoked.next_epoch(), ended: 0 }
    }

    /// Continues a flush: visits this many slots at most, and ends the connections for which `is_one` holds.
    /// Returns true when done. Unlike revocation it ends them one by one, so that it can count them.
    pub fn flush_some(
        &mut self,
        flushing: &mut Flushing,
        operations_max: usize,
        is_one: impl Fn(&Row) -> bool,
    ) -> bool {
        let end = self.flows.numbers().end;
        for _ in 0..operations_max {
            if flushing.next >= end {
                return true;
            }
            let number = flushing.next;
            flushing.next += 1;
            let flow = self.flows.at(number);
            let is_meant = !self.flows.is_free(number)
                && flow.created_epoch < flushing.before
                && !self.is_over(flow);
            if is_meant && is_one(&self.row(flow)) {
                self.end(number);
                self.counters.connections_ended += 1;
                flushing.ended += 1;
            }
        }
        flushing.next >= end
    }

    /// Ends all connections for which `is_one` holds, and returns their number. Unbounded.
    pub fn flush(&mut self, is_one: impl Fn(&Row) -> bool) -> usize {
        let mut flushing = self.start_flush();
        while !self.flush_some(&mut flushing, usize::MAX, &is_one) {}
        flushing.ended()
    }
}
