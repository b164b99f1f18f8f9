//! Loop protection: a container that bridges two ports of the switch must not bring it down.
//!
//! # Theory of operation
//!
//! Two signs say that there is a loop behind a port:
//!
//! - *Its own probe comes back.* To a guarded port that has sent a broadcast or multicast frame the
//!   switch sends a probe (`loops/probe.rs`), once in [`PROBE_EVERY`] at most: a loop that matters sends
//!   such frames without end, and a switch at rest sends none and sleeps. Whoever bridges the
//!   port with another one forwards the probe, and the switch hears it. Nobody else can: a probe is
//!   sent to its own port only, and its tag is keyed.
//! - *A MAC address flaps*: more than [`FLAP_MOVES_MAX`] moves within [`FLAP_WINDOW`].
//!
//! ```text
//!            a sign                       pause over
//!   open ------------> blocked (10 s) ------------------> open, remembered
//!    ^                                                      |          |
//!    |  no sign for LOOP_HISTORY                      a sign|          |
//!    +------------------------------------------------------(----------+
//!                                                           v
//!                                    blocked, twice as long as before, 5 min at most
//! ```
//!
//! A blocked port neither sends nor gets (`loop-blocked`). To open a loop one port of it is enough:
//! of two the one with the higher number is blocked, and the host's port never. Of a MAC address that
//! flaps, the port that it was configured for stays, else the one where it was before it first moved:
//! whoever takes a neighbour's address blocks himself. That is forgotten after [`LOOP_HISTORY`] without a move;
//! of two ports that are neither, none is blocked.
//!
//! Nothing here runs by a timer. A pause ends by comparing it with `now`, when the next frame comes.
//! [`LoopTable`] is shared by all workers: each port's state is one word, changed by compare-and-swap, so
//! that a loop that two workers see is blocked and told once.
//!
//! Limits: [`FLAPS`] addresses are followed at a time; [`LOOP_EVENTS_MAX`] events may wait.

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

/// What showed the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoopSign {
    /// A probe that was sent to one port came in at the other.
    Probe {
        /// Where it was sent.
        sent: PortIndex,
        /// Where it came in.
        heard: PortIndex,
    },
    /// A MAC address that lives on another port, too.
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
    /// Which one.
    pub port: PortIndex,
    /// Why.
    pub sign: LoopSign,
    /// For how long.
    pub pause: Duration,
}

/// A MAC address on the move.
#[derive(Debug, Clone, Copy)]
struct Flap {
    key: Key,
    /// When the window began in which moves are counted.
    since: Nanos,
    /// Where it was before its first move.
    origin: PortIndex,
    moves: u32,
}

/// One worker's part of loop protection.
#[derive(Debug)]
pub struct Loops {
    loop_table: Arc<LoopTable>,
    /// When each port was last sent a probe.
    probed: Vec<Option<Nanos>>,
    /// Ports that are to get one now.
    due: Vec<PortIndex>,
    flaps: Vec<Flap>,
    events: Vec<LoopEvent>,
    /// Ports behind which addresses were seen that do not live there.
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

    /// What all workers know.
    #[must_use]
    pub fn table(&self) -> &Arc<LoopTable> {
        &self.loop_table
    }

    /// What happened since the last call.
    pub fn events(&mut self) -> impl Iterator<Item = LoopEvent> {
        self.events.drain(..)
    }

    /// Counters of blocked ports, and of those that the log does not name.
    #[must_use]
    pub fn counters(&self) -> LoopCounters {
        self.counters
    }

    /// Drops what blocked ports send, looks at probes, notes who is to get one.
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

    /// Forgets what was learnt through loops that were found: everybody seemed to live behind them.
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
            // Where it is now says nothing: whoever took it has only to wait until its owner speaks.
            (flap.since, flap.moves) = (now, 0);
        }
        flap.moves += 1;
        if flap.moves <= FLAP_MOVES_MAX {
            return;
        }
        let is_own = |port| snapshot.port(port).is_some_and(|conf| conf.mac == key.mac());
        let origin = Some(flap.origin).filter(|origin| [from, to].contains(origin));
        // Of two strangers nobody can tell who took it; in a loop its origin has its turn.
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

/// Guarded, and not the host's.
fn may_block(port: PortIndex, snapshot: &Snapshot) -> bool {
    snapshot.port(port).is_some_and(|conf| conf.kind.may_be_blocked())
        && snapshot.limits(port).loop_guard
}
