//! Loop protection: blocks ports that a container bridges.
//!
//! # Theory of operation
//!
//! Two signs show a loop behind a port:
//!
//! - *A probe returns.* A guarded port that sends broadcast or multicast gets a probe
//!   (`loops/probe.rs`), once per [`PROBE_EVERY`] at most; an idle switch sends none. A bridge forwards
//!   the probe to another port of the switch. Its keyed tag prevents forgery.
//! - *A MAC address flaps*: more than [`FLAP_MOVES_MAX`] moves within [`FLAP_WINDOW`].
//!
//! ```text
//!            a sign                       block ends
//!   open ------------> blocked (10 s) ------------------> open, remembered
//!    ^                                                      |          |
//!    |  no sign for LOOP_HISTORY                      a sign|          |
//!    +------------------------------------------------------(----------+
//!                                                           v
//!                                    blocked, twice as long as before, 5 min at most
//! ```
//!
//! A blocked port drops frames of both directions (`loop-blocked`). One blocked port opens a loop: the
//! higher number of two, never the host's port. A flapping MAC address stays on its configured port, else
//! on the port of its first learning, so that a thief blocks itself. That origin is forgotten after
//! [`LOOP_HISTORY`] without a move; of two other ports none is blocked.
//!
//! Blocks need no timer: each frame compares their end with `now`. All workers share [`LoopTable`], one
//! atomic word per port, so that a loop seen by two workers blocks and reports once.
//!
//! Limits: [`FLAPS`] addresses per worker, [`LOOP_EVENTS_MAX`] events per round.

mod probe;
#[cfg(test)]
mod tests;

mod table;

use std::sync::Arc;
use std::time::Duration;

use fastpath::{Nanos, Pool, PortIndex};
use vswitch_counters::LoopCounters;
use wire::MacAddr;

pub(super) use probe::PROBE_DST;
pub use table::LoopTable;

use super::limits::{
    FLAP_MOVES_MAX, FLAP_WINDOW, FLAPS, LOOP_EVENTS_MAX, LOOP_HISTORY, PROBE_EVERY,
};
use super::{Batch, DropReason, Egress, Fdb, FrameIo, Key, Observer, Snapshot, Verdict};

/// Evidence of a loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopSign {
    /// A probe to one port came in at another.
    Probe {
        /// Egress port of the probe.
        sent: PortIndex,
        /// Ingress port of the probe.
        heard: PortIndex,
    },
    /// A MAC address flaps between two ports.
    Flap {
        /// The address.
        mac: MacAddr,
        /// The port that keeps it.
        other: PortIndex,
    },
}

/// A port was blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopEvent {
    /// Blocked port.
    pub port: PortIndex,
    /// Sign of the loop.
    pub sign: LoopSign,
    /// Time of the block.
    pub pause: Duration,
}

/// Moves of a MAC address.
#[derive(Debug, Clone, Copy)]
struct Flap {
    key: Key,
    /// Start of the window that counts moves.
    since: Nanos,
    /// Port before the first move.
    origin: PortIndex,
    moves: u32,
}

/// Loop protection of one worker.
#[derive(Debug)]
pub struct Loops {
    loop_table: Arc<LoopTable>,
    /// Time of the last probe to each port.
    probed: Vec<Option<Nanos>>,
    /// Ports due for a probe.
    due: Vec<PortIndex>,
    flaps: Vec<Flap>,
    events: Vec<LoopEvent>,
    /// Ports whose learnt FDB entries are to be flushed.
    ports_to_flush: Vec<PortIndex>,
    counters: LoopCounters,
}

impl Loops {
    pub(super) fn new(loop_table: Arc<LoopTable>) -> Self {
        let never = Flap { key: Key::NONE, since: Nanos(0), origin: PortIndex(0), moves: 0 };
        Self {
            loop_table,
            probed: Vec::new(),
            due: Vec::with_capacity(fastpath::limits::ROUND_FRAMES_MAX),
            flaps: vec![never; FLAPS],
            events: Vec::with_capacity(LOOP_EVENTS_MAX),
            ports_to_flush: Vec::with_capacity(2 * LOOP_EVENTS_MAX),
            counters: LoopCounters::default(),
        }
    }

    /// The table that all workers share.
    #[must_use]
    pub fn table(&self) -> &Arc<LoopTable> {
        &self.loop_table
    }

    /// Events since the last call.
    pub fn events(&mut self) -> impl Iterator<Item = LoopEvent> {
        self.events.drain(..)
    }

    /// Counters of blocked ports, and of those that the log does not name.
    #[must_use]
    pub fn counters(&self) -> LoopCounters {
        self.counters
    }

    /// Drops frames of blocked ports, handles probes, schedules new ones.
    pub(super) fn ingress(
        &mut self,
        now: Nanos,
        batch: &mut Batch,
        pool: &Pool,
        snapshot: &Snapshot,
    ) {
        let guarded = snapshot.limited().loop_guard;
        if !guarded && !self.loop_table.any_blocked(now) {
            return;
        }
        for run in batch.frames.chunk_by_mut(|a, b| a.port == b.port) {
            let port = run[0].port;
            let mut sends_to_groups = false;
            for ctx in run.iter_mut() {
                if ctx.meta.dst == PROBE_DST {
                    ctx.verdict = Verdict::Drop(DropReason::LoopProbe);
                    self.probe_received(now, port, pool.bytes(&ctx.frame), snapshot);
                }
                sends_to_groups |= ctx.dst.is_multicast() && ctx.verdict == Verdict::Pending;
            }
            if self.loop_table.is_blocked(port, now) {
                let pending = run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending);
                pending.for_each(|ctx| ctx.verdict = Verdict::Drop(DropReason::LoopBlocked));
            } else if guarded && sends_to_groups && snapshot.limits(port).loop_guard {
                self.schedule_probe(now, port);
            }
        }
    }

    fn schedule_probe(&mut self, now: Nanos, port: PortIndex) {
        if self.probed.len() <= port.get() {
            self.probed.resize(port.get() + 1, None);
        }
        let last = &mut self.probed[port.get()];
        if last.is_none_or(|last| now - last >= PROBE_EVERY) {
            *last = Some(now);
            self.due.push(port);
        }
    }

    /// Removes addresses learnt through a loop, behind which every host seemed to live.
    pub(super) fn flush_fdb(&mut self, fdb: &mut Fdb) {
        self.ports_to_flush.drain(..).for_each(|port| fdb.forget_learnt(port));
    }

    /// Sends the probes that are due.
    pub(super) fn send(
        &mut self,
        io: &mut FrameIo<'_, impl Observer>,
        egress: &mut (impl Egress + ?Sized),
    ) {
        for port in self.due.drain(..) {
            let Some(frame) = io.pool.alloc_with(&self.loop_table.probe(port)) else { continue };
            io.stats.counters.generated += 1;
            egress.send(io, port, frame);
        }
    }

    /// A frame to the address of probes came in.
    fn probe_received(&mut self, now: Nanos, heard: PortIndex, bytes: &[u8], snapshot: &Snapshot) {
        let Some(sent) = self.loop_table.recognise(bytes) else { return };
        if self.loop_table.is_blocked(sent, now) || self.loop_table.is_blocked(heard, now) {
            return;
        }
        let [last, first] = if sent > heard { [sent, heard] } else { [heard, sent] };
        let sign = LoopSign::Probe { sent, heard };
        if may_block(last, snapshot) {
            self.block(now, last, sign);
        } else if may_block(first, snapshot) {
            self.block(now, first, sign);
        }
    }

    /// A MAC address that was on one port was seen on another. `hash` spreads addresses.
    pub(super) fn moved(
        &mut self,
        now: Nanos,
        hash: usize,
        key: Key,
        [from, to]: [PortIndex; 2],
        snapshot: &Snapshot,
    ) {
        let flap = &mut self.flaps[hash % FLAPS];
        let quiet = now - flap.since;
        if flap.key != key || quiet > LOOP_HISTORY {
            *flap = Flap { key, since: now, origin: from, moves: 0 };
        } else if quiet > FLAP_WINDOW {
            // The current port says nothing: it may be the thief's.
            (flap.since, flap.moves) = (now, 0);
        }
        flap.moves += 1;
        if flap.moves <= FLAP_MOVES_MAX {
            return;
        }
        let is_own = |port| snapshot.port(port).is_some_and(|conf| conf.mac == key.mac());
        let origin = Some(flap.origin).filter(|origin| [from, to].contains(origin));
        // Neither of two unknown ports is blocked; in a loop the origin shows up again.
        let Some(stays) = [from, to].into_iter().find(|&port| is_own(port)).or(origin) else {
            return;
        };
        let goes = if stays == to { from } else { to };
        flap.moves = 0;
        if may_block(goes, snapshot) {
            self.block(now, goes, LoopSign::Flap { mac: key.mac(), other: stays });
        }
    }

    fn block(&mut self, now: Nanos, port: PortIndex, sign: LoopSign) {
        let Some(pause) = self.loop_table.block(port, now) else { return };
        self.counters.loop_blocks += 1;
        self.ports_to_flush.push(port);
        if let LoopSign::Probe { sent, heard } = sign {
            self.ports_to_flush.push(if port == sent { heard } else { sent });
        }
        if self.events.len() < LOOP_EVENTS_MAX {
            self.events.push(LoopEvent { port, sign, pause });
        } else {
            self.counters.loop_events_dropped += 1;
        }
    }
}

/// Whether a port is guarded and of a kind that may be blocked.
fn may_block(port: PortIndex, snapshot: &Snapshot) -> bool {
    snapshot.port(port).is_some_and(|conf| conf.kind.may_be_blocked())
        && snapshot.limits(port).loop_guard
}
