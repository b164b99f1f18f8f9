//! The datapath as a pure function: a batch of frames in, frames out, state changed.
//!
//! No clock, no lock, no log, no allocation per frame. [`run`] calls the stages in order; each stage is
//! one file and works on the whole batch.
//!
//! | stage | file | decides |
//! |---|---|---|
//! | decapsulate | `datapath/overlay/decapsulate.rs` | network and VTEP of frames from other nodes |
//! | parse | `datapath/parse.rs` | metadata of the frame |
//! | admit | `datapath/admit.rs` | network, VLAN, port state, length |
//! | | `datapath/guard.rs` | source guard: MAC, ARP, ND, DHCP, RA |
//! | loops | `datapath/loops.rs` | loops behind a port |
//! | police | `datapath/police.rs` | rate limits and storm control |
//! | classify | `datapath/classify.rs` | ARP and ND that the switch answers |
//! | learn | `datapath/learn.rs` | source MAC address into `datapath/fdb.rs` |
//! | | `datapath/multicast.rs` | IGMP and MLD snooping |
//! | | `datapath/dhcp.rs` | DHCP requests and router solicitations that control answers |
//! | cut-through | `datapath/cut_through.rs` | TCP handshakes between containers: whose sockets may be joined |
//! | router | `datapath/router.rs` | frames to the gateway or from the uplink: route, NAT |
//! | | `datapath/service.rs` | queries to the gateway and their answers |
//! | lookup | `datapath/lookup.rs` | destination, flood, isolation |
//! | path | `datapath/overlay/path.rs` | frames for other nodes: the MTU of the path |
//! | edit | `datapath/edit.rs` | VLAN tags |
//! | tx | `datapath/tx.rs` | frames to the engine, drops with their reason |
//! | | `datapath/overlay/encapsulate.rs` | datagrams to other nodes |
//!
//! Conservation, held by the simulator in `datapath/tests.rs`:
//! `received + generated + flood copies + segmented + handoffs received == sent + dropped + consumed + merged + held +
//! handed off`: what one worker hands off, another one takes.

mod admit;
mod batch;
mod classify;
mod conf;
mod cut_through;
mod destination;
mod dhcp;
mod drop_reason;
mod edit;
mod egress;
mod fdb;
mod frame_io;
mod guard;
mod learn;
pub mod limits;
mod lookup;
mod loops;
mod multicast;
mod neighbours;
mod network_index;
mod overlay;
mod parse;
mod police;
mod port_kind;
mod router;
mod service;
mod snapshot;
pub mod stages;
mod stats;
#[cfg(test)]
mod tests;
mod token_bucket;
mod tx;
mod vlan;

use std::sync::Arc;

use fastpath::{Nanos, PortIndex, Received};

use limits::FDB_SYNC_ROWS;
use nat::ShardSpec;
use overlay::TunnelState;
use snapshot::Parts;
use vswitch_counters::RouterCounters;

pub use batch::{Batch, Verdict};
pub use conf::{
    Guard, HostConfig, NetworkConf, PortAddresses, PortConf, PortLimits, ServiceConf, StaticMac,
    Storm,
};
pub use destination::{Destination, DestinationKind, VtepIndex};
pub use dhcp::DhcpRequests;
pub use drop_reason::DropReason;
pub use egress::Egress;
pub use fdb::{BucketPair, Fdb, FdbImportError, FdbQuota, FdbRow, Key, Learnt, Outcome};
pub use frame_io::{FrameIo, NoObserver, Observer};
pub use loops::{LoopEvent, LoopSign, LoopTable, Loops};
pub use multicast::Groups;
pub use neighbours::Neighbour;
pub use network_index::NetworkIndex;
pub use overlay::{NetworkOverlay, Remote, RemoteTable, TunnelConf, VtepConf};
pub use port_kind::PortKind;
pub use router::{
    EgressMode, ReachableNetwork, RouteAction, RouteLayer, RouteTable, RouterConf, RouterState,
    Routes, UplinkConf, UplinkLink, UplinkNeighbours,
};
pub(crate) use router::{HandoffIn, HandoffOut, HeardInside};
pub use service::{NameService, SERVER_V4, SERVER_V6, SERVICE_PORT, ServiceClient};
pub use snapshot::{Snapshot, SnapshotBuilder};
pub use stats::{PortCounters, Stats};
pub use token_bucket::{Rate, TokenBucket};
pub use vlan::{PortVlans, Tagging};
pub use vswitch_api::port_settings::isolation::Isolation;

/// State of a worker's datapath between batches.
#[derive(Debug)]
pub struct State {
    /// Forwarding database.
    pub fdb: Fdb,
    /// Ports that listen to each multicast group.
    pub groups: Groups,
    /// FDB and group entries for the other workers: with the second in which an address was seen, or until
    /// which a port listens.
    pub fdb_sync: Vec<(Learnt, u32)>,
    /// Rows dropped because `fdb_sync` was full.
    pub fdb_sync_drops: u64,
    /// Whether there are other workers.
    pub fdb_sync_enabled: bool,
    /// Loop protection.
    pub loops: Loops,
    /// DHCP requests for control.
    pub dhcp: DhcpRequests,
    /// State of the router, once there is one.
    pub router: Option<Box<RouterState>>,
    /// Handshakes of this round.
    handshakes: cut_through::Handshakes,
    /// State of the tunnel, once there is one.
    tunnel: Option<Box<TunnelState>>,
    shard_spec: ShardSpec,
    /// Control claims blocks of SNAT ports.
    is_claiming: bool,
    seed: u64,
    epoch: u64,
    /// Parts of the last snapshot that were applied.
    parts: Parts,
}

impl State {
    /// An empty state. `seed` keys the hash of the FDB, so that no sender can choose addresses that
    /// collide. `fdb_sync_enabled`: there are other workers to tell.
    #[must_use]
    pub fn new(seed: u64, fdb_sync_enabled: bool) -> Self {
        Self::with_loop_table(seed, fdb_sync_enabled, Arc::new(LoopTable::new([seed, !seed])))
    }

    /// The same with the loop table that all workers share.
    #[must_use]
    pub fn with_loop_table(seed: u64, fdb_sync_enabled: bool, loop_table: Arc<LoopTable>) -> Self {
        let fdb_sync = Vec::with_capacity(if fdb_sync_enabled { FDB_SYNC_ROWS } else { 0 });
        let (groups, loops) = (Groups::default(), Loops::new(loop_table));
        let router = None;
        Self {
            fdb: Fdb::new(seed),
            groups,
            fdb_sync,
            fdb_sync_drops: 0,
            fdb_sync_enabled,
            loops,
            dhcp: DhcpRequests::default(),
            router,
            handshakes: cut_through::Handshakes::default(),
            tunnel: None,
            shard_spec: ShardSpec::SINGLE,
            is_claiming: false,
            seed,
            epoch: 0,
            parts: Parts::default(),
        }
    }

    /// The same for one worker of several, each of which translates one shard.
    #[must_use]
    pub fn with_shard_spec(self, shard_spec: ShardSpec) -> Self {
        Self { shard_spec, ..self }
    }

    /// The same where SNAT ports are only those of blocks that control claims.
    #[must_use]
    pub fn with_claimed_blocks(self) -> Self {
        Self { is_claiming: true, ..self }
    }

    /// Applies a new snapshot: static FDB entries, NAT policy, multicast querier. Parts that did not change
    /// cost nothing.
    pub fn apply_snapshot(&mut self, snapshot: &Snapshot) {
        if self.epoch == snapshot.epoch() {
            return;
        }
        self.epoch = snapshot.epoch();
        let (last, parts) =
            (std::mem::replace(&mut self.parts, snapshot.parts()), snapshot.parts());
        if last.statics != parts.statics && !self.fdb.set_statics(snapshot) {
            // Those without room are tried again with the next snapshot.
            self.parts.statics = 0;
        }
        if last.vlans != parts.vlans {
            self.groups.apply_snapshot(snapshot);
        }
        self.dhcp.apply_snapshot(snapshot);
        if let Some(tunnel) = snapshot.tunnel() {
            let new = || Box::new(TunnelState::new(Arc::clone(tunnel)));
            self.tunnel.get_or_insert_with(new).apply(tunnel, &mut self.fdb);
            self.groups.set_tunnel(tunnel.port());
        }
        if snapshot.has_routers() && self.router.is_none() {
            let router = RouterState::new(self.seed, self.shard_spec, self.is_claiming);
            self.router = Some(Box::new(router));
        }
        if let Some(router) = &mut self.router {
            router.apply_snapshot(snapshot, last.routing != parts.routing);
        }
    }

    /// Queues a frame from another worker for the next batch; gives it back where there is no router.
    pub(crate) fn recv_handoff(&mut self, handoff: HandoffIn) -> Result<(), HandoffIn> {
        match &mut self.router {
            Some(router) => {
                let HandoffIn { is_assigned, port, frame } = handoff;
                router.handoffs_in[usize::from(!is_assigned)].push(port, frame);
                Ok(())
            }
            None => Err(handoff),
        }
    }

    /// Frames of the last batch for other workers.
    pub(crate) fn handoffs(&mut self) -> impl Iterator<Item = HandoffOut> {
        self.router.iter_mut().flat_map(|router| router.handoffs_out.drain(..))
    }

    /// Queues an entry for the other workers, if there are any.
    fn queue_fdb_sync(&mut self, learnt: Learnt, second: u32) {
        match self.fdb_sync.len() {
            _ if !self.fdb_sync_enabled => {}
            0..FDB_SYNC_ROWS => self.fdb_sync.push((learnt, second)),
            _ => self.fdb_sync_drops += 1,
        }
    }

    /// Forgets a port that was closed.
    pub fn forget_port(&mut self, port: PortIndex, io: &mut FrameIo<'_, impl Observer>) {
        self.fdb.forget_port(port);
        // Static entries of the port are gone: the next snapshot sets them again.
        self.parts.statics = 0;
        self.groups.forget_port(port);
        if let Some(router) = &mut self.router {
            router.forget_port(port, io);
        }
    }

    /// ICMP errors about packets that were too long for another node.
    #[must_use]
    pub fn tunnel_counters(&self) -> RouterCounters {
        self.tunnel.as_ref().map_or_else(RouterCounters::default, |tunnel| tunnel.counters)
    }

    /// Frames that wait for a next hop, for fragments or for the next batch.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.router.as_ref().map_or(0, |router| router.queued())
    }
}

/// Takes a batch through the stages. The batch is empty afterwards; its frames are with `egress` or
/// back in the pool.
pub fn run<O: Observer>(
    now: Nanos,
    batch: &mut Batch,
    snapshot: &Snapshot,
    state: &mut State,
    io: &mut FrameIo<'_, O>,
    egress: &mut (impl Egress + ?Sized),
) {
    state.apply_snapshot(snapshot);
    if O::IS_ON {
        let mut on_rx = |it: &Received| io.observer.on_rx(it.port, io.pool.bytes(&it.frame));
        batch.incoming.iter().for_each(&mut on_rx);
    }
    if let Some(tunnel) = &mut state.tunnel {
        tunnel.changed().for_each(|vtep| io.stats.forget_vtep(vtep));
        overlay::decapsulate::run(batch, snapshot, io);
    }
    parse::run(batch, io);
    admit::run(batch, io.pool, snapshot, &state.fdb);
    state.loops.ingress(now, batch, io.pool, snapshot);
    police::ingress(now, batch, io.pool, snapshot);
    classify::run(batch, io.pool, snapshot, io.stats);
    learn::run(now, batch, snapshot, state, io.stats);
    dhcp::run(now, batch, io.pool, snapshot, &mut state.dhcp);
    multicast::run(now, batch, io.pool, snapshot, state);
    overlay::host::ingress(batch, io.pool, snapshot, &state.fdb);
    cut_through::note(batch, io.pool, snapshot, &mut state.handshakes);
    router::run(now, batch, snapshot, state, io);
    lookup::run(now, batch, snapshot, &state.fdb);
    police::storm(now, batch, io.pool, snapshot, &state.groups);
    cut_through::allow(batch, io.pool, snapshot, &mut state.handshakes);
    if let Some(tunnel) = &mut state.tunnel {
        overlay::path::run(now, batch, snapshot, tunnel, io);
    }
    overlay::host::egress(batch, io.pool, snapshot);
    edit::run(batch, io.pool, snapshot);
    let loop_table = state.loops.table();
    if snapshot.limited().rate_out || loop_table.any_blocked(now) {
        let mut policed = police::PolicedEgress { now, snapshot, loop_table, inner: &mut *egress };
        tx::run(batch, snapshot, &state.groups, io, &mut policed);
    } else {
        tx::run(batch, snapshot, &state.groups, io, egress);
    }
    state.loops.send(io, egress);
    state.loops.flush_fdb(&mut state.fdb);
}

/// The part of a worker's round that [`tick`] must know.
#[derive(Debug, Clone, Copy)]
pub struct TickConf {
    /// This worker, one of all, sends IGMP and MLD queries.
    pub is_querier: bool,
    /// No frame came in this round.
    pub is_idle: bool,
}

/// Runs timers: multicast queries, expiry of connections. To be called once a round.
pub fn tick(
    now: Nanos,
    conf: TickConf,
    snapshot: &Snapshot,
    state: &mut State,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    multicast::tick(now, conf.is_querier, snapshot, state, io, egress);
    if let Some(router) = &mut state.router {
        router.tick(now, conf.is_idle);
    }
}
