//! The router: stages 6 to 8 for frames to the gateway's MAC address and frames from the uplink.
//!
//! # Theory of operation
//!
//! A network may have a router ([`RouterConf`]) at the gateway's MAC address in the untagged domain. It
//! handles frames from containers to that address, and all frames from the uplink's port. Other frames
//! pay one comparison. Of those to the host, queries go to the service (`datapath/service.rs`).
//!
//! ```text
//! from a container, by destination            | destination
//! --------------------------------------------+---------------------------------------------
//! to the service port                         | the gateway's port 53
//! translated to a container (hairpin)         | a published address, or its connections
//! to the host's port, as any frame            | the host, else
//! to the neighbour's port                     | subnets of the network
//! tracked, to the neighbour's port            | subnets of networks that it may reach or answer
//! translated, to the uplink                   | routes through the uplink's device
//! dropped, and an ICMP error to the sender    | all others
//!
//! from the uplink, by translation             |
//! --------------------------------------------+---------------------------------------------
//! translated, to the container                | a connection, or a published port
//! dropped, and a reset or an ICMP error       | no match (`NotOurs`), since the host hands only our ports over
//! dropped                                     | no match among ICMP and tails, which nftables
//!                                             | duplicates to the host
//! ```
//!
//! The order from a container: route, next hop, hop limit, MTU, translation, rewrite. So an ICMP error
//! quotes the packet as sent, and an undeliverable packet creates no connection. From the uplink,
//! translation comes first, since it names the destination.
//!
//! A frame waits in `router/neighbour_queue.rs` while control resolves its next hop; a fragment waits in
//! `router/fragments.rs` for its head. Limits by number, port and time bound both.
//!
//! | file | contents |
//! |---|---|
//! | `router/conf.rs` | configuration from control |
//! | `router/compiled.rs` | a network's router |
//! | `router/fib.rs` | destination lookup |
//! | `router/forward.rs` | drops, ICMP errors, the final rewrite |
//! | `router/from_container.rs`, `from_uplink.rs` | frames from containers; from the uplink |
//! | `router/by_source.rs` | frames whose route depends on their source after translation |
//! | `router/unmapped.rs` | answers to packets of the uplink without a connection |
//! | `router/to_network.rs` | frames from containers to another network |
//! | `router/size.rs`, `resize.rs` | the length of a packet against the MTU; segments and fragments |
//! | `router/answer_limit.rs` | rate limits of ICMP errors and resets |
//! | `router/fragments.rs` | fragments |
//! | `router/handoff.rs` | frames that another worker translates |
//! | `router/neighbour_queue.rs`, `resolve.rs` | frames that wait for a next hop; requests for it |
//! | `router/portless.rs`, `forward_portless.rs`, `portless_error.rs` | protocols without ports; ICMP errors about them |
//! | `router/on_link.rs` | hosts on the uplink's link that are in use |
//! | `router/inside.rs`, `ask_inside.rs` | MAC addresses behind unguarded ports |
//! | `router/occupancy.rs` | entries of each port, for longest-queue-drop |
//! | `router/state.rs` | state of a worker between batches |

mod answer_limit;
mod ask_inside;
mod assignment;
mod by_source;
mod compiled;
mod conf;
mod fib;
mod forward;
mod forward_portless;
mod fragments;
mod from_container;
mod from_uplink;
mod handoff;
mod inside;
mod neighbour_queue;
mod occupancy;
mod on_link;
mod portless;
mod portless_error;
mod resize;
mod resolve;
mod size;
mod state;
mod to_network;
mod unmapped;

use fastpath::{Nanos, PortIndex};

pub(super) use answer_limit::AnswerLimit;
pub(crate) use assignment::{HandoffIn, HandoffOut};
pub(super) use compiled::Router;
pub use conf::{
    EgressMode, ReachableNetwork, RouteAction, RouteLayer, RouteTable, RouterConf, Routes,
    UplinkConf, UplinkLink, UplinkNeighbours,
};
pub(super) use fib::OuterFib;
use forward::ForwardCtx;
pub(crate) use inside::HeardInside;
pub(super) use resize::Resizer;
pub(super) use size::{Fit, fit};
pub use state::RouterState;

use super::batch::FrameCtx;
use super::limits::PREFETCH_FRAMES;
use super::{
    Batch, DropReason, FrameIo, Observer, PortKind, Snapshot, State, Verdict, cut_through, parse,
    service,
};

/// Routes a batch: sets the verdicts of routed frames.
pub(super) fn run(
    now: Nanos,
    batch: &mut Batch,
    snapshot: &Snapshot,
    state: &mut State,
    io: &mut FrameIo<'_, impl Observer>,
) {
    let Some(router) = state.router.as_deref_mut() else {
        return service::run(batch, io.pool, snapshot);
    };
    for handoffs_in in router.handoffs_in.iter_mut().filter(|batch| !batch.is_empty()) {
        parse::run(handoffs_in, io);
        cut_through::note(handoffs_in, io.pool, snapshot, &mut state.handshakes);
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
        let conf = snapshot.port(port);
        let (kind, is_shared) = (conf.map(|it| it.kind), conf.is_some_and(|it| it.is_shared));
        let network = snapshot.network(first.network).filter(|_| kind == Some(PortKind::Container));
        let router = network.and_then(|network| Some((network, network.router.as_deref()?)));
        let key = router.map_or(super::Key::NONE, |(_, router)| router.key);
        // Where the router has the same key, it finds the queries on its way to the host.
        let service = network.and_then(|network| network.service.as_ref());
        let service = service.filter(|service| service.key != key);
        let rest = &mut window[start..];
        let mut len = 0;
        for ctx in rest.iter_mut() {
            if ctx.port != port {
                break;
            }
            len += 1;
            if is_shared && ctx.dst.is_multicast() {
                fwd.hear_announcement(ctx);
            }
            if ctx.dst == key
                && ctx.verdict == Verdict::Pending
                && let Some((network, router)) = router
            {
                fwd.route_container(ctx, network, router);
            }
        }
        match kind {
            Some(PortKind::Uplink) => route_uplink_run(fwd, &mut rest[..len], port),
            Some(PortKind::Service) => service::deliver_run(&mut rest[..len], fwd.pool, snapshot),
            _ => {}
        }
        if let Some(service) = service {
            service.divert_run(&mut rest[..len], fwd.pool, snapshot);
        }
        start += len;
    }
}

/// Routes frames from the uplink: the networks that have it share one policy.
fn route_uplink_run(fwd: &mut ForwardCtx<'_>, run: &mut [FrameCtx], port: PortIndex) {
    let link = fwd.snapshot.uplink_of(port);
    for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
        match link {
            Some(link) => fwd.route_uplink(ctx, link),
            None => ctx.verdict = Verdict::Drop(DropReason::PortUnknown),
        }
    }
}
