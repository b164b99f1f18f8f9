//! Processes that were killed: the kernel closes their sockets and releases their locks a moment later, after seconds where
//! they had many interfaces.
//!
//! A socket or a lock may even outlive its process, in a descriptor that was passed on, or in an io_uring that the kernel
//! has yet to end.

use std::fs;
use std::io;
use std::time::Duration;

use super::limits::{DEATH_POLL, DEATH_WAIT_MAX, GONE_WAIT_MAX};

/// `PF_EXITING` of `linux/sched.h`.
const EXITING: u32 = 4;

/// The bit of SIGKILL among pending signals.
const KILLED: u64 = 1 << (libc::SIGKILL - 1);

/// Where a process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Runs,
    /// It is being killed, or ends.
    Dying,
    Gone,
}

/// Whether a process is dying, or gone. One whose state is not to be read counts as one that runs.
#[must_use]
pub fn is_dying(pid: u32) -> bool {
    life_of(pid) != Life::Runs
}

/// Repeats an attempt while it fails by an error of what a dying process still holds, whose id `holder` gives.
///
/// # Errors
/// That of the last attempt.
pub(crate) async fn outlive<T, E>(
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
    holder: impl Fn(&E) -> Option<u32>,
) -> Result<T, E> {
    let mut waited = Duration::ZERO;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let Some(pid) = holder(&error) else { return Err(error) };
        let wait_max = match life_of(pid) {
            Life::Runs => return Err(error),
            Life::Dying => DEATH_WAIT_MAX,
            Life::Gone => GONE_WAIT_MAX,
        };
        if waited >= wait_max {
            return Err(error);
        }
        if waited.is_zero() {
            tracing::info!(pid, "waiting until the kernel closes what a killed switch holds");
        }
        tokio::time::sleep(DEATH_POLL).await;
        waited += DEATH_POLL;
    }
}

fn life_of(pid: u32) -> Life {
    // Of another PID namespace.
    if pid == 0 {
        return Life::Runs;
    }
    let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}"));
    match (read("stat"), read("status")) {
        (Ok(stat), Ok(status)) => life_in(&stat, &status),
        (Err(error), _) | (_, Err(error)) => match is_gone(&error) {
            true => Life::Gone,
            false => Life::Runs,
        },
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Reads `stat` and `status` of `/proc/PID` (proc(5)).
fn life_in(stat: &str, status: &str) -> Life {
    // The name of the program may have spaces and brackets.
    let mut fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields).split(' ');
    let state = fields.next().unwrap_or_default();
    let flags: u32 = fields.nth(5).and_then(|flags| flags.parse().ok()).unwrap_or_default();
    let pending = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or_default()
    };
    let is_killed = (pending("SigPnd:") | pending("ShdPnd:")) & KILLED != 0;
    match matches!(state, "Z" | "X") || flags & EXITING != 0 || is_killed {
        true => Life::Dying,
        false => Life::Runs,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::process::{Command, Stdio};

    use super::*;

    const STATUS: &str =
        "Name:\tvswitch\nSigQ:\t0/95000\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n";

    #[test]
    fn the_state_of_a_process_is_read() {
        let runs = "7 (a) Z (b) S 1 7 7 0 -1 4194304 100 0";
        assert_eq!(life_in(runs, STATUS), Life::Runs);
        for dying in ["7 (a) Z 1 7 7 0 -1 4194304 100", "7 (a) D 1 7 7 0 -1 4194308 100"] {
            assert_eq!(life_in(dying, STATUS), Life::Dying, "{dying}");
        }
        for (zeros, other) in [
            ("SigPnd:\t0000000000000000", "SigPnd:\t0000000000000100"),
            ("ShdPnd:\t0000000000000000", "ShdPnd:\t0000000000004100"),
        ] {
            assert_eq!(life_in(runs, &STATUS.replace(zeros, other)), Life::Dying, "{other}");
        }
        let terminated = STATUS.replace("ShdPnd:\t0000000000000000", "ShdPnd:\t0000000000004000");
        assert_eq!(life_in(runs, &terminated), Life::Runs, "SIGTERM is asked for only");
    }

    #[test]
    fn a_child_runs_until_it_is_killed() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        assert!(!is_dying(child.id()) && !is_dying(std::process::id()) && !is_dying(0));
        child.kill().unwrap();
        assert!(is_dying(child.id()), "at any moment after the signal");
        child.wait().unwrap();
        assert_eq!(life_of(child.id()), Life::Gone);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_is_repeated_while_the_holder_dies_and_not_for_ever() {
        let tries = Cell::new(0);
        let attempt = async |last: u32| {
            tries.set(tries.get() + 1);
            if tries.get() < last { Err("held") } else { Ok(()) }
        };
        // No process has an id above the kernel's limit.
        let (gone, own) = (Some(u32::MAX), Some(std::process::id()));
        assert_eq!(outlive(async || attempt(3).await, |_| gone).await, Ok(()));
        assert_eq!(tries.take(), 3);
        for (holder, most) in
            [(own, 1), (None, 1), (gone, GONE_WAIT_MAX.as_millis() / DEATH_POLL.as_millis() + 1)]
        {
            assert_eq!(outlive(async || attempt(u32::MAX).await, |_| holder).await, Err("held"));
            assert_eq!(u128::from(tries.take()), most, "{holder:?}");
        }
    }
}
