//! The router: stages 6 to 8 for frames to the gateway's MAC address and frames from the uplink.
//!
//! # Theory of operation
//!
//! A network may have a router ([`RouterConf`]) at the gateway's MAC address in the untagged domain. It
//! handles frames from containers to that address, and all frames from the uplink's port. Other frames
//! pay one comparison.
//!
//! ```text
//! from a container, by destination            | destination
//! --------------------------------------------+---------------------------------------------
//! translated to a container (hairpin)         | a published address, or its connections
//! to the host's port, as any frame            | the host, else
//! to the neighbour's port                     | subnets of the network
//! translated, to the uplink                   | routes through the uplink's device
//! dropped, and an ICMP error to the sender    | all others
//!
//! from the uplink, by translation             |
//! --------------------------------------------+---------------------------------------------
//! translated, to the container                | a connection, or a published port
//! back to the host, with its TAP's MAC address| no match (`NotOurs`), so that the host answers
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
//! | `router/fib.rs` | destination lookup |
//! | `router/forward.rs` | drops, ICMP errors, the final rewrite |
//! | `router/from_container.rs`, `from_uplink.rs` | frames from containers; from the uplink |
//! | `router/size.rs` | MTU check, fragmentation |
//! | `router/icmp_limit.rs` | rate limit of ICMP errors |
//! | `router/fragments.rs` | fragments |
//! | `router/handoff.rs` | frames that another worker translates |
//! | `router/neighbour_queue.rs`, `resolve.rs` | frames that wait for a next hop; requests for it |
//! | `router/occupancy.rs` | entries of each port, for longest-queue-drop |
//! | `router/state.rs` | state of a worker between batches |

mod assignment;
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
mod resolve;
mod size;
mod state;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use fastpath::{Nanos, PortIndex};

use ipnet::IpNet;

pub(crate) use assignment::{HandoffIn, HandoffOut};
pub use conf::{EgressMode, RouteAction, RouterConf, Routes, UplinkConf, UplinkNeighbours};
use fib::Fib;
use forward::ForwardCtx;
pub use state::RouterState;

use super::batch::FrameCtx;
use super::limits::PREFETCH_FRAMES;
use super::{
    Batch, DropReason, FrameIo, Key, NetworkIndex, Observer, PortKind, Snapshot, State, Verdict,
    parse,
};

/// A network's router as the datapath reads it.
#[derive(Debug)]
pub(super) struct Router {
    /// The destination key of routed frames.
    key: Key,
    fib: Arc<Fib>,
    gateway4: Option<Ipv4Addr>,
    gateway6: Option<Ipv6Addr>,
    uplink: Option<Arc<UplinkConf>>,
    /// The network's largest IP packet in bytes.
    mtu: u32,
    /// The broadcast addresses of the subnets.
    broadcasts: Vec<Ipv4Addr>,
    /// The subnets: invalid sources on the uplink.
    subnets: Vec<IpNet>,
}

impl Router {
    /// Compiles a router. `fib` comes from a configuration with the same routes.
    pub(super) fn new(
        network: NetworkIndex,
        conf: &RouterConf,
        mtu: u32,
        fib: Option<&Arc<Fib>>,
    ) -> Self {
        let v4 = |address: &IpAddr| if let IpAddr::V4(it) = address { Some(*it) } else { None };
        let v6 = |address: &IpAddr| if let IpAddr::V6(it) = address { Some(*it) } else { None };
        Self {
            key: Key::new(network, 0, conf.gateway_mac),
            fib: fib.map_or_else(|| Arc::new(Fib::new(conf)), Arc::clone),
            gateway4: conf.gateways.iter().find_map(v4),
            gateway6: conf.gateways.iter().find_map(v6),
            uplink: match &conf.egress {
                EgressMode::Uplink(uplink) => Some(Arc::clone(uplink)),
                EgressMode::Internal | EgressMode::Kernel => None,
            },
            mtu,
            broadcasts: conf.subnets.iter().filter_map(broadcast).collect(),
            subnets: conf.subnets.clone(),
        }
    }

    /// Its routes.
    pub(super) fn fib(&self) -> &Arc<Fib> {
        &self.fib
    }

    /// The frame is for the gateway.
    #[inline]
    fn routes(&self, ctx: &FrameCtx) -> bool {
        ctx.dst == self.key
    }

    /// The uplink.
    pub(super) fn uplink(&self) -> Option<&UplinkConf> {
        self.uplink.as_deref()
    }
}

fn broadcast(subnet: &IpNet) -> Option<Ipv4Addr> {
    match subnet {
        IpNet::V4(subnet) => Some(subnet.broadcast()),
        IpNet::V6(_) => None,
    }
}

/// Routes a batch: sets the verdicts of routed frames.
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
        for run in window.chunk_by_mut(|a, b| a.port == b.port) {
            route_run(&mut fwd, run);
        }
    }
    fwd.merge_handoffs(batch);
    fwd.release_fragments(batch);
    fwd.state.collect(now, batch);
}

/// Frames of one port.
fn route_run(fwd: &mut ForwardCtx<'_>, run: &mut [FrameCtx]) {
    let (port, snapshot) = (run[0].port, fwd.snapshot);
    let Some(conf) = snapshot.port(port) else { return };
    match conf.kind {
        PortKind::Container => {
            let Some(network) = snapshot.network(run[0].network) else { return };
            let Some(router) = &network.router else { return };
            for ctx in run {
                if router.routes(ctx) && ctx.verdict == Verdict::Pending {
                    fwd.route_container(ctx, network, router);
                }
            }
        }
        PortKind::Uplink => route_uplink_run(fwd, run, port),
        // Frames from these ports to the gateway go to the host.
        PortKind::Host | PortKind::Service | PortKind::Tunnel => {}
    }
}

/// Routes frames from the uplink with its first router: all share one policy.
fn route_uplink_run(fwd: &mut ForwardCtx<'_>, run: &mut [FrameCtx], port: PortIndex) {
    let uplink = fwd.snapshot.uplink_of(port);
    for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
        match uplink {
            Some((router, uplink)) => fwd.route_uplink(ctx, router, uplink),
            None => ctx.verdict = Verdict::Drop(DropReason::PortUnknown),
        }
    }
}
