//! The switch as a pure function: a batch of frames in, frames out, state changed.
//!
//! No clock, no lock, no log, no allocation for a frame. [`run`] is a frame's whole journey; each line
//! is a room, and each room is one file that works on the whole batch.
//!
//! | room | file | decides |
//! |---|---|---|
//! | parse | `datapath/parse.rs` | what the frame is |
//! | admit | `datapath/admit.rs` | whether it may come in |
//! | | `datapath/guard.rs` | whether it says the truth about its sender |
//! | loops | `datapath/loops.rs` | whether there is a loop behind the port |
//! | police | `datapath/police.rs` | whether it comes too fast: rates, and storms |
//! | classify | `datapath/classify.rs` | what the switch answers itself |
//! | learn | `datapath/learn.rs` | where its source lives, into the `datapath/fdb.rs` |
//! | | `datapath/multicast.rs` | who listens to which group |
//! | router | `datapath/router.rs` | what is for the gateway, or from the uplink: translation, and where to |
//! | lookup | `datapath/lookup.rs` | which ports it goes to |
//! | edit | `datapath/edit.rs` | which bytes it leaves with: VLAN tags |
//! | tx | `datapath/tx.rs` | hands it over, or drops it with its reason |
//!
//! Conservation, held by the simulator in `datapath/tests.rs`:
//! `received + generated + flood copies + taken over == sent + dropped + consumed + held + handed over`: what
//! one worker hands over, another one takes.

mod admit;
mod batch;
mod classify;
mod edit;
mod fdb;
mod guard;
mod learn;
pub mod limits;
mod lookup;
mod loops;
mod multicast;
mod parse;
mod police;
mod reason;
mod router;
mod snapshot;
pub mod stages;
mod stats;
#[cfg(test)]
mod tests;
mod token_bucket;
mod tx;
mod vlan;

use std::sync::Arc;

use fastpath::{Nanos, Pool, PortIndex};

use limits::NEWS_ROWS;
use nat::ShardSpec;

pub use batch::{Batch, Verdict};
pub use fdb::{Fdb, FdbRow, Key, Learnt, Outcome, Place, Shares};
pub use guard::Guard;
pub use loops::{LoopEvent, LoopSign, Loops, Watch};
pub use multicast::Groups;
pub use police::{PortLimits, Storm};
pub use reason::DropReason;
pub(crate) use router::{Arrival, Leaving};
pub use router::{
    Beyond, Memory, Neighbours, RouteAction, RouterConf, RouterCounters, Routes, UplinkConf,
};
pub use snapshot::{Neighbour, NetworkConf, NetworkIndex, PortConf, PortKind, Snapshot, StaticMac};
pub use stats::{PortCounters, Stats};
pub use token_bucket::{Bucket, Rate};
pub use tx::Egress;
pub use vlan::{PortVlans, Tagging};
pub use vswitch_api::port_settings::isolation::Isolation;

/// What a worker's datapath remembers between batches.
#[derive(Debug)]
pub struct State {
    /// Which MAC address lives on which port.
    pub fdb: Fdb,
    /// Which ports listen to which multicast group.
    pub groups: Groups,
    /// What was learnt or refreshed since the worker last took it, for the other workers: with the
    /// second in which an address was seen, or until which somebody listens to a group.
    pub news: Vec<(Learnt, u32)>,
    /// News that there was no room for.
    pub news_lost: u64,
    /// Whether anybody takes the news.
    pub tell: bool,
    /// Loop protection.
    pub loops: Loops,
    /// What routing remembers, once there is a router.
    pub router: Option<Box<Memory>>,
    shard_spec: ShardSpec,
    seed: u64,
    epoch: u64,
}

impl State {
    /// Nothing known. `seed` keys the hash of the forwarding database: a sender who does not know
    /// it cannot choose addresses that collide. `tell`: other workers want to hear what is learnt.
    #[must_use]
    pub fn new(seed: u64, tell: bool) -> Self {
        Self::watched(seed, tell, Arc::new(Watch::new([seed, !seed])))
    }

    /// The same with a share in what all workers know about loops.
    #[must_use]
    pub fn watched(seed: u64, tell: bool, watch: Arc<Watch>) -> Self {
        let news = Vec::with_capacity(if tell { NEWS_ROWS } else { 0 });
        let (groups, loops) = (Groups::default(), Loops::new(watch));
        let router = None;
        Self {
            fdb: Fdb::new(seed),
            groups,
            news,
            news_lost: 0,
            tell,
            loops,
            router,
            shard_spec: ShardSpec::SINGLE,
            seed,
            epoch: 0,
        }
    }

    /// The same of one worker among several, which translate each its share.
    #[must_use]
    pub fn with_shard_spec(self, shard_spec: ShardSpec) -> Self {
        Self { shard_spec, ..self }
    }

    /// Brings static entries, connections, and what is asked who listens, in line with a snapshot that is
    /// new.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        if self.epoch != snapshot.epoch() {
            self.epoch = snapshot.epoch();
            self.fdb.set_statics(snapshot);
            self.groups.follow(snapshot);
            if snapshot.has_routers() && self.router.is_none() {
                self.router = Some(Box::new(Memory::new(self.seed, self.shard_spec)));
            }
            if let Some(router) = &mut self.router {
                router.follow(snapshot);
            }
        }
    }

    /// Takes a frame over from another worker, for the next batch; gives it back where there is no router.
    pub(crate) fn take_over(&mut self, arrival: Arrival) -> Result<(), Arrival> {
        match &mut self.router {
            Some(router) => {
                let Arrival { is_placed, port, frame } = arrival;
                router.arrived[usize::from(!is_placed)].push(port, frame);
                Ok(())
            }
            None => Err(arrival),
        }
    }

    /// Frames of the last batch that other workers translate.
    pub(crate) fn leaving(&mut self) -> impl Iterator<Item = Leaving> {
        self.router.iter_mut().flat_map(|router| router.leaving.drain(..))
    }

    /// Notes what the other workers are to hear, if there are any.
    fn add_news(&mut self, learnt: Learnt, second: u32) {
        match self.news.len() {
            _ if !self.tell => {}
            0..NEWS_ROWS => self.news.push((learnt, second)),
            _ => self.news_lost += 1,
        }
    }

    /// Forgets a port that is gone.
    pub fn forget_port(&mut self, port: PortIndex, pool: &mut Pool, stats: &mut Stats) {
        self.fdb.forget_port(port);
        self.groups.forget_port(port);
        if let Some(router) = &mut self.router {
            router.forget_port(port, pool, stats);
        }
    }

    /// Frames that wait here.
    #[must_use]
    pub fn held(&self) -> usize {
        self.router.as_ref().map_or(0, |router| router.held())
    }
}

/// Takes a batch through the rooms. The batch is empty afterwards; its frames are with `egress` or
/// back in the pool.
pub fn run(
    now: Nanos,
    batch: &mut Batch,
    pool: &mut Pool,
    snapshot: &Snapshot,
    state: &mut State,
    stats: &mut Stats,
    egress: &mut (impl Egress + ?Sized),
) {
    state.follow(snapshot);
    parse::run(batch, pool, stats);
    admit::run(batch, pool, snapshot, &state.fdb);
    state.loops.ingress(now, batch, pool, snapshot);
    police::ingress(now, batch, pool, snapshot);
    classify::run(batch, pool, snapshot, stats);
    learn::run(now, batch, snapshot, state, stats);
    multicast::run(now, batch, pool, snapshot, state);
    router::run(now, batch, pool, snapshot, state, stats);
    lookup::run(now, batch, snapshot, &state.fdb);
    police::storm(now, batch, pool, snapshot);
    edit::run(batch, pool, snapshot);
    let watch = state.loops.watch();
    if snapshot.limited().rate_out || watch.any_blocked(now) {
        let mut refused = std::mem::take(&mut stats.refused);
        let refused_here = &mut refused;
        let to = &mut *egress;
        let mut gated = police::Gated { now, snapshot, watch, refused: refused_here, to };
        tx::run(batch, pool, snapshot, &state.groups, stats, &mut gated);
        stats.refused = refused;
    } else {
        tx::run(batch, pool, snapshot, &state.groups, stats, egress);
    }
    state.loops.send(pool, stats, egress);
    state.loops.clean(&mut state.fdb);
}

/// What is due by time alone: to be called once a round. Most times it is nothing. One worker of all
/// `asks` who listens to which group; `is_idle`: no frames came in this round.
pub fn tick(
    now: Nanos,
    (asks, is_idle): (bool, bool),
    pool: &mut Pool,
    snapshot: &Snapshot,
    state: &mut State,
    stats: &mut Stats,
    egress: &mut (impl Egress + ?Sized),
) {
    multicast::tick(now, asks, pool, snapshot, state, stats, egress);
    if let Some(router) = &mut state.router {
        router.tick(now, is_idle);
    }
}
