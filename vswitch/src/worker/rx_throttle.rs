//! RX throttle: bounds reads from ports that flood or whose frames are mostly dropped.
//!
//! # Theory of operation
//!
//! A dropped frame costs a worker as much as a forwarded one, and a container can send half a million a
//! second. Every [`THROTTLE_PERIOD`] the worker classifies its active ports. It throttles a port that
//!
//! - lost more than half of its frames to the guard, storm control or its rate limit, or
//! - floods: more than [`FLOOD_FRAMES`] small frames in the period and few replies, while another port
//!   is active.
//!
//! A throttled port has a budget per period: [`THROTTLE_FRAMES`], or twice its passed frames if that is
//! more, so that it still reaches its rate. Surplus frames fill the TAP's queue; then the kernel drops them
//! in the sender's own time. The throttle ends after [`THROTTLE_TIME`] of normal traffic. A worker with
//! throttled ports only sleeps until the next period.
//!
//! Bulk transfers are no floods: their frames are long, and ACKs are fewer than the frames they answer. The
//! host's port and the uplink are exempt, since many hosts send through them.

use fastpath::{Engine, Nanos, PortIndex};

use crate::datapath::Stats;
use crate::limits::{
    FLOOD_BYTES_PER_FRAME, FLOOD_FRAMES, THROTTLE_FRAMES, THROTTLE_PERIOD, THROTTLE_TIME,
};

#[cfg(test)]
mod tests;

/// Counters of a port, in total or of one period.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    rx_frames: u64,
    rx_bytes: u64,
    tx_frames: u64,
    dropped: u64,
}

impl Tally {
    fn of(port: PortIndex, engine: &dyn Engine, stats: &Stats) -> Self {
        let io = engine.port_io(port);
        Self {
            rx_frames: io.traffic.rx_frames,
            rx_bytes: io.traffic.rx_bytes,
            tx_frames: io.traffic.tx_frames,
            dropped: stats.dropped(port),
        }
    }

    /// Difference to an earlier tally. A reused slot counts from zero.
    fn since(&self, past: &Self) -> Self {
        Self {
            rx_frames: self.rx_frames.saturating_sub(past.rx_frames),
            rx_bytes: self.rx_bytes.saturating_sub(past.rx_bytes),
            tx_frames: self.tx_frames.saturating_sub(past.tx_frames),
            dropped: self.dropped.saturating_sub(past.dropped),
        }
    }

    /// Class of the period's traffic. A throttled port floods from its budget on.
    fn classify(&self, is_throttled: bool) -> TrafficClass {
        let frames = self.rx_frames;
        let flood = if is_throttled { THROTTLE_FRAMES } else { FLOOD_FRAMES };
        if frames == 0 {
            TrafficClass::Idle
        } else if frames >= THROTTLE_FRAMES && 2 * self.dropped > frames {
            TrafficClass::MostlyDropped { passed: frames.saturating_sub(self.dropped) }
        } else if frames >= flood
            && self.rx_bytes / frames < FLOOD_BYTES_PER_FRAME
            && 8 * self.tx_frames < frames
        {
            TrafficClass::Flood
        } else {
            TrafficClass::Normal
        }
    }
}

/// Traffic class of a port in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrafficClass {
    Idle,
    Normal,
    /// More than half of the frames dropped.
    MostlyDropped {
        passed: u64,
    },
    /// Many small frames and few replies.
    Flood,
}

#[derive(Debug, Default, Clone, Copy)]
struct Port {
    past: Tally,
    /// End of the throttle.
    until: Nanos,
    /// Frames per period.
    budget: u32,
}

/// Throttled ports of a worker.
#[derive(Debug, Default)]
pub(super) struct RxThrottle {
    /// Start of the period.
    last: Nanos,
    ports: Vec<Port>,
    throttled: Vec<PortIndex>,
    classes: Vec<(PortIndex, TrafficClass)>,
    count: u64,
}

impl RxThrottle {
    /// Whether any port is throttled.
    pub(super) fn is_active(&self) -> bool {
        !self.throttled.is_empty()
    }

    /// Number of throttles.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Classifies and bounds active ports at the end of a period. Call once per round.
    #[inline]
    pub(super) fn round(
        &mut self,
        now: Nanos,
        engine: &mut dyn Engine,
        stats: &Stats,
        is_exempt: impl Fn(PortIndex) -> bool,
    ) {
        if now - self.last >= THROTTLE_PERIOD {
            self.period(now, engine, stats, is_exempt);
        }
    }

    fn period(
        &mut self,
        now: Nanos,
        engine: &mut dyn Engine,
        stats: &Stats,
        is_exempt: impl Fn(PortIndex) -> bool,
    ) {
        // A sleep leaves no full period to classify.
        let slept = now - self.last > 4 * THROTTLE_PERIOD;
        self.last = now;
        self.classes.clear();
        for &port in engine.active() {
            if self.ports.len() <= port.get() {
                self.ports.resize(port.get() + 1, Port::default());
            }
            let tally = Tally::of(port, engine, stats);
            let past = std::mem::replace(&mut self.ports[port.get()].past, tally);
            if !is_exempt(port) {
                let is_throttled = self.throttled.contains(&port);
                self.classes.push((port, tally.since(&past).classify(is_throttled)));
            }
        }
        if !slept {
            self.throttle(now);
        }
        let (ports, throttled) = (&mut self.ports, &mut self.throttled);
        throttled.retain(|&port| {
            let Port { until, budget, .. } = ports[port.get()];
            let is_throttled = until > now && engine.active().contains(&port);
            engine.set_rx_budget(port, is_throttled.then_some(budget));
            is_throttled
        });
    }

    fn throttle(&mut self, now: Nanos) {
        let others_talk = self.classes.iter().any(|&(_, class)| class == TrafficClass::Normal);
        for &(slot, class) in &self.classes {
            let frames = match class {
                TrafficClass::MostlyDropped { passed } => THROTTLE_FRAMES.max(2 * passed),
                TrafficClass::Flood if others_talk => THROTTLE_FRAMES,
                _ => continue,
            };
            let port = &mut self.ports[slot.get()];
            port.budget = u32::try_from(frames).unwrap_or(u32::MAX);
            port.until = now.after(THROTTLE_TIME);
            if !self.throttled.contains(&slot) {
                self.throttled.push(slot);
                self.count += 1;
            }
        }
    }
}
