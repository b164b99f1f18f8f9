//! Flush: connections removed by command.

use super::{Nat, Row};

/// How far a command has come that ends connections. It concerns those that began before it, each of which is
/// looked at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flushing {
    next: u32,
    before: u32,
    ended: usize,
}

impl Flushing {
    /// How many it has ended so far.
    #[must_use]
    pub const fn ended(&self) -> usize {
        self.ended
    }
}

impl Nat {
    /// Begins to end connections.
    pub fn start_flush(&mut self) -> Flushing {
        Flushing { next: 0, before: self.revoked.next_epoch(), ended: 0 }
    }

    /// Goes on with it: looks at this many slots of the table at most, and ends the connections for which
    /// `is_one` holds. Says whether that was all. Unlike what is revoked these go one by one, since only
    /// who has looked at all of them can say how many they are.
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

    /// Ends the connections for which `is_one` holds in one go, and says how many they were: for a table that
    /// nobody waits for.
    pub fn flush(&mut self, is_one: impl Fn(&Row) -> bool) -> usize {
        let mut flushing = self.start_flush();
        while !self.flush_some(&mut flushing, usize::MAX, &is_one) {}
        flushing.ended()
    }
}
