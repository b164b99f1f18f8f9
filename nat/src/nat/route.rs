//! Connections between containers of two networks: tracked, not translated.
//!
//! # Theory of operation
//!
//! Both peers keep their addresses and ports, so the two tuples of the connection are each other's reverse; the
//! zones of their senders tell them apart. The caller looks up the destination and says whether the sender may
//! open connections to it; what it may not open it may still answer. Answers do not keep a connection of datagrams
//! alive, so that a server keeps no way back to its clients.

use super::create::{check_addresses, check_opening};
use super::{Nat, Packet};
use crate::direction::Direction;
use crate::drop_reason::NatDrop;
use crate::edit::{Realm, Translation};
use crate::owner::{OwnerId, OwnerIdx};
use crate::state::State;
use crate::table::flow::FlowFlags;
use crate::table::hash::{Key, PortPair};
use crate::tcp;
use crate::time::Time;
use crate::view::{Kind, View};
use crate::zone::Zone;

/// A container of another network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutedTarget {
    /// The container.
    pub owner: OwnerId,
    /// The zone of its addresses.
    pub zone: Zone,
    /// The sender may open connections to it.
    pub may_open: bool,
}

impl RoutedTarget {
    const fn realm(self) -> Realm {
        Realm::Internal(self.owner, self.zone)
    }
}

impl Nat {
    /// Tracks a packet to a container of another network; the rewrite leaves its addresses as they are.
    ///
    /// # Errors
    /// A [`NatDrop`] if it must not pass: [`NatDrop::NotAllowed`] if it belongs to no connection and may not open one.
    pub fn track_routed(
        &mut self,
        now: Time,
        from: Realm,
        to: RoutedTarget,
        view: &View,
    ) -> Result<Translation, NatDrop> {
        let Realm::Internal(owner, zone) = from else { return Err(NatDrop::Address) };
        self.advance(now);
        match &view.kind {
            Kind::Flow { tuple, segment, is_request } => {
                let (key, segment) = (Key::new(tuple, zone), segment.as_ref());
                let packet = Packet { key, segment, is_request: *is_request, from, len: view.len };
                self.route_packet(&packet, owner, to)
            }
            Kind::Error(quoted) => match self.error(from, view, quoted)? {
                translation @ Translation::Edit { to: realm, .. } if realm == to.realm() => {
                    self.counters.icmp_errors_translated += 1;
                    Ok(translation)
                }
                _ => Err(NatDrop::ForgedError),
            },
            Kind::Tail(_) | Kind::Other => Err(NatDrop::Protocol),
        }
    }

    fn route_packet(
        &mut self,
        packet: &Packet<'_>,
        owner: OwnerId,
        to: RoutedTarget,
    ) -> Result<Translation, NatDrop> {
        let Some((number, dir)) = self.find(&packet.key) else {
            return self.create_routed(packet, owner, to);
        };
        let flow = self.flows.at(number);
        let is_over = self.is_over(flow);
        if !is_over && !flow.is_from(dir, packet.from) {
            return Err(NatDrop::Address);
        }
        // Before the other network came, the address may have been one beyond the uplink.
        if is_over || flow.to(dir) != to.realm() {
            self.end_over(number);
            return self.create_routed(packet, owner, to);
        }
        // It may answer, not open another connection by the addresses and ports of one that ended.
        let is_opening = packet.segment.is_some_and(tcp::is_opening);
        let state = flow.state;
        if is_opening && dir == Direction::Reply && !to.may_open && state != State::SynSent {
            return Err(NatDrop::NotAllowed);
        }
        self.pass(number, dir, packet)
    }

    #[inline(never)]
    fn create_routed(
        &mut self,
        packet: &Packet<'_>,
        owner: OwnerId,
        to: RoutedTarget,
    ) -> Result<Translation, NatDrop> {
        let key = &packet.key;
        if !to.may_open {
            return Err(NatDrop::NotAllowed);
        }
        check_opening(packet)?;
        check_addresses(key)?;
        // One of the server's that went beyond the uplink before this network came: its answers come no more.
        if let Some((number, dir)) = self.find(&reply_key(key, to.zone))
            && self.flows.at(number).to(dir) != packet.from
        {
            self.end_over(number);
        }
        self.evict_for(owner)?;
        self.owners.get_or_add(to.owner).ok_or(NatDrop::TableFull)?;
        let mut flow = self.flow(packet, owner);
        (flow.peer_owner, flow.zones[1]) = (OwnerIdx::of(to.owner), to.zone);
        flow.flags.set(FlowFlags::HAIRPIN);
        flow.ports[1] = reply_key(key, to.zone).ports;
        self.insert(flow, [None, None])
    }
}

/// The key of a reply from a zone.
fn reply_key(key: &Key, zone: Zone) -> Key {
    let ports = PortPair::new(key.ports.dst(), key.ports.src());
    Key { zone, src: key.dst, dst: key.src, ports, ..*key }
}
