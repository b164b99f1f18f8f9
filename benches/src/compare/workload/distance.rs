//! How far the machine's first two processors are from each other: the time that a cache line takes there and back.
//!
//! A hypervisor may put two virtual processors onto one core, or onto cores that share nothing, and
//! change its mind within a minute. A switch in a process of its own hands every byte from one
//! processor to the other; one in the kernel does so on the sender's. So this figure says what the turn's TCP
//! rows were measured on. It is about the machine, and not about the contender.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::{Figures, Times, Turn, Workload};
use crate::limits::{DISTANCE_SAMPLES, DISTANCE_TRIPS};
use crate::metric::Metric;
use crate::stats::median;

#[derive(Debug)]
pub(crate) struct Distance;

impl Workload for Distance {
    fn key(&self) -> &str {
        "distance"
    }

    fn metrics(&self) -> Vec<Metric> {
        let title = "processor 0 to 1 and back".to_owned();
        vec![Metric::lower("distance.ns".to_owned(), title, "ns")]
    }

    fn seconds(&self, _times: Times) -> f64 {
        0.1
    }

    fn run(&self, _turn: &Turn<'_>) -> Result<Figures> {
        Ok(vec![("distance.ns".to_owned(), measure()?)])
    }
}

/// A cache line that nothing else is in.
#[repr(align(128))]
struct Line(AtomicU64);

/// Nanoseconds of a round trip between the two processors.
pub(crate) fn measure() -> Result<f64> {
    // Each would wait for the other for ever, could one not be bound.
    let usable = sched_getaffinity(Pid::from_raw(0)).context("processors of this program")?;
    let both = [0, 1].iter().all(|&processor| usable.is_set(processor).unwrap_or(false));
    ensure!(both, "processors 0 and 1 are not both there");
    let line = Line(AtomicU64::new(0));
    let trips = DISTANCE_SAMPLES as u64 * DISTANCE_TRIPS;
    let times = std::thread::scope(|scope| {
        let far = scope.spawn(|| bind(1).map(|()| answer(&line.0, trips)));
        let near = scope.spawn(|| bind(0).map(|()| ask(&line.0)));
        far.join().map_err(|_| anyhow::anyhow!("the far thread panicked"))??;
        near.join().map_err(|_| anyhow::anyhow!("the near thread panicked"))?
    })?;
    median(&times).context("nothing was measured")
}

/// Makes the number odd, and waits until the other thread has made it even.
fn ask(line: &AtomicU64) -> Vec<f64> {
    let mut number = 0;
    let sample = |_| {
        let begin = Instant::now();
        for _ in 0..DISTANCE_TRIPS {
            line.store(number + 1, Ordering::Release);
            number += 2;
            while line.load(Ordering::Acquire) != number {
                std::hint::spin_loop();
            }
        }
        begin.elapsed().as_nanos() as f64 / DISTANCE_TRIPS as f64
    };
    (0..DISTANCE_SAMPLES).map(sample).collect()
}

fn answer(line: &AtomicU64, trips: u64) {
    for trip in 0..trips {
        while line.load(Ordering::Acquire) != 2 * trip + 1 {
            std::hint::spin_loop();
        }
        line.store(2 * trip + 2, Ordering::Release);
    }
}

/// Binds the calling thread.
fn bind(processor: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(processor)
        .and_then(|()| sched_setaffinity(Pid::from_raw(0), &set))
        .with_context(|| format!("bind a thread to processor {processor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_line_takes_its_time() {
        let ns = measure().expect("two processors");
        assert!((1.0..1e6).contains(&ns), "{ns} ns");
    }
}
