//! Rows of the connection table, for display.

use std::time::Duration;

use super::Nat;
use crate::direction::Direction;
use crate::owner::OwnerId;
use crate::state::{CoarseTime, State, duration};
use crate::table::flow::{Flow, FlowFlags};
use crate::tuple::{Transport, Tuple};
use crate::zone::Zone;

/// A connection. Pairs are of the original and the reply direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The transport.
    pub transport: Transport,
    /// The original tuple.
    pub original: Tuple,
    /// The reply tuple.
    pub reply: Tuple,
    /// The zone of the owner's addresses.
    pub zone: Zone,
    /// The owner.
    pub owner: OwnerId,
    /// The server, where both peers are containers: its owner, and the zone of its addresses.
    pub server: Option<(OwnerId, Zone)>,
    /// The state.
    pub state: State,
    /// Time since the last refresh, to 0.14 s.
    pub idle: Duration,
    /// Bytes of IP packets.
    pub bytes: [u64; 2],
    /// Packets; a GSO frame counts as one.
    pub frames: [u64; 2],
}

impl Nat {
    /// All live connections, unordered.
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
            server: flow.flags.has(FlowFlags::HAIRPIN).then(|| (flow.peer_owner.id(), server)),
            state: flow.state,
            idle: duration(self.now.since(CoarseTime(flow.seen))),
            bytes: flow.bytes,
            frames: [flow.frames(Direction::Original), flow.frames(Direction::Reply)],
        }
    }
}
