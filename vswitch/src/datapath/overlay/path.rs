//! The length of a packet against the MTU of the path to its VTEP.
//!
//! VTEPs must not fragment datagrams (RFC 7348, section 4.3), so the inner packet has to fit: it is fragmented where IPv4
//! allows it, else dropped, and its sender told by the gateway. TCP hears of it in the handshake already.

use std::net::IpAddr;

use fastpath::limits::VNET_LEN;
use fastpath::{Nanos, Pool};
use wire::icmp_error::{IcmpError, IcmpSource, emit_icmp_error};
use wire::limits::ICMP_ERROR_FRAME_MAX;
use wire::meta::Meta;
use wire::mss_clamp;

use super::{Overlay, TunnelState};
use crate::datapath::batch::FrameCtx;
use crate::datapath::router::{Fit, Resizer, fit};
use crate::datapath::snapshot::Network;
use crate::datapath::{
    Batch, DestinationKind, DropReason, FrameIo, Observer, Snapshot, Verdict, edit,
};

/// Fits frames for VTEPs to their paths.
pub(in crate::datapath) fn run(
    now: Nanos,
    batch: &mut Batch,
    snapshot: &Snapshot,
    state: &mut TunnelState,
    io: &mut FrameIo<'_, impl Observer>,
) {
    for ctx in &mut batch.frames {
        let Verdict::Unicast(destination) = ctx.verdict else { continue };
        let DestinationKind::Tunnel(vtep) = destination.kind() else { continue };
        let network = snapshot.network(ctx.network);
        let spanning = network.and_then(|network| Some((network, network.overlay.as_ref()?)));
        // Tx drops what has no tunnel.
        let Some(((network, overlay), vtep)) = spanning.zip(snapshot.vtep(vtep)) else { continue };
        if ctx.meta.outer.is_some() && !edit::untag(ctx, io.pool) {
            ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
            continue;
        }
        if ctx.meta.l3_len > vtep.mtu {
            fit_path(now, ctx, (network, overlay), vtep.mtu, state, io);
        } else if vtep.mtu < network.conf.mtu {
            clamp(ctx, io.pool, vtep.mtu);
        }
    }
    batch.frames.append(&mut state.emitted);
}

/// Lowers the MSS of a SYN.
fn clamp(ctx: &FrameCtx, pool: &mut Pool, mtu: u32) {
    let bytes = pool.bytes_mut(&ctx.frame);
    if let Some((vnet, ethernet)) = bytes.and_then(|it| it.split_at_mut_checked(VNET_LEN)) {
        let checksum = edit::checksum_state(vnet);
        mss_clamp::clamp(&ctx.meta, ethernet, mtu, checksum);
    }
}

/// Cuts a long packet, or drops it and tells its sender.
#[cold]
fn fit_path(
    now: Nanos,
    ctx: &mut FrameCtx,
    (network, overlay): (&Network, &Overlay),
    mtu: u32,
    state: &mut TunnelState,
    io: &mut FrameIo<'_, impl Observer>,
) {
    match fit(&ctx.meta, io.pool, &ctx.frame, mtu) {
        Fit::Whole => clamp(ctx, io.pool, mtu),
        Fit::TooBig => {
            let source = match &network.router {
                Some(router) => router.icmp_source(),
                None => icmp_source(network, overlay),
            };
            tell(now, ctx, source, IcmpError::TooBig(mtu), state, io);
            ctx.verdict = Verdict::Drop(DropReason::TunnelTooBig);
        }
        fit => {
            let TunnelState { scratch, emitted, .. } = state;
            let FrameIo { pool, stats, .. } = io;
            Resizer { pool, stats, scratch, emitted }.fit_to_mtu(ctx, fit, mtu);
        }
    }
}

/// The gateway of a network without a router.
fn icmp_source(network: &Network, overlay: &Overlay) -> IcmpSource<'static> {
    IcmpSource {
        mac: network.conf.mac,
        ipv4: overlay.gateway_of(|it| if let IpAddr::V4(it) = it { Some(*it) } else { None }),
        ipv6: overlay.gateway_of(|it| if let IpAddr::V6(it) = it { Some(*it) } else { None }),
        broadcasts: &[],
    }
}

/// Sends an ICMP error to the sender of a frame, unless RFC 1812 forbids it or the port has had enough of them.
fn tell(
    now: Nanos,
    ctx: &FrameCtx,
    source: IcmpSource<'_>,
    error: IcmpError,
    state: &mut TunnelState,
    io: &mut FrameIo<'_, impl Observer>,
) {
    let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
    let frame = io.pool.ethernet(&ctx.frame);
    let written = emit_icmp_error(error, &source, &ctx.meta, frame, &mut buffer);
    let Some(answer) = written.ok().and_then(|len| buffer.get(..len)) else { return };
    if !state.icmp_limit.allow(now, ctx.port) {
        state.counters.icmp_errors_suppressed += 1;
        return;
    }
    let Ok(meta) = Meta::parse(answer) else { return };
    let Some(frame) = io.pool.alloc_with(answer) else { return };
    io.stats.counters.generated += 1;
    state.counters.icmp_errors_sent += 1;
    state.emitted.push(ctx.answer(frame, meta));
}
