//! Progress of a daemon that ends: `down` waits as long as it closes ports.
//!
//! The kernel takes some 20 ms to close a port, many at a time, and longer on a busy host. The daemon's open descriptors
//! (`/proc/PID/fd`) show how many remain, unless it was killed. `down` gives up after [`DOWN_TIMEOUT`] without progress.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::limits::{DOWN_SAY_EVERY, DOWN_TIMEOUT, DOWN_UNSEEN_PORT};

/// Device of TAP descriptors.
const TUN: &str = "/dev/net/tun";

/// Action after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Wait,
    /// Report: remaining ports, of how many.
    Say(usize, usize),
    GiveUp,
}

/// Looks so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    first: Option<usize>,
    last: Option<usize>,
    /// Time since the last change.
    still: Duration,
    /// Time since the last report.
    silent: Duration,
}

impl Progress {
    /// A look, `passed` after the one before: `left` ports remain, if that can be seen.
    pub(super) fn look(&mut self, left: Option<usize>, passed: Duration) -> Next {
        self.silent += passed;
        self.still += passed;
        if left != self.last {
            self.still = Duration::ZERO;
            self.last = left;
        }
        self.first = self.first.or(left);
        let unseen = match (left, self.first) {
            (None, Some(first)) => u32::try_from(first).unwrap_or(u32::MAX),
            _ => 0,
        };
        let patience = DOWN_TIMEOUT + DOWN_UNSEEN_PORT.saturating_mul(unseen);
        match (left, self.first) {
            _ if self.still >= patience => Next::GiveUp,
            (Some(left), Some(first)) if self.silent >= DOWN_SAY_EVERY => {
                self.silent = Duration::ZERO;
                Next::Say(left, first)
            }
            _ => Next::Wait,
        }
    }
}

/// The daemon's descriptors.
#[derive(Debug)]
pub(super) struct Ports {
    directory: PathBuf,
    /// Descriptors of one port.
    queues: usize,
}

impl Ports {
    pub(super) fn of(pid: i32, queues: usize) -> Self {
        Self { directory: format!("/proc/{pid}/fd").into(), queues: queues.max(1) }
    }

    /// Number of open ports; `None` without permission.
    pub(super) fn open(&self) -> Option<usize> {
        let descriptors = fs::read_dir(&self.directory).ok()?.flatten();
        let is_tap = |path: PathBuf| fs::read_link(path).is_ok_and(|to| to == Path::new(TUN));
        let taps = descriptors.filter(|fd| is_tap(fd.path())).count();
        Some(taps.div_ceil(self.queues))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(1);

    #[test]
    fn progress_is_awaited_and_reported() {
        let mut progress = Progress::default();
        let said = (0..4_000).filter_map(|n| match progress.look(Some(4_000 - n), STEP) {
            Next::Wait => None,
            Next::Say(left, first) => Some((left, first)),
            Next::GiveUp => panic!("given up after {n} s"),
        });
        let said: Vec<_> = said.collect();
        assert_eq!(said.len() as u64, 4_000 / DOWN_SAY_EVERY.as_secs());
        assert_eq!(said[0], (4_001 - DOWN_SAY_EVERY.as_secs() as usize, 4_000));
    }

    #[test]
    fn no_progress_ends_the_wait() {
        for left in [Some(7), None] {
            let mut progress = Progress::default();
            let seconds = (0..1_000).take_while(|_| progress.look(left, STEP) != Next::GiveUp);
            let limit = DOWN_TIMEOUT.as_secs() as usize;
            assert!((limit - 1..=limit).contains(&seconds.count()), "{left:?}");
        }
    }

    #[test]
    fn a_daemon_that_was_killed_has_time_for_its_ports() {
        let mut progress = Progress::default();
        progress.look(Some(2_000), STEP);
        let seconds = (0..1_000).take_while(|_| progress.look(None, STEP) != Next::GiveUp);
        let limit = (DOWN_TIMEOUT + 2_000 * DOWN_UNSEEN_PORT).as_secs() as usize;
        assert!((limit - 1..=limit).contains(&seconds.count()));
    }

    #[test]
    fn only_taps_are_ports() {
        let me = i32::try_from(std::process::id()).expect("a process id");
        let Some(before) = Ports::of(me, 1).open() else { panic!("own descriptors") };
        let _file = fs::File::open("/dev/null").expect("a file");
        assert_eq!(Ports::of(me, 1).open(), Some(before));
        assert_eq!(Ports::of(-1, 1).open(), None);
    }
}
