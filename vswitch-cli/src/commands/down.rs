//! `vswitch down`: stops the daemon and waits for its end, or cleans up after one that was killed.

mod progress;

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueHint};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use vswitch::config::StateDir;
use vswitch_client::ClientError;

use crate::client::Client;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::limits::{DOWN_LOOK, DOWN_POLL, DOWN_TIMEOUT, DYING_MAX};
use crate::output;
use progress::{Next, Ports, Progress};

/// Stop the switch and restore the host
///
/// Attachments stay in the state directory: the next `vswitch up` attaches again those whose namespace
/// still exists. After a crash of the switch, this command cleans up the host.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DownArgs {
    /// State directory of a switch that was killed [default: what it noted beside its socket, else
    /// /var/lib/vswitch]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    state_dir: Option<StateDir>,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch down
  sudo vswitch --socket /tmp/lab.sock down
  sudo vswitch down --state-dir /var/lib/vswitch-lab     after a crash, if its socket's folder is gone";

/// Begins the list of what other switches have left.
const LEFT: &str = "left by other switches, which their own --socket or --state-dir clears: ";

/// Others than root cannot see all that is left.
const NOT_ROOT: &str =
    "run it as root, for example with `sudo`: only root sees what a killed switch has left";

impl DownArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let (client, socket) = (global.client()?, global.socket());
        // Opened before the request, so that the pid cannot be reused meanwhile.
        let pid = match client.wait(client.daemon_pid()) {
            Err(ClientError::NoDaemon(_)) => return self.clear(global),
            pid => pid?,
        };
        let process = pid.and_then(|pid| Some((watch(pid)?, ports(&client, pid))));
        let asked = client.wait(client.shutdown());
        let left = match &asked {
            Ok(Some(answer)) => answer.left.clone(),
            _ => Vec::new(),
        };
        match (&process, asked) {
            (Some((process, ports)), Ok(_)) => await_end(process, ports, &socket)?,
            (None, Ok(_)) => {}
            // It may have ended, or died, since it was connected to.
            (Some((process, _)), Err(error)) if !has_ended(process, DYING_MAX)? => {
                return Err(error.into());
            }
            (None, Err(error)) if !is_stale(&socket) => return Err(error.into()),
            (_, Err(_)) => {}
        }
        if await_no_socket(&socket, process.is_some())? == Remains::DeadSocket {
            return self.clear_dead(global);
        }
        let done = format!("the switch at {} is down", socket.display());
        output::done(global.format, &done)?;
        if !left.is_empty() {
            output::print_error(&format!("left on the host: {}\n", left.join(", ")));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The daemon died while it was to end: cleans up after it.
    fn clear_dead(self, global: &Global) -> Outcome {
        let socket = global.socket();
        let state_dir = self.state_dir.as_ref().map(StateDir::path);
        let cleared = vswitch::clean_up_after_crash(state_dir, &socket).map_err(|error| {
            Failure::new(format!("the switch at {} died, and {error}", socket.display()))
        })?;
        let (socket, removed) = (socket.display(), cleared.removed.join(", "));
        let done = format!("the switch at {socket} died before its end; cleaned up: {removed}");
        output::done(global.format, &done)?;
        Ok(ExitCode::SUCCESS)
    }

    /// No daemon answers: cleans up after one that was killed.
    fn clear(self, global: &Global) -> Outcome {
        let socket = global.socket();
        let state_dir = self.state_dir.as_ref().map(StateDir::path);
        let cleared = vswitch::clean_up_after_crash(state_dir, &socket).map_err(|error| {
            let said = format!("no switch answers at {}, and {error}", socket.display());
            Failure::new(said).with_hint(
                "--socket selects a running switch, --state-dir one that was killed; both need root",
            )
        })?;
        let left = LEFT.to_owned() + &cleared.left.join(", ");
        if cleared.removed.is_empty() {
            let nothing = Failure::new(format!("no switch answers at {}", socket.display()));
            let hint = match cleared.left.as_slice() {
                _ if !rustix::process::geteuid().is_root() => NOT_ROOT.to_owned(),
                [] => "there is nothing to stop, and nothing of a switch is left".to_owned(),
                _ => left,
            };
            return Err(nothing.with_hint(hint));
        }
        let (socket, removed) = (socket.display(), cleared.removed.join(", "));
        let done = format!("no switch answers at {socket}; cleaned up after a crash: {removed}");
        output::done(global.format, &done)?;
        if !cleared.left.is_empty() {
            output::print_error(&format!("{left}\n"));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The daemon's ports, to show its progress.
fn ports(client: &Client, pid: i32) -> Ports {
    let status = client.wait(client.status());
    Ports::of(pid, status.map_or(1, |status| status.workers))
}

/// A descriptor that becomes readable when the process ends (`pidfd_open(2)`); `None` if the process is
/// in another PID namespace.
fn watch(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

fn await_end(process: &OwnedFd, ports: &Ports, socket: &Path) -> Outcome<()> {
    let mut progress = Progress::default();
    loop {
        if has_ended(process, DOWN_LOOK)? {
            return Ok(());
        }
        match progress.look(ports.open(), DOWN_LOOK) {
            Next::GiveUp => return Err(still_there(socket)),
            Next::Say(left, first) => output::print_error(&format!(
                "the switch closes its ports: {left} of {first} remain\n"
            )),
            Next::Wait => {}
        }
    }
}

fn has_ended(process: &OwnedFd, within: Duration) -> Outcome<bool> {
    let within =
        Timespec { tv_sec: within.as_secs() as i64, tv_nsec: within.subsec_nanos().into() };
    match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&within)) {
        Ok(ready) => Ok(ready > 0),
        Err(error) => Err(Failure::new(format!("cannot wait for the daemon's end: {error}"))),
    }
}

/// The file of the socket, once the daemon has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remains {
    /// It is gone, or another daemon's.
    Nothing,
    /// Nobody listens.
    DeadSocket,
}

/// Waits for the end of the socket. `has_ended`: the daemon's process is known to be gone.
fn await_no_socket(socket: &Path, has_ended: bool) -> Outcome<Remains> {
    // A daemon that ends closes the socket a moment before it removes the file.
    let dead_after = if has_ended { Duration::ZERO } else { DYING_MAX };
    let rounds = DOWN_TIMEOUT.as_millis() / DOWN_POLL.as_millis();
    let mut dead = Duration::ZERO;
    for _ in 0..rounds {
        match std::fs::symlink_metadata(socket) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Remains::Nothing);
            }
            _ if is_stale(socket) && dead >= dead_after => return Ok(Remains::DeadSocket),
            _ if is_stale(socket) => dead += DOWN_POLL,
            _ if has_ended => return Ok(Remains::Nothing),
            _ => dead = Duration::ZERO,
        }
        std::thread::sleep(DOWN_POLL);
    }
    Err(still_there(socket))
}

/// Whether nobody listens on the socket.
fn is_stale(socket: &Path) -> bool {
    let refused = |error: std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    UnixStream::connect(socket).is_err_and(refused)
}

fn still_there(socket: &Path) -> Failure {
    Failure::new(format!(
        "the switch at {} accepted the request but did not end: no progress for {} s",
        socket.display(),
        DOWN_TIMEOUT.as_secs()
    ))
    .with_hint("see its log; `vswitch status` shows its process id")
}
