//! Rows of the connection table, for display.

use std::time::Duration;

use super::Nat;
use crate::direction::Direction;
use crate::owner::OwnerId;
use crate::state::{CoarseTime, State, duration};
use crate::table::flow::{Flow, FlowFlags};
use crate::tuple::{Transport, Tuple};
use crate::zone::Zone;

/// A connection. Of two values the first is of the client's packets, the second of the answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The transport.
    pub transport: Transport,
    /// Addresses and ports of the client's packets, as they come.
    pub original: Tuple,
    /// Addresses and ports of the answers, as they come.
    pub reply: Tuple,
    /// The zone of the owner's addresses.
    pub zone: Zone,
    /// Who it counts for.
    pub owner: OwnerId,
    /// Its stage.
    pub state: State,
    /// Time since it was refreshed, to 0.14 s.
    pub idle: Duration,
    /// Bytes of IP packets.
    pub bytes: [u64; 2],
    /// Packets; a GSO frame counts as one.
    pub frames: [u64; 2],
}

impl Nat {
    /// All connections that are not over, in no order.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.flows.iter().filter(|flow| !self.is_over(flow)).map(|flow| self.row(flow))
    }

    pub(super) fn row(&self, flow: &Flow) -> Row {
        let [client, server] = flow.zones;
        let is_inbound = flow.flags.has(FlowFlags::FROM_EXTERNAL);
        Row {
            transport: flow.transport(),
            original: flow.key(Direction::Original, &self.externals).tuple(),
            reply: flow.key(Direction::Reply, &self.externals).tuple(),
            zone: if is_inbound { server } else { client },
            owner: flow.owner.id(),
            state: flow.state,
            idle: duration(self.now.since(CoarseTime(flow.seen))),
            bytes: flow.bytes,
            frames: [flow.frames(Direction::Original), flow.frames(Direction::Reply)],
        }
    }
}
