//! Prototype.
use std::time::Duration;
use fastpath::{Engine, Nanos, PortIndex};
use crate::datapath::Stats;

pub(super) const PERIOD: Duration = Duration::from_micros(1000);
fn env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen { frames: u64, bytes: u64, dropped: u64, bad: u32, bound: u32 }

#[derive(Debug, Default)]
pub(super) struct Fair { next: Nanos, seen: Vec<Seen>, bound: Vec<PortIndex>, cfg: Option<(u64, u64, u64)> }

impl Fair {
    pub(super) fn any(&self) -> bool { !self.bound.is_empty() }

    pub(super) fn judge(&mut self, now: Nanos, engine: &mut dyn Engine, stats: &Stats) {
        if now < self.next { return; }
        let (bad_frames, greedy_at, greedy_frames) = *self.cfg.get_or_insert_with(|| (env("BAD", 32), env("GREEDY_AT", 64), env("GREEDY", 64)));
        self.next = now.after(PERIOD);
        let active: Vec<PortIndex> = engine.active().to_vec();
        let mut quiet = 0;
        let mut deltas = Vec::new();
        for &port in &active {
            if self.seen.len() <= port.get() { self.seen.resize(port.get() + 1, Seen::default()); }
            let io = engine.port_io(port);
            let dropped = stats.dropped(port);
            let seen = &mut self.seen[port.get()];
            let (df, db, dd) = (io.rx_frames - seen.frames, io.rx_bytes - seen.bytes, dropped - seen.dropped);
            seen.frames = io.rx_frames; seen.bytes = io.rx_bytes; seen.dropped = dropped;
            let small = df > 0 && db / df < 512;
            let bad = dd * 2 > df && df >= bad_frames;
            let greedy = small && df >= greedy_at;
            if df > 0 && !bad && !greedy { quiet += 1; }
            deltas.push((port, bad, greedy));
        }
        for (port, bad, greedy) in deltas {
            let seen = &mut self.seen[port.get()];
            if bad { seen.bad = 16; seen.bound = bad_frames as u32; }
            else if greedy && quiet > 0 { seen.bad = 16; seen.bound = greedy_frames as u32; }
            else { seen.bad = seen.bad.saturating_sub(1); }
            if seen.bad > 0 {
                if !self.bound.contains(&port) { self.bound.push(port); }
            }
        }
        let seen = &mut self.seen;
        self.bound.retain(|port| {
            let s = &mut seen[port.get()];
            if !active.contains(port) { s.bad = 0; }
            engine.allow(*port, (s.bad > 0).then_some(s.bound));
            s.bad > 0
        });
    }
}
