//! Stage 4: answers ARP and ND for addresses that the switch gave out, for endpoints on other nodes, and for a gateway
//! without a host port.
//!
//! ARP requests (RFC 826) and neighbour solicitations (RFC 4861) to a group are looked up in the neighbour
//! table. The switch writes the answer into the request's buffer and sends it back, so that requests are
//! not flooded to a thousand ports. The request counts as consumed, the answer as generated.
//!
//! Flooded instead:
//!
//! - frames with two VLAN tags: the inner VLAN has its own addresses;
//! - duplicate address detection: ARP probes (RFC 5227) and solicitations from `::`. An answer would claim
//!   that the address is taken;
//! - requests for the sender's own address, such as announcements, or for one on its own port;
//! - requests for an address on a port or node that the sender does not reach, by VLAN or isolation;
//! - unicast requests, by which kernels probe a neighbour: only the neighbour can answer.

use std::net::{IpAddr, Ipv6Addr};

use fastpath::limits::VNET_LEN;
use fastpath::{Pool, PortIndex};
use wire::meta::{L3, L4, Meta};
use wire::ndp::{HOP_LIMIT, Message};
use wire::{MacAddr, arp, frames, ipv6};

use super::batch::FrameCtx;
use super::snapshot::Network;
use super::{Batch, DropReason, Snapshot, Stats, Verdict};

/// Answers the requests of a batch.
pub(super) fn run(batch: &mut Batch, pool: &mut Pool, snapshot: &Snapshot, stats: &mut Stats) {
    if !batch.has_groups {
        return;
    }
    for run in batch.frames.chunk_by_mut(FrameCtx::same_ingress) {
        let Some(network) = snapshot.network(run[0].network) else { continue };
        for ctx in run {
            if ctx.dst.is_multicast() && ctx.verdict == Verdict::Pending {
                answer(ctx, pool, snapshot, network, stats);
            }
        }
    }
}

/// Kept out of the loop, since multicast is rare.
#[inline(never)]
fn answer(
    ctx: &mut FrameCtx,
    pool: &mut Pool,
    snapshot: &Snapshot,
    network: &Network,
    stats: &mut Stats,
) {
    if ctx.meta.inner.is_some() {
        return;
    }
    let bytes = pool.ethernet(&ctx.frame);
    let written = match ctx.meta.l3 {
        L3::Arp => arp_request(&ctx.meta, bytes).and_then(|request| {
            let mac = asked(ctx, request.target_ip.into(), snapshot, network)?;
            write(ctx, pool, &frames::arp_reply(&request, mac))
        }),
        L3::Ipv6 => solicitation(&ctx.meta, bytes).and_then(|(source, target)| {
            let mac = asked(ctx, target.into(), snapshot, network)?;
            let asker = (ctx.meta.src, source);
            write(ctx, pool, &frames::solicited_na(mac, target, false, asker))
        }),
        _ => None,
    };
    if written.is_some() {
        ctx.verdict = Verdict::Unicast(ctx.source);
        stats.counters.consumed += 1;
        stats.counters.generated += 1;
    }
}

/// The MAC address of an address that the sender of a question reaches. Questions for the gateway's address neither
/// come from other nodes nor go there: their verdict is set.
fn asked(
    ctx: &mut FrameCtx,
    address: IpAddr,
    snapshot: &Snapshot,
    network: &Network,
) -> Option<MacAddr> {
    let overlay = network.overlay.as_ref();
    let is_gateway = overlay.is_some_and(|overlay| overlay.is_gateway_address(address));
    if is_gateway && ctx.is_from_tunnel() {
        ctx.verdict = Verdict::Drop(DropReason::TunnelGateway);
        return None;
    }
    let known = known_mac(ctx, address, snapshot, network);
    if is_gateway && known.is_none() {
        ctx.verdict = Verdict::FloodPorts;
    }
    known
}

/// The MAC address of an address that the sender reaches.
fn known_mac(
    ctx: &FrameCtx,
    address: IpAddr,
    snapshot: &Snapshot,
    network: &Network,
) -> Option<MacAddr> {
    if let Some((mac, port)) = network.neighbours.find(address) {
        return reaches(ctx, port, snapshot, network).then_some(mac);
    }
    if let Some(mac) = remote_mac(ctx, address, snapshot, network) {
        return Some(mac);
    }
    let service = network.service.as_ref().filter(|_| snapshot.service().is_some());
    service.filter(|it| it.is_gateway_at(address, ctx.dst.vlan())).map(|it| it.key.mac())
}

/// The MAC address of an endpoint on another node, which other nodes ask each other for.
fn remote_mac(
    ctx: &FrameCtx,
    address: IpAddr,
    snapshot: &Snapshot,
    network: &Network,
) -> Option<MacAddr> {
    let (overlay, tunnel) = network.overlay.as_ref().zip(snapshot.tunnel())?;
    let is_allowed = !ctx.is_from_tunnel()
        && ctx.dst.vlan() == 0
        && (!network.has_isolated || snapshot.may_talk(ctx.port, tunnel.port()));
    overlay.remotes.by_ip(address).filter(|_| is_allowed)
}

/// Whether the sender reaches the port of the address.
fn reaches(ctx: &FrameCtx, port: PortIndex, snapshot: &Snapshot, network: &Network) -> bool {
    port != ctx.port
        && snapshot.reaches(port, ctx.dst)
        && (!network.has_isolated || snapshot.may_talk(ctx.port, port))
}

/// A request that may be answered.
fn arp_request(meta: &Meta, frame: &[u8]) -> Option<arp::Repr> {
    let request = arp::Repr::parse(&arp::Packet::new_checked(meta.l3_bytes(frame)).ok()?);
    let is_question = request.operation == arp::Operation::REQUEST
        && !request.sender_ip.is_unspecified()
        && request.sender_ip != request.target_ip;
    is_question.then_some(request)
}

/// Source and target of a solicitation that may be answered.
fn solicitation(meta: &Meta, frame: &[u8]) -> Option<(Ipv6Addr, Ipv6Addr)> {
    if meta.l4 != L4::Icmpv6 || meta.fragment {
        return None;
    }
    let ip = ipv6::Packet::new_checked(meta.l3_bytes(frame)).ok()?;
    let (message, _) = Message::parse(meta.l4_bytes(frame)).ok()?;
    let Message::NeighborSolicit { target } = message else { return None };
    let source = ip.src();
    let is_question = !source.is_unspecified() && source != target && ip.hop_limit() == HOP_LIMIT;
    is_question.then_some((source, target))
}

/// Writes the answer into the request's buffer.
fn write(ctx: &mut FrameCtx, pool: &mut Pool, answer: &[u8]) -> Option<()> {
    let meta = Meta::parse(answer).ok()?;
    // Another holder of the buffer still reads the request.
    pool.bytes_mut(&ctx.frame)?;
    ctx.frame.set_len(VNET_LEN + answer.len());
    let bytes = pool.bytes_mut(&ctx.frame)?;
    bytes[..VNET_LEN].fill(0);
    bytes[VNET_LEN..].copy_from_slice(answer);
    ctx.meta = meta;
    Some(())
}
