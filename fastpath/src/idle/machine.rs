//! Looks at the machine: idle time of processors (`proc_stat(5)`), processor time of this process
//! (`clock_gettime(2)`).
//!
//! Pressure (`/proc/pressure/cpu`) is not asked: it counts threads that wait behind a limit of their own
//! control group while processors are idle, it may be absent, and it does not say how much is left
//! (docs/performance/experiments/idle-policy.md).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::governor::Sample;
use crate::clock::{Clock, Nanos};
use crate::limits::PROC_STAT_MAX;

/// Processors that workers may run on, and where their idle time is read.
#[derive(Debug)]
pub struct Machine {
    stat: File,
    /// Sorted.
    processors: Vec<usize>,
    text: Vec<u8>,
    last: Option<Look>,
}

/// Clocks at a look.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Nanos,
    /// Of all processors together.
    idle: Duration,
    /// Of all threads of this process.
    own: Duration,
}

impl Machine {
    /// A machine of these processors.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read, or has none of them.
    pub fn new(mut processors: Vec<usize>) -> io::Result<Self> {
        processors.sort_unstable();
        processors.dedup();
        let stat = File::open("/proc/stat")?;
        let mut this = Self { stat, processors, text: Vec::new(), last: None };
        this.look()?;
        Ok(this)
    }

    /// What others left since the last look.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read, or has none of the processors.
    pub fn look(&mut self) -> io::Result<Sample> {
        let (idle, processors) = self.idle()?;
        let now = Look { at: Clock.now(), idle, own: own_time() };
        let last = self.last.replace(now).unwrap_or(now);
        Ok(Sample { spare: spare(last, now), processors })
    }

    /// Idle time of the processors that are plugged in, and their number.
    fn idle(&mut self) -> io::Result<(Duration, usize)> {
        self.text.resize(PROC_STAT_MAX, 0);
        let mut len = 0;
        // A short read ends at a line of its own choice.
        while let got @ 1.. = self.stat.read_at(&mut self.text[len..], len as u64)? {
            len += got;
        }
        let text = std::str::from_utf8(&self.text[..len]).map_err(io::Error::other)?;
        let idle = idle_ticks(text, &self.processors).map(|(sum, found)| (ticks(sum), found));
        idle.ok_or_else(|| io::Error::other("/proc/stat has no processor of the workers"))
    }
}

/// Processors that were idle or used by this process, on average.
fn spare(last: Look, now: Look) -> f64 {
    let wall = (now.at - last.at).as_secs_f64();
    if wall <= 0.0 {
        return 0.0;
    }
    let idle = now.idle.saturating_sub(last.idle) + now.own.saturating_sub(last.own);
    idle.as_secs_f64() / wall
}

/// Idle time of processors in clock ticks, and how many are there. One that waits for a disk is idle too.
fn idle_ticks(proc_stat: &str, processors: &[usize]) -> Option<(u64, usize)> {
    let (mut sum, mut found) = (0, 0);
    // The lines of processors come first.
    for line in proc_stat.lines().take_while(|line| line.starts_with("cpu")) {
        let mut fields = line["cpu".len()..].split(' ');
        let Some(number) = fields.next().and_then(|number| number.parse().ok()) else { continue };
        if processors.binary_search(&number).is_ok() {
            // user nice system idle iowait
            let mut fields = fields.skip(3).map(str::parse::<u64>);
            sum += fields.next()?.ok()? + fields.next()?.ok()?;
            found += 1;
        }
    }
    (found > 0).then_some((sum, found))
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn own_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

#[cfg(test)]
mod tests;
