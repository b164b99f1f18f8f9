//! The host on a network that spans nodes.
//!
//! The gateway has the same addresses on each node, MAC address included. So the interface of the host's port has a MAC
//! address of its own, and the host speaks to other nodes from IP addresses of its own. The kernel knows nothing of that:
//! it answers ARP and ND for the gateway by the interface's MAC address, and takes a packet to that for one to route.
//!
//! ```text
//! from         | to                              | what becomes of it
//! -------------+---------------------------------+------------------------------------------------------
//! any          | the host's port                 | the gateway's MAC address becomes the interface's
//! container    | the interface's MAC address     | as to the gateway's, unless it is for an address of the host
//! VTEP         | the interface's MAC address     | dropped as tunnel-gateway, unless it is for an address of the host
//! the host     | from the gateway's address      | to local ports only; dropped as tunnel-gateway for a VTEP
//! ```

use std::net::IpAddr;

use fastpath::Pool;
use fastpath::limits::VNET_LEN;
use wire::meta::{L3, L4, Meta};
use wire::ndp::Message;
use wire::{MacAddr, arp, ethernet, ipv4, ipv6};

use super::Overlay;
use crate::datapath::batch::FrameCtx;
use crate::datapath::{Batch, DestinationKind, DropReason, Fdb, Key, Snapshot, Verdict};

/// Before frames are routed.
pub(in crate::datapath) fn ingress(batch: &mut Batch, pool: &Pool, snapshot: &Snapshot, fdb: &Fdb) {
    if !snapshot.has_overlays() {
        return;
    }
    for run in batch.frames.chunk_by_mut(FrameCtx::same_ingress) {
        let network = snapshot.network(run[0].network);
        let Some(overlay) = network.and_then(|network| network.overlay.as_ref()) else { continue };
        let Some(host) = &overlay.host else { continue };
        for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
            let frame = || pool.ethernet(&ctx.frame);
            if ctx.is_from_tunnel() {
                let is_to_host = ctx.dst.mac() == host.mac;
                let is_refused =
                    is_to_host && packet(&ctx.meta, frame()).is_some_and(|(_, to)| !host.has(to));
                if is_refused {
                    ctx.verdict = Verdict::Drop(DropReason::TunnelGateway);
                }
            } else if ctx.port == host.port {
                if ctx.dst.is_multicast() && overlay.is_from_gateway(&ctx.meta, frame()) {
                    ctx.verdict = Verdict::FloodPorts;
                }
            } else if ctx.dst.mac() == host.mac
                && packet(&ctx.meta, frame()).is_some_and(|(_, to)| !host.has(to))
            {
                ctx.dst = Key::new(ctx.network, ctx.dst.vlan(), overlay.gateway());
                ctx.dst_buckets = fdb.buckets_of(ctx.dst);
            }
        }
    }
}

/// Once each frame has its destination.
pub(in crate::datapath) fn egress(batch: &mut Batch, pool: &mut Pool, snapshot: &Snapshot) {
    if !snapshot.has_overlays() {
        return;
    }
    for run in batch.frames.chunk_by_mut(|a, b| a.network == b.network) {
        let network = snapshot.network(run[0].network);
        let Some(overlay) = network.and_then(|network| network.overlay.as_ref()) else { continue };
        let Some(host) = &overlay.host else { continue };
        for ctx in run {
            let Verdict::Unicast(destination) = ctx.verdict else { continue };
            match destination.kind() {
                DestinationKind::Port(port)
                    if port == host.port
                        && overlay.is_gateway(ctx.meta.dst)
                        && !readdress(ctx, pool, host.mac) =>
                {
                    ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
                }
                DestinationKind::Tunnel(_)
                    if ctx.port == host.port
                        && overlay.is_from_gateway(&ctx.meta, pool.ethernet(&ctx.frame)) =>
                {
                    ctx.verdict = Verdict::Drop(DropReason::TunnelGateway);
                }
                _ => {}
            }
        }
    }
}

/// Writes another destination MAC address; false where the buffer is shared.
fn readdress(ctx: &mut FrameCtx, pool: &mut Pool, mac: MacAddr) -> bool {
    let bytes = pool.bytes_mut(&ctx.frame).and_then(|bytes| bytes.get_mut(VNET_LEN..));
    let Some(mut frame) = bytes.and_then(|bytes| ethernet::Frame::new_checked(bytes).ok()) else {
        return false;
    };
    frame.set_dst(mac);
    ctx.meta.dst = mac;
    true
}

impl Overlay {
    /// Whether ARP or ND says that its sender has the gateway's address.
    fn claims_gateway(&self, meta: &Meta, frame: &[u8]) -> bool {
        claimed(meta, frame).is_some_and(|address| self.is_gateway_address(address))
    }

    /// Whether the sender of a frame is the gateway: of a packet, or by ARP and ND.
    fn is_from_gateway(&self, meta: &Meta, frame: &[u8]) -> bool {
        let is_source = |(from, _)| self.is_gateway_address(from);
        self.claims_gateway(meta, frame) || packet(meta, frame).is_some_and(is_source)
    }
}

/// The address that the sender of ARP or ND says to have.
pub(in crate::datapath) fn claimed(meta: &Meta, frame: &[u8]) -> Option<IpAddr> {
    match (meta.l3, meta.l4) {
        (L3::Arp, _) => {
            let packet = arp::Packet::new_checked(meta.l3_bytes(frame)).ok();
            packet.map(|packet| arp::Repr::parse(&packet).sender_ip.into())
        }
        (L3::Ipv6, L4::Icmpv6) => match Message::parse(meta.l4_bytes(frame)) {
            Ok((Message::NeighborAdvert { target, .. }, _)) => Some(target.into()),
            Ok((Message::NeighborSolicit { .. }, _)) => packet(meta, frame).map(|it| it.0),
            _ => None,
        },
        _ => None,
    }
}

/// Source and destination of an IP packet.
fn packet(meta: &Meta, frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let bytes = meta.l3_bytes(frame);
    match meta.l3 {
        L3::Ipv4 => {
            let ip = ipv4::Packet::new_checked(bytes).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
        L3::Ipv6 => {
            let ip = ipv6::Packet::new_checked(bytes).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
        _ => None,
    }
}
