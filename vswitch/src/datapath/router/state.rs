//! What a worker's router remembers from one batch to the next.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use fastpath::limits::{FRAME_MAX, ROUND_FRAMES_MAX};
use fastpath::{Nanos, Pool, PortIndex};
use nat::fragment::{Fragments, Verdict as Translated};
use nat::limits::{FRAGMENT_FRAMES_MAX, TICK_OPERATIONS};
use nat::{Flushing, Nat, NatConfig, NatDrop, OwnerId, Policy, Row, ShardSpec, Time, View};

use super::handoff::{Choice, Leaving};
use super::icmp_limit::Answers;
use super::neighbour_queue::Held;
use super::resolve::Resolve;
use crate::datapath::batch::{Batch, Slot};
use crate::datapath::limits::{
    CONNTRACK_FLUSHED_MAX, CONNTRACK_ROWS_MAX, EXPIRY_REST, EXPIRY_WAKE, NAT_CONNECTIONS,
    NAT_OPERATIONS_IDLE, WAITING_WAKE, WARM_FRAMES,
};
use crate::datapath::{DropReason, Snapshot, Stats, Verdict};

/// What routing has counted, beside drops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouterCounters {
    /// Frames that were translated.
    pub translated: u64,
    /// Frames from the uplink that were the host's, and were given back.
    pub given_back: u64,
    /// ICMP errors that were sent.
    pub answered: u64,
    /// ICMP errors that were not sent, since their port had as many as it may have.
    pub unanswered: u64,
    /// Next hops that were not asked for, since too many were.
    pub unasked: u64,
}

/// Connections, and frames that wait.
#[derive(Debug)]
pub struct Memory {
    pub(super) nat: Nat,
    pub(super) held: Held,
    pub(super) answers: Answers,
    pub(super) resolve: Resolve,
    pub(super) counters: RouterCounters,
    pub(super) fragments: Fragments<Slot>,
    /// Fragments of which it is to be found out who translates them, where there are several workers.
    pub(super) tracked: Option<Box<Fragments<Slot, usize>>>,
    /// Of these, those for which that is known.
    pub(super) chosen: Vec<(Slot, Choice)>,
    /// Frames for other workers.
    pub(in crate::datapath) leaving: Vec<Leaving>,
    /// Frames from other workers, first those that are placed; and the same when they are routed.
    pub(in crate::datapath) arrived: [Batch; 2],
    pub(super) joining: Vec<Slot>,
    /// Fragments that wait no longer, and what became of their packet.
    pub(super) given: Vec<(Slot, Translated)>,
    /// There are frames for other workers in the batch.
    pub(super) hands_over: bool,
    /// There are fragments in the batch that are to wait.
    pub(super) has_tails: bool,
    /// Views of packets whose connections are asked for.
    pub(super) views: Vec<View>,
    /// A packet while it is cut.
    pub(super) whole: Vec<u8>,
    /// Frames that the rooms behind are to have, too: answers, fragments, frames that have waited.
    pub(super) extra: Vec<Slot>,
    /// A snapshot came since the last batch.
    pub(super) is_fresh: bool,
    /// The policy that connections follow.
    policy: Option<Arc<Policy>>,
    /// Connections ended in the last idle round, or are still to be taken out: there may be more.
    is_behind: bool,
}

impl Memory {
    /// Nothing known. `seed` keys the hash of the connection table.
    pub(in crate::datapath) fn new(seed: u64, shard_spec: ShardSpec) -> Self {
        let room = if shard_spec.is_single() { 0 } else { ROUND_FRAMES_MAX };
        Self {
            nat: Nat::new(NatConfig { capacity: NAT_CONNECTIONS, seed })
                .with_shard_spec(shard_spec),
            held: Held::new(),
            answers: Answers::default(),
            resolve: Resolve::new(),
            counters: RouterCounters::default(),
            fragments: Fragments::new(),
            tracked: (!shard_spec.is_single()).then(Box::default),
            chosen: Vec::with_capacity(room),
            leaving: Vec::with_capacity(room),
            arrived: [Batch::with_capacity(room), Batch::with_capacity(room)],
            joining: Vec::with_capacity(room),
            given: Vec::with_capacity(FRAGMENT_FRAMES_MAX),
            hands_over: false,
            has_tails: false,
            views: Vec::with_capacity(WARM_FRAMES),
            whole: Vec::with_capacity(FRAME_MAX),
            extra: Vec::with_capacity(ROUND_FRAMES_MAX),
            is_fresh: false,
            policy: None,
            is_behind: false,
        }
    }

    /// A new snapshot: whoever waits may go on, and connections that are no longer allowed end.
    pub(in crate::datapath) fn follow(&mut self, snapshot: &Snapshot) {
        self.is_fresh = true;
        let policy = snapshot.uplinks().next().map(|uplink| Arc::clone(&uplink.policy));
        if let Some(policy) = &policy
            && self.policy.as_ref() != Some(policy)
        {
            self.nat.revalidate(policy);
        }
        // Without an uplink the connections stay for when it comes back, or until they expire.
        self.policy = policy.or(self.policy.take());
    }

    /// Lets connections expire, a bounded number at a time. Where no frames came nobody waits, and there
    /// may be more.
    pub(in crate::datapath) fn tick(&mut self, now: Nanos, is_idle: bool) {
        let Some(policy) = &self.policy else { return };
        let operations = if is_idle { NAT_OPERATIONS_IDLE } else { TICK_OPERATIONS };
        let before = self.nat.len();
        self.nat.tick(Time(now.0), policy, operations);
        self.is_behind = self.nat.has_work() || is_idle && self.nat.len() < before;
    }

    /// How long a worker to which nothing comes may sleep; without end if there is nothing to do.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        let waits = (self.held.len() > 0).then_some(WAITING_WAKE);
        let rests = !self.is_empty() || !self.fragments.is_empty() || self.tracks();
        waits.or(self.is_behind.then_some(EXPIRY_WAKE)).or(rests.then_some(EXPIRY_REST))
    }

    /// Forgets a port that is gone: its connections end, and its frames that wait are dropped.
    pub fn forget_port(&mut self, port: PortIndex, pool: &mut Pool, stats: &mut Stats) {
        let owner = OwnerId(port.get() as u32);
        self.nat.remove_owner(owner);
        let mut give = |slot: Slot, refusal: Option<NatDrop>| {
            stats.drop(slot.port, refusal.map_or(DropReason::PortUnknown, DropReason::from));
            pool.release(slot.frame);
        };
        self.fragments.remove_owner(owner, &mut |slot, settled| give(slot, settled.err()));
        if let Some(tracked) = &mut self.tracked {
            tracked.remove_owner(owner, &mut |slot, choice| give(slot, choice.err()));
        }
        for arrived in self.arrived.iter_mut().map(Batch::incoming) {
            for handed in arrived.extract_if(.., |handed| handed.port == port) {
                stats.drop(port, DropReason::PortUnknown);
                pool.release(handed.frame);
            }
        }
        for _ in 0..self.held.len() {
            let Some(waiting) = self.held.pop() else { break };
            if waiting.slot.port == port {
                stats.drop(port, DropReason::PortUnknown);
                pool.release(waiting.slot.frame);
            } else {
                self.held.put_back(waiting);
            }
        }
    }

    /// Next hops that control is to find, and on whose behalf.
    pub fn wanted(&mut self) -> impl Iterator<Item = (IpAddr, PortIndex)> {
        self.resolve.take()
    }

    /// Connections, as many as are listed at a time.
    pub fn connections(&self) -> impl Iterator<Item = Row> {
        self.nat.rows().take(CONNTRACK_ROWS_MAX)
    }

    /// Goes on with ending connections, or begins if `flushing` is none. Says how far it is, and whether that was
    /// all.
    pub fn flush(
        &mut self,
        flushing: Option<Flushing>,
        which: impl Fn(&Row) -> bool,
    ) -> (Flushing, bool) {
        let mut flushing = flushing.unwrap_or_else(|| self.nat.start_flush());
        let is_done = self.nat.flush_some(&mut flushing, CONNTRACK_FLUSHED_MAX, which);
        (flushing, is_done)
    }

    /// Connections, those included that have expired and were not taken out yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nat.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Frames that wait here.
    #[must_use]
    pub fn held(&self) -> usize {
        let tracked = self.tracked.as_ref().map_or(0, |tracked| tracked.frames_waiting());
        let arrived: usize = self.arrived.iter().map(Batch::len).sum();
        self.held.len() + self.fragments.frames_waiting() + tracked + arrived
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> RouterCounters {
        self.counters
    }

    /// What happened to connections.
    #[must_use]
    pub fn connection_counters(&self) -> nat::Counters {
        self.nat.counters()
    }

    /// Puts aside what is to wait, and what is due into the batch.
    pub(super) fn collect(&mut self, now: Nanos, batch: &mut Batch) {
        if self.held.awaits() {
            for slot in batch.slots.extract_if(.., |slot| slot.verdict == Verdict::AwaitsHop) {
                if let Some(ousted) = self.held.keep(slot, now) {
                    let verdict = Verdict::Drop(DropReason::NeighbourQueueFull);
                    self.extra.push(Slot { verdict, ..ousted });
                }
            }
        }
        if std::mem::take(&mut self.hands_over) {
            self.collect_leaving(batch);
        }
        batch.slots.append(&mut self.extra);
    }
}
