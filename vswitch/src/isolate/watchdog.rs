//! The watchdog of a sandbox: ends its processes when `vswitch run` is killed.
//!
//! The kernel kills the command with its parent (`PR_SET_PDEATHSIG`), but not what the command has started. So a second
//! process waits in the namespaces of the sandbox: this program again, with the option [`WATCHDOG_OPTION`]. It has a process
//! group of its own, which the terminal's signals do not reach, and reads a pipe of its parent:
//!
//! - A byte: the command has ended. The watchdog ends, and what the command has left in the background stays.
//! - The end of the pipe without a byte: the parent was killed. The watchdog kills every process that is in its mount or UTS
//!   namespace, until there is none, and ends as the last one. Not by the network namespace, which others may have joined.
//!
//! A process that has left both, or one without a sandbox (`--network host`), is out of its reach.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// The option that makes this program a watchdog; the namespaces follow.
pub const WATCHDOG_OPTION: &str = "--watch-sandbox";

/// Rounds over all processes: one may start others while it is killed.
const ROUNDS_MAX: usize = 500;

/// Pause between two rounds.
const ROUND_PAUSE: Duration = Duration::from_millis(10);

/// A running watchdog. Its processes die if this is dropped without [`Watchdog::dismiss`].
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Starts a watchdog in the namespaces of this thread.
    pub(super) fn start(namespaces: &[&str]) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.arg(WATCHDOG_OPTION).args(namespaces).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// Lets the watchdog end.
    pub(super) fn dismiss(mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            let _ = pipe.write_all(b".");
        }
        let _ = self.0.wait();
    }
}

/// The work of a watchdog of these namespaces, such as `mnt`: returns when it is done.
///
/// # Errors
/// It was not started for a sandbox: the input is no pipe, or a namespace is not a sandbox's own.
pub fn watchdog(namespaces: &[OsString]) -> io::Result<()> {
    check_is_sandbox(namespaces)?;
    let said = io::stdin().lock().read(&mut [0]);
    if matches!(said, Ok(1)) {
        return Ok(());
    }
    let own: Vec<_> =
        namespaces.iter().map(|name| (name, namespace("self".as_ref(), name))).collect();
    for _ in 0..ROUNDS_MAX {
        let mut is_empty = true;
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = process.file_name();
            // Not `self` and `thread-self`.
            if name.to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
                continue;
            }
            let is_inside =
                || own.iter().any(|(kind, id)| id.is_some() && namespace(&name, kind) == *id);
            if is_inside() && !is_own(&name) {
                is_empty = false;
                kill(&name, is_inside);
            }
        }
        if is_empty {
            break;
        }
        std::thread::sleep(ROUND_PAUSE);
    }
    Ok(())
}

/// Refuses to watch namespaces of the host, whose processes would all be killed.
fn check_is_sandbox(namespaces: &[OsString]) -> io::Result<()> {
    let is_pipe = fs::metadata("/proc/self/fd/0").is_ok_and(|it| it.file_type().is_fifo());
    let parent = std::os::unix::process::parent_id().to_string();
    let is_private = |kind: &OsString| {
        let own = namespace("self".as_ref(), kind);
        let others = ["1", &parent].map(|process| namespace(process.as_ref(), kind));
        own.is_some() && !others.contains(&own)
    };
    if !is_pipe || namespaces.is_empty() || !namespaces.iter().all(is_private) {
        let said = format!("{WATCHDOG_OPTION} is for `vswitch run` alone");
        return Err(io::Error::other(said));
    }
    Ok(())
}

fn is_own(name: &OsStr) -> bool {
    *name == *std::process::id().to_string()
}

/// Kills a process if it is still one of the sandbox, once its id cannot be another's any more.
fn kill(name: &OsStr, is_inside: impl Fn() -> bool) {
    let pid = name.to_str().and_then(|name| Pid::from_raw(name.parse().ok()?));
    let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else { return };
    if is_inside() {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

/// The identity of a namespace of a process; none for one that has ended.
fn namespace(process: &OsStr, kind: &OsStr) -> Option<(u64, u64)> {
    let path = Path::new("/proc").join(process).join("ns").join(kind);
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
