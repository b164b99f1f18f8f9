//! Connections whose ports are used again, after both peers lost them unseen: see [`crate::tcp`].

use super::{Nat, Packet};
use crate::direction::Direction;
use crate::drop_reason::NatDrop;
use crate::state::State;
use crate::tcp::{self, Effect};

impl Nat {
    /// Handles a segment that does not match its connection; returns the connection's state if the segment passes.
    #[cold]
    pub(super) fn reopen(
        &mut self,
        number: u32,
        dir: Direction,
        packet: &Packet<'_>,
        effect: Effect,
    ) -> Result<State, NatDrop> {
        let flow = self.flows.at_mut(number);
        let before = flow.state;
        let refusal = match effect {
            Effect::Drop(reason) => Err(reason),
            _ => Ok(before),
        };
        let Some(segment) = packet.segment else { return refusal };
        if effect == Effect::Unmatched && tcp::is_another(&flow.tcp_peers, before, dir, segment) {
            self.other_syns.insert(number, dir, *segment, self.now);
            return refusal;
        }
        let syn = self.other_syns.find(number, dir.other(), self.now);
        let answered = syn.and_then(|syn| tcp::answered(&syn, dir.other(), segment));
        let Some((peers, state)) = answered else { return refusal };
        (flow.tcp_peers, flow.seen) = (peers, self.now.0);
        Ok(state)
    }
}
