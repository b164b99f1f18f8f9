//! What containers send to the gateway's MAC address.

use std::net::IpAddr;

use fastpath::PortIndex;
use nat::{NatDrop, OwnerId, Realm, Translation, View};
use wire::icmp_error::{IcmpError, IcmpSource};
use wire::meta::L3;

use super::held::Place;
use super::room::{Exit, Room};
use super::table::Way;
use super::{Router, UplinkConf};
use crate::datapath::batch::Slot;
use crate::datapath::snapshot::Network;
use crate::datapath::{DropReason, Key, Verdict};

impl<'a> Room<'a> {
    /// Gives a frame its verdict. What stays pending is for the host's port.
    pub(super) fn inside(&mut self, slot: &mut Slot, network: &'a Network, router: &'a Router) {
        match slot.meta.l3 {
            L3::Ipv4 | L3::Ipv6 => {}
            // Whatever the kernel would make of it, it is not sure to be for the host.
            L3::Malformed => {
                slot.verdict = Verdict::Drop(DropReason::Malformed);
                return;
            }
            L3::Arp | L3::Other => return,
        }
        let view = nat::parse::view(&slot.meta, self.ethernet(slot));
        match router.table.way(view.dst) {
            Way::Hop(hop) => {
                let hop = router.table.hop(hop);
                self.out(slot, &view, router, (hop.address, hop.mac));
            }
            Way::OnLink => {
                let mac = router.uplink.as_ref().and_then(|way| way.neighbours.get(view.dst));
                self.out(slot, &view, router, (view.dst, mac));
            }
            Way::Host => self.host(slot, &view, router),
            Way::Subnet => self.neighbour(slot, &view, (network, router)),
            Way::Martian => slot.verdict = Verdict::Drop(DropReason::Martian),
            Way::Nowhere => {
                self.reject(slot, router.face(), (DropReason::NoRoute, IcmpError::NoRoute));
            }
        }
    }

    /// By the uplink.
    fn out(
        &mut self,
        slot: &mut Slot,
        view: &View,
        router: &'a Router,
        (hop, mac): (IpAddr, Option<wire::MacAddr>),
    ) {
        let Some(uplink) = router.uplink.as_deref().filter(|uplink| uplink.up) else {
            let why = (DropReason::UplinkDown, IcmpError::NoRoute);
            return self.reject(slot, router.face(), why);
        };
        let from = Realm::Internal(owner(slot.port));
        if !self.is_here(slot, from, view, &uplink.policy) {
            return;
        }
        let Some(mac) = mac else { return self.wait_for(slot, hop) };
        let exit = uplink.exit(mac, router.mtu);
        let fit = match self.may_go(slot, &exit) {
            Ok(fit) => fit,
            Err(why) => return self.reject(slot, router.face(), why),
        };
        let Some(translated) = self.translate(slot, from, view, &uplink.policy) else { return };
        match &translated {
            Ok(Translation::Edit { edit, to: Realm::External }) => {
                self.memory.counters.translated += 1;
                self.send(slot, &exit, Some(edit), fit);
            }
            Ok(Translation::Edit { edit, to: Realm::Internal(owner) }) => {
                self.deliver(slot, router.face(), (edit, *owner));
            }
            // No rule gives it an address that is known outside.
            Ok(Translation::NotOurs) => {
                let why = (DropReason::NatUnsupportedProtocol, IcmpError::Prohibited);
                self.reject(slot, router.face(), why);
            }
            Err(refusal) => self.refused(slot, router.face(), *refusal),
        }
    }

    /// To the host: to its port, but for what belongs to a published port.
    fn host(&mut self, slot: &mut Slot, view: &View, router: &'a Router) {
        let Some(uplink) = &router.uplink else { return };
        let from = Realm::Internal(owner(slot.port));
        if !self.is_here(slot, from, view, &uplink.policy) {
            return;
        }
        let Some(translated) = self.translate(slot, from, view, &uplink.policy) else { return };
        match &translated {
            Ok(Translation::Edit { edit, to: Realm::Internal(owner) }) => {
                self.deliver(slot, router.face(), (edit, *owner));
            }
            // Nor is it translation's business what else the host and its containers have to say.
            Ok(_) | Err(NatDrop::Protocol | NatDrop::Address) => {}
            Err(refusal) => self.refused(slot, router.face(), *refusal),
        }
    }

    /// To another container, by way of the gateway.
    fn neighbour(
        &mut self,
        slot: &mut Slot,
        view: &View,
        (network, router): (&'a Network, &'a Router),
    ) {
        let face = router.face();
        if router.table.way(view.src) == Way::Martian {
            slot.verdict = Verdict::Drop(DropReason::Martian);
            return;
        }
        let known = network.neighbours.find(view.dst);
        let known = known.map(|(mac, port)| (port, Key::new(router.key.network(), 0, mac)));
        match known.filter(|&(port, key)| self.snapshot.reaches(port, key)) {
            None => self.reject(slot, face, (DropReason::NoNeighbour, IcmpError::HostUnreachable)),
            Some((port, _)) if port == slot.port => {
                slot.verdict = Verdict::Drop(DropReason::SamePort);
            }
            Some((port, _)) if !self.snapshot.may_talk(slot.port, port) => {
                slot.verdict = Verdict::Drop(DropReason::Isolated);
            }
            Some((port, key)) => {
                let exit = router.exit(port, key.mac());
                match self.may_go(slot, &exit) {
                    Ok(fit) => self.send(slot, &exit, None, fit),
                    Err(why) => self.reject(slot, face, why),
                }
            }
        }
    }

    /// Until the MAC address of the next hop is known.
    #[cold]
    fn wait_for(&mut self, slot: &mut Slot, hop: IpAddr) {
        // First of all: who may keep no further frame may ask for no further address either.
        let full = Verdict::Drop(DropReason::NeighbourQueueFull);
        match self.memory.held.announce(slot.port) {
            Place::Free => {}
            Place::Instead(ousted) => self.leave(ousted, full),
            Place::None => {
                slot.verdict = full;
                return;
            }
        }
        if !self.memory.resolve.ask(self.now, hop, slot.port) {
            self.memory.counters.unasked += 1;
        }
        slot.verdict = Verdict::AwaitsHop;
    }
}

/// The connections of a port are its own.
fn owner(port: PortIndex) -> OwnerId {
    OwnerId(port.get() as u32)
}

impl Router {
    /// What containers see of the router.
    pub(super) fn face(&self) -> IcmpSource<'_> {
        IcmpSource {
            mac: self.key.mac(),
            ipv4: self.gateway4,
            ipv6: self.gateway6,
            broadcasts: &self.broadcasts,
        }
    }

    /// The way to a container.
    #[inline]
    pub(super) fn exit(&self, port: PortIndex, mac: wire::MacAddr) -> Exit {
        let clamp = self.uplink.as_ref().map(|uplink| uplink.mtu);
        let key = Key::new(self.key.network(), 0, mac);
        Exit {
            port,
            src: self.key.mac(),
            dst: mac,
            mtu: self.mtu,
            clamp: clamp.filter(|&mtu| mtu < self.mtu),
            key,
        }
    }
}

impl UplinkConf {
    /// The way to a next hop, for what comes from a network of this MTU.
    #[inline]
    fn exit(&self, mac: wire::MacAddr, network_mtu: u32) -> Exit {
        Exit {
            port: self.port,
            src: self.device_mac,
            dst: mac,
            mtu: self.mtu,
            clamp: Some(self.mtu).filter(|&mtu| mtu < network_mtu),
            key: Key::NONE,
        }
    }
}
