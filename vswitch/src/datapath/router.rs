//! Stages 6 to 8 for what layer 2 cannot decide: frames to the gateway's MAC address, and frames from the
//! uplink.
//!
//! # Theory of operation
//!
//! A network may have a router ([`RouterConf`]). It lives at the gateway's MAC address in the untagged
//! domain; what a container sends there is its business, and so is everything that the uplink's port
//! brings. Frames of neither kind pay one comparison.
//!
//! ```text
//! from a container, by destination            | what is for
//! --------------------------------------------+---------------------------------------------
//! translated to a container (hairpin)         | a published address, or its connections
//! to the host's port, as any frame            | the host, else
//! to the neighbour's port                     | our subnets
//! translated, to the uplink                   | what the kernel would send out of the device
//! dropped, and an ICMP error to the sender    | anything else
//!
//! from the uplink, by translation             |
//! --------------------------------------------+---------------------------------------------
//! translated, to the container                | a connection, or a published port
//! back to the host, with its TAP's MAC address| nobody (`NotOurs`), so that the host answers
//! dropped                                     | nobody, and the host has it as well: ICMP and tails
//!                                             | of fragments are duplicated by nftables, not taken
//! ```
//!
//! In this order: destination, next hop, hop limit, size, then translation, and only then bytes are
//! changed. So an ICMP error quotes the packet as its sender knows it, and what cannot leave makes no
//! connection. From the uplink translation comes first, since it decides the destination.
//!
//! A frame whose next hop has no MAC address yet waits (`router/neighbour_queue.rs`) while control is asked to find
//! it out; a fragment whose first has not come waits in `router/fragments.rs`. Both are bounded, by number, by
//! port and by time, and what waits counts as held.
//!
//! | file | what it is about |
//! |---|---|
//! | `router/conf.rs` | what control says |
//! | `router/compiled.rs` | a network's router |
//! | `router/fib.rs` | from a destination to its way |
//! | `router/forward.rs` | what the ways have in common: drops, answers, the last steps |
//! | `router/from_container.rs`, `from_uplink.rs` | frames from containers; from the uplink |
//! | `router/size.rs`, `resize.rs` | the length of a packet against the MTU; segments and fragments |
//! | `router/icmp_limit.rs` | how many ICMP errors a port gets |
//! | `router/fragments.rs` | fragments |
//! | `router/handoff.rs` | what another worker translates |
//! | `router/neighbour_queue.rs`, `resolve.rs` | who waits for a next hop; asking for it |
//! | `router/occupancy.rs` | that each port has its share of both |
//! | `router/state.rs` | what is remembered from batch to batch |

mod assignment;
mod compiled;
mod conf;
mod fib;
mod forward;
mod fragments;
mod from_container;
mod from_uplink;
mod handoff;
mod icmp_limit;
mod neighbour_queue;
mod occupancy;
mod resize;
mod resolve;
mod size;
mod state;

use fastpath::{Nanos, PortIndex};

pub(crate) use assignment::{HandoffIn, HandoffOut};
pub(super) use compiled::Router;
pub use conf::{EgressMode, RouteAction, RouterConf, Routes, UplinkConf, UplinkNeighbours};
use forward::ForwardCtx;
pub use state::RouterState;

use super::batch::FrameCtx;
use super::limits::PREFETCH_FRAMES;
use super::{Batch, DropReason, FrameIo, Observer, PortKind, Snapshot, State, Verdict, parse};

/// Routes what is to be routed, and gives it its verdict.
pub(super) fn run(
    now: Nanos,
    batch: &mut Batch,
    snapshot: &Snapshot,
    state: &mut State,
    io: &mut FrameIo<'_, impl Observer>,
) {
    let Some(router) = state.router.as_deref_mut() else { return };
    for handoffs_in in router.handoffs_in.iter_mut().filter(|batch| !batch.is_empty()) {
        parse::run(handoffs_in, io);
    }
    let mut fwd = ForwardCtx {
        now,
        pool: io.pool,
        snapshot,
        state: router,
        stats: io.stats,
        head_verdict: None,
        is_assigned: false,
    };
    fwd.retry_queued();
    fwd.expire_fragments();
    fwd.route_handoffs(&state.fdb);
    for window in batch.frames.chunks_mut(PREFETCH_FRAMES) {
        fwd.prefetch(window);
        route_window(&mut fwd, window);
    }
    fwd.merge_handoffs(batch);
    fwd.release_fragments(batch);
    fwd.state.collect(now, batch);
}

/// Routes frames in their order. A port is looked up once for a run of its frames.
fn route_window(fwd: &mut ForwardCtx<'_>, window: &mut [FrameCtx]) {
    let mut start = 0;
    while let Some(first) = window.get(start) {
        let (port, snapshot) = (first.port, fwd.snapshot);
        let kind = snapshot.port(port).map(|conf| conf.kind);
        let network = snapshot.network(first.network).filter(|_| kind == Some(PortKind::Container));
        let router = network.and_then(|network| Some((network, network.router.as_deref()?)));
        let key = router.map_or(super::Key::NONE, |(_, router)| router.key);
        let rest = &mut window[start..];
        let mut len = 0;
        for ctx in rest.iter_mut() {
            if ctx.port != port {
                break;
            }
            len += 1;
            if ctx.dst == key
                && ctx.verdict == Verdict::Pending
                && let Some((network, router)) = router
            {
                fwd.route_container(ctx, network, router);
            }
        }
        if kind == Some(PortKind::Uplink) {
            route_uplink_run(fwd, &mut rest[..len], port);
        }
        start += len;
    }
}

/// Frames from the uplink are those of the first router that it serves: the policy is one.
fn route_uplink_run(fwd: &mut ForwardCtx<'_>, run: &mut [FrameCtx], port: PortIndex) {
    let uplink = fwd.snapshot.uplink_of(port);
    for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
        match uplink {
            Some(uplink) => fwd.route_uplink(ctx, uplink),
            None => ctx.verdict = Verdict::Drop(DropReason::PortUnknown),
        }
    }
}
