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
//! | `router/fib.rs` | from a destination to its way |
//! | `router/forward.rs` | what the ways have in common: drops, answers, the last steps |
//! | `router/from_container.rs`, `from_uplink.rs` | frames from containers; from the uplink |
//! | `router/size.rs` | how long a packet is, and what becomes of one that is too long |
//! | `router/icmp_limit.rs` | how many ICMP errors a port gets |
//! | `router/fragments.rs` | fragments |
//! | `router/handoff.rs` | what another worker translates |
//! | `router/neighbour_queue.rs`, `resolve.rs` | who waits for a next hop; asking for it |
//! | `router/occupancy.rs` | that each port has its share of both |
//! | `router/state.rs` | what is remembered from batch to batch |

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
    /// The destination of frames that are to be routed.
    key: Key,
    fib: Arc<Fib>,
    gateway4: Option<Ipv4Addr>,
    gateway6: Option<Ipv6Addr>,
    uplink: Option<Arc<UplinkConf>>,
    /// The network's largest IP packet in bytes.
    mtu: u32,
    /// The broadcast addresses of its subnets, which are nobody's.
    broadcasts: Vec<Ipv4Addr>,
    /// Its subnets, from which nobody outside sends.
    subnets: Vec<IpNet>,
}

impl Router {
    /// Compiles a router. `fib` is that of a configuration with the same routes.
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

    /// Whether a frame is to be routed.
    #[inline]
    fn routes(&self, ctx: &FrameCtx) -> bool {
        ctx.dst == self.key
    }

    /// The way out, if there is one.
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
        let key = router.map_or(Key::NONE, |(_, router)| router.key);
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
