//! Samples of processor time: idle time of processors (`proc_stat(5)`), and time of this process
//! (`clock_gettime(2)`).
//!
//! Pressure (`/proc/pressure/cpu`) is not asked: it does not tell a load that is better off with spinning
//! workers from one that is not (docs/performance/experiments/idle-policy.md).
//!
//! Time of interrupts counts as another's where the kernel accounts for it
//! (`CONFIG_IRQ_TIME_ACCOUNTING`), and so does time that a hypervisor steals.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use super::governor::Sample;
use crate::clock::{Clock, Nanos};
use crate::limits::PROC_STAT_MAX;

/// Processors that workers may run on, and the file with their idle time.
#[derive(Debug)]
pub struct CpuSampler {
    stat: File,
    /// Sorted.
    processors: Vec<usize>,
    text: Vec<u8>,
    last: Clocks,
}

/// Clocks at the time of a sample.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    at: Nanos,
    /// Of all processors together.
    idle: Duration,
    /// Of all threads of this process.
    own: Duration,
}

impl CpuSampler {
    /// Samples of these processors, from now on.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read, or lacks one of them.
    pub fn new(mut processors: Vec<usize>) -> io::Result<Self> {
        processors.sort_unstable();
        processors.dedup();
        let last = Clocks { at: Nanos(0), idle: Duration::ZERO, own: Duration::ZERO };
        let stat = File::open("/proc/stat")?;
        let mut this = Self { stat, processors, text: Vec::new(), last };
        this.last = this.clocks()?;
        Ok(this)
    }

    /// Use of the processors since the last sample.
    ///
    /// # Errors
    /// `/proc/stat` cannot be read, or lacks a processor: it was unplugged.
    pub fn sample(&mut self) -> io::Result<Sample> {
        let now = self.clocks()?;
        let last = std::mem::replace(&mut self.last, now);
        let processors = self.processors.len();
        Ok(Sample { spare: spare(last, now).min(processors as f64), processors })
    }

    fn clocks(&mut self) -> io::Result<Clocks> {
        self.read()?;
        let text = std::str::from_utf8(&self.text).map_err(io::Error::other)?;
        let idle = idle_ticks(text, &self.processors).ok_or_else(|| {
            io::Error::other("/proc/stat lacks a processor that the workers may run on")
        })?;
        Ok(Clocks { at: Clock.now(), idle: ticks(idle), own: own_time() })
    }

    /// Reads the lines of processors, which come first.
    fn read(&mut self) -> io::Result<()> {
        const PIECE: usize = 16 * 1024;
        self.text.clear();
        while self.text.len() < PROC_STAT_MAX
            && !self.text.windows(5).any(|bytes| bytes == b"\nintr")
        {
            let len = self.text.len();
            self.text.resize(len + PIECE, 0);
            let got = self.stat.read_at(&mut self.text[len..], len as u64)?;
            self.text.truncate(len + got);
            if got == 0 {
                break;
            }
        }
        Ok(())
    }
}

/// Processors that were idle or used by this process, on average.
fn spare(last: Clocks, now: Clocks) -> f64 {
    let wall = (now.at - last.at).as_secs_f64();
    if wall <= 0.0 {
        return 0.0;
    }
    let idle = now.idle.saturating_sub(last.idle) + now.own.saturating_sub(last.own);
    idle.as_secs_f64() / wall
}

/// Idle time of processors in clock ticks; one that waits for a disk is idle too. None if one is missing.
fn idle_ticks(proc_stat: &str, processors: &[usize]) -> Option<u64> {
    let (mut sum, mut found) = (0, 0);
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
    (found > 0 && found == processors.len()).then_some(sum)
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
