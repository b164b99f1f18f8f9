//! Ports that are held back, so that what they send does not cost the others the worker's time.
//!
//! # Theory of operation
//!
//! A frame costs the worker as much when it is dropped as when it is forwarded, and a container can send
//! half a million small ones a second. Where worker and endpoints share the processors, a worker that
//! never rests also keeps the other containers' threads from running. So every [`THROTTLE_PERIOD`]
//! the worker looks at the ports that it reads. One is *held back* that
//!
//! - had more than half of its frames dropped, by the guard, by storm control or by its rate, or
//! - floods: small frames that nobody answers, more than [`FLOOD_FRAMES`] in the period, while another
//!   port has something to say.
//!
//! A port that is held back may have [`THROTTLE_FRAMES`] read in a period, or twice what got through
//! where that is more, so that a rate is still reached. What it sends beyond waits in the queue of
//! its TAP, and when that is full the kernel drops it in the sender's own time. It is let go when it has
//! behaved for [`THROTTLE_TIME`]. Between two periods the worker sleeps, if nobody else has frames.
//!
//! Bulk transfers are not floods: their frames are long, and those that acknowledge them are fewer than
//! what they answer. One port alone is never one. The uplink and the host's port are spared: strangers speak by
//! them as well as those whom containers have asked, and the one must not hold back the other.

use fastpath::{Engine, Nanos, PortIndex};

use crate::datapath::Stats;
use crate::limits::{
    FLOOD_BYTES_PER_FRAME, FLOOD_FRAMES, THROTTLE_FRAMES, THROTTLE_PERIOD, THROTTLE_TIME,
};

#[cfg(test)]
mod tests;

/// What a port has done: since it was opened, or in a period.
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

    /// A slot that is used again counts from zero.
    fn since(&self, past: &Self) -> Self {
        Self {
            rx_frames: self.rx_frames.saturating_sub(past.rx_frames),
            rx_bytes: self.rx_bytes.saturating_sub(past.rx_bytes),
            tx_frames: self.tx_frames.saturating_sub(past.tx_frames),
            dropped: self.dropped.saturating_sub(past.dropped),
        }
    }

    /// How it behaved; `is_throttled`: as far as it could, being held back.
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

/// How a port behaved in a period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TrafficClass {
    Idle,
    Normal,
    /// Most of its frames were dropped; so many were not.
    MostlyDropped {
        passed: u64,
    },
    /// Small frames without end, and no answers.
    Flood,
}

#[derive(Debug, Default, Clone, Copy)]
struct Port {
    past: Tally,
    /// Held back until then.
    until: Nanos,
    /// Frames a period.
    budget: u32,
}

/// Which ports a worker holds back.
#[derive(Debug, Default)]
pub(super) struct RxThrottle {
    /// When it looked last.
    last: Nanos,
    ports: Vec<Port>,
    throttled: Vec<PortIndex>,
    classes: Vec<(PortIndex, TrafficClass)>,
    count: u64,
}

impl RxThrottle {
    /// Whether a port waits for the next period.
    pub(super) fn is_active(&self) -> bool {
        !self.throttled.is_empty()
    }

    /// How often a port was held back.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Once a round: at the end of a period, judges the ports that are read and bounds them.
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
        // After a sleep there is only a part of a period, and nothing to compare it with.
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
