//! Frames from containers to the gateway's MAC address.

use std::net::IpAddr;

use fastpath::PortIndex;
use nat::{Kind, NatDrop, OwnerId, Realm, Translation, View, Zone};
use wire::icmp_error::{IcmpError, IcmpSource};
use wire::meta::{L3, L4};

use super::fib::{NextHop, RouteTarget};
use super::forward::{Adjacency, Delivery, ForwardCtx, Rejection};
use super::neighbour_queue::QueueDecision;
use super::{Router, UplinkLink};
use crate::datapath::batch::FrameCtx;
use crate::datapath::snapshot::Network;
use crate::datapath::{DropReason, Key, Verdict};

impl<'a> ForwardCtx<'a> {
    /// Sets a frame's verdict; pending frames go to the host's port.
    pub(super) fn route_container(
        &mut self,
        ctx: &mut FrameCtx,
        network: &'a Network,
        router: &'a Router,
    ) {
        match ctx.meta.l3 {
            L3::Ipv4 | L3::Ipv6 => {}
            // The destination of a malformed packet is unknown: keep it from the host.
            L3::Malformed => {
                ctx.verdict = Verdict::Drop(DropReason::Malformed);
                return;
            }
            L3::Arp => {
                if self.is_shared(ctx) {
                    self.hear_neighbour(ctx);
                }
                return;
            }
            L3::Other => return,
        }
        let view = nat::parse::view(&ctx.meta, self.ethernet(ctx));
        match router.fib.lookup_for(view.src, view.dst) {
            RouteTarget::NextHop(hop) => {
                let hop = router.fib.next_hop(hop);
                self.forward_to_uplink(ctx, &view, router, hop);
            }
            RouteTarget::OnLink(link) => {
                let hop = router.on_link(link, view.dst);
                if hop.mac.is_some() {
                    self.use_on_link(view.dst, router, (link, ctx.port));
                }
                self.forward_to_uplink(ctx, &view, router, hop);
            }
            RouteTarget::Host => {
                if ctx.meta.l4 == L4::Icmpv6 && self.is_shared(ctx) {
                    self.hear_neighbour(ctx);
                }
                self.forward_to_host(ctx, &view, network, router);
            }
            RouteTarget::Subnet => self.forward_to_container(ctx, &view, network, router),
            RouteTarget::Network(at) => {
                self.forward_to_network(ctx, &view, (network, router), router.network(at))
            }
            RouteTarget::Martian => ctx.verdict = Verdict::Drop(DropReason::Martian),
            RouteTarget::Unreachable if router.fib.outer().has_sources() => {
                self.forward_by_source(ctx, &view, router, None);
            }
            RouteTarget::Unreachable | RouteTarget::Beyond => {
                let why = Rejection::new(DropReason::NoRoute, IcmpError::NoRoute);
                self.reject(ctx, router.icmp_source(), why);
            }
        }
    }

    /// Translates a packet and forwards it to the uplink.
    fn forward_to_uplink(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        router: &'a Router,
        hop: NextHop,
    ) {
        if router.fib.outer().has_sources() {
            return self.forward_by_source(ctx, view, router, Some(hop));
        }
        let Some(link) = router.link(hop.link).filter(|link| link.up) else {
            let why = Rejection::new(DropReason::UplinkDown, IcmpError::NoRoute);
            return self.reject(ctx, router.icmp_source(), why);
        };
        let from = internal(ctx);
        if !self.is_local(ctx, from, view) {
            return;
        }
        if self.is_shared(ctx) {
            self.hear_source(ctx, view.src);
        }
        let Some(mac) = hop.mac else { return self.await_neighbour(ctx, hop.address, link.port) };
        let adj = link.adjacency(mac, router.mtu);
        let fit = match self.check_forward(ctx, &adj) {
            Ok(fit) => fit,
            Err(why) => return self.reject(ctx, router.icmp_source(), why),
        };
        let Some(translated) = self.translate(ctx, from, view) else { return };
        match &translated {
            Ok(Translation::Edit { edit, to: Realm::External }) => {
                self.state.counters.translated += 1;
                self.send(ctx, &adj, Some(edit), fit);
            }
            Ok(Translation::Edit { edit, to: Realm::Internal(owner, _) }) => {
                self.deliver(ctx, router.icmp_source(), Delivery { edit, owner: *owner });
            }
            // About a packet that no connection has sent.
            Ok(Translation::NotOurs) if matches!(view.kind, Kind::Error(_)) => {
                ctx.verdict = Verdict::Drop(DropReason::NatForgedError);
            }
            // Untranslated internal addresses must not leave.
            Ok(Translation::NotOurs) => {
                let why = Rejection::new(DropReason::NatUnsupportedProtocol, IcmpError::Prohibited);
                self.reject(ctx, router.icmp_source(), why);
            }
            Err(NatDrop::Protocol) => {
                self.forward_portless(ctx, view, router, (&adj, fit));
            }
            Err(refusal) => self.drop_refused(ctx, router.icmp_source(), *refusal),
        }
    }

    /// Forwards to the service, to the host's port, or by a published port to a container.
    fn forward_to_host(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        network: &'a Network,
        router: &'a Router,
    ) {
        let service = network.service.as_ref().filter(|service| service.key == router.key);
        if let Some(service) = service {
            service.divert(ctx, self.pool, self.snapshot);
        }
        if ctx.verdict == Verdict::Pending && router.uplink.is_some() {
            self.forward_published(ctx, view, (network, router));
        }
        if let Some(service) = service {
            service.refuse_undiverted(ctx);
        }
    }

    /// Forwards to a container by a published port, if there is one.
    fn forward_published(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        (network, router): (&'a Network, &'a Router),
    ) {
        let from = internal(ctx);
        if !self.is_local(ctx, from, view) {
            return;
        }
        if self.is_shared(ctx) {
            self.hear_source(ctx, view.src);
        }
        let Some(translated) = self.translate(ctx, from, view) else { return };
        match &translated {
            Ok(Translation::Edit { edit, to: Realm::Internal(owner, _) }) => {
                self.deliver(ctx, router.icmp_source(), Delivery { edit, owner: *owner });
            }
            Ok(Translation::NotOurs) if !self.may_report(ctx, view, (network, router)) => {
                ctx.verdict = Verdict::Drop(DropReason::NatForgedError);
            }
            // Other traffic between host and containers needs no translation.
            Ok(_) | Err(NatDrop::Protocol | NatDrop::Address) => {}
            Err(refusal) => self.drop_refused(ctx, router.icmp_source(), *refusal),
        }
    }

    /// The packet may be for the host; an ICMP error only if it is about a packet from the host to its sender. A
    /// container without a guard may forward for others, and report for those that its port leads to.
    fn may_report(
        &self,
        ctx: &FrameCtx,
        view: &View,
        (network, router): (&Network, &Router),
    ) -> bool {
        let Kind::Error(quoted) = &view.kind else { return true };
        let asked = quoted.tuple.dst.address;
        if self.snapshot.port(ctx.port).is_some_and(|port| port.guard.is_some()) {
            return asked == view.src;
        }
        match router.fib.lookup(asked) {
            RouteTarget::Subnet => {
                network.neighbours.find(asked).is_none_or(|(_, port)| port == ctx.port)
            }
            // The host may have a route by the container. Where the world is, the source may be made up.
            RouteTarget::Unreachable | RouteTarget::Beyond => {
                self.state.inside.is_known((ctx.port, asked))
            }
            // A link-local address is of this link.
            RouteTarget::Martian => asked == view.src,
            _ => false,
        }
    }

    /// Forwards to another container through the gateway.
    fn forward_to_container(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        network: &'a Network,
        router: &'a Router,
    ) {
        let source = router.icmp_source();
        if router.fib.lookup(view.src) == RouteTarget::Martian {
            ctx.verdict = Verdict::Drop(DropReason::Martian);
            return;
        }
        let known = network.neighbours.find(view.dst);
        let known = known.map(|(mac, port)| (port, Key::new(router.key.network(), 0, mac)));
        match known.filter(|&(port, key)| self.snapshot.reaches(port, key)) {
            None => self.reject(ctx, source, Rejection::NO_NEIGHBOUR),
            Some((port, _)) if port == ctx.port => {
                ctx.verdict = Verdict::Drop(DropReason::SamePort);
            }
            Some((port, _)) if !self.snapshot.may_talk(ctx.port, port) => {
                ctx.verdict = Verdict::Drop(DropReason::Isolated);
            }
            Some((port, key)) => {
                let adj = router.adjacency(port, key.mac());
                match self.check_forward(ctx, &adj) {
                    Ok(fit) => self.send(ctx, &adj, None, fit),
                    Err(why) => self.reject(ctx, source, why),
                }
            }
        }
    }

    /// Notes that a host on the link with a known MAC address is in use.
    #[inline]
    fn use_on_link(&mut self, address: IpAddr, router: &Router, (link, port): (u8, PortIndex)) {
        if self.state.on_link_uses.note(self.now, address)
            && let Some(link) = router.link(link)
        {
            // Dropped, it is told in the next period.
            self.state.resolver.request(self.now, (address, link.port), port);
        }
    }

    /// Queues a frame until control resolves the next hop.
    #[cold]
    pub(super) fn await_neighbour(&mut self, ctx: &mut FrameCtx, hop: IpAddr, uplink: PortIndex) {
        // Reserve first: a port at its queue limit may not request addresses.
        if !self.enqueue(ctx) {
            return;
        }
        if !self.state.resolver.request(self.now, (hop, uplink), ctx.port) {
            self.state.counters.resolves_dropped += 1;
        }
    }

    /// Lets a frame wait for control, if there is room.
    pub(super) fn enqueue(&mut self, ctx: &mut FrameCtx) -> bool {
        let full = Verdict::Drop(DropReason::NeighbourQueueFull);
        match self.state.neighbour_queue.reserve(ctx.port) {
            QueueDecision::Queue => {}
            QueueDecision::Evict(evicted) => self.emit(evicted, full),
            QueueDecision::Refuse => {
                ctx.verdict = full;
                return false;
            }
        }
        ctx.verdict = Verdict::AwaitsNeighbour;
        true
    }
}

/// A container's frame: its port owns the connection, its network is the zone.
pub(super) fn internal(ctx: &FrameCtx) -> Realm {
    Realm::Internal(OwnerId(ctx.port.get() as u32), Zone(ctx.network.0))
}

impl Router {
    /// The uplink at a position.
    #[inline]
    pub(super) fn link(&self, link: u8) -> Option<&UplinkLink> {
        self.uplink.as_deref()?.links.get(usize::from(link))
    }

    /// A neighbour on the link of the uplink at a position.
    pub(super) fn on_link(&self, link: u8, address: IpAddr) -> NextHop {
        let mac = self.link(link).and_then(|link| link.neighbours.get(address));
        NextHop { link, address, mac }
    }

    /// The source of ICMP errors to containers.
    pub(in crate::datapath) fn icmp_source(&self) -> IcmpSource<'_> {
        IcmpSource {
            mac: self.key.mac(),
            ipv4: self.gateway4,
            ipv6: self.gateway6,
            broadcasts: &self.broadcasts,
        }
    }

    /// The adjacency of a container.
    #[inline]
    pub(super) fn adjacency(&self, port: PortIndex, mac: wire::MacAddr) -> Adjacency {
        let clamp = self.uplink_mtu;
        let key = Key::new(self.key.network(), 0, mac);
        Adjacency {
            port,
            src: self.key.mac(),
            dst: mac,
            mtu: self.mtu,
            clamp: clamp.filter(|&mtu| mtu < self.mtu),
            key,
        }
    }
}

impl UplinkLink {
    /// The adjacency of a next hop, for packets from a network with this MTU.
    #[inline]
    pub(super) fn adjacency(&self, mac: wire::MacAddr, network_mtu: u32) -> Adjacency {
        Adjacency {
            port: self.port,
            src: self.device_mac,
            dst: mac,
            mtu: self.mtu,
            clamp: Some(self.mtu).filter(|&mtu| mtu < network_mtu),
            key: Key::NONE,
        }
    }
}
