//! `vswitch down`: stop the daemon and wait until it is gone.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use vswitch_api::routes;

use crate::cli::Global;
use crate::error::{Failure, Outcome};
use crate::limits::{DOWN_POLL, DOWN_TIMEOUT};
use crate::output;

/// Stop the switch; the host is as it was before
///
/// Attachments are kept in the state directory: the next `vswitch up` plugs in again those whose
/// namespace still lives.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DownArgs {}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch down
  sudo vswitch --socket /tmp/lab.sock down";

impl DownArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let (client, socket) = (global.client()?, global.socket());
        // Held before the request, so that the number cannot come to mean another process.
        let process = client.daemon_pid()?.and_then(watch);
        client.send(&Method::POST, routes::SHUTDOWN, None::<&()>)?;
        if let Some(process) = process {
            await_end(&process, &socket)?;
        }
        await_no_socket(&socket)?;
        let done = format!("the switch at {} is down", socket.display());
        output::done(global.format, &done)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A descriptor that becomes readable when the process ends; `None` if it is in a process
/// namespace that we cannot see into.
fn watch(pid: i32) -> Option<OwnedFd> {
    pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()
}

fn await_end(process: &OwnedFd, socket: &Path) -> Outcome<()> {
    let limit = Timespec { tv_sec: DOWN_TIMEOUT.as_secs() as i64, tv_nsec: 0 };
    let mut watched = [PollFd::new(process, PollFlags::IN)];
    match poll(&mut watched, Some(&limit)) {
        Ok(0) => Err(still_there(socket)),
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot wait for the daemon's end: {error}"))),
    }
}

fn await_no_socket(socket: &Path) -> Outcome<()> {
    let rounds = DOWN_TIMEOUT.as_millis() / DOWN_POLL.as_millis();
    for _ in 0..rounds {
        match std::fs::symlink_metadata(socket) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            _ => std::thread::sleep(DOWN_POLL),
        }
    }
    Err(still_there(socket))
}

fn still_there(socket: &Path) -> Failure {
    Failure::new(format!(
        "the switch at {} took the request but is still there after {} s",
        socket.display(),
        DOWN_TIMEOUT.as_secs()
    ))
    .with_hint("its log says what it waits for; see `vswitch status` for its process id")
}
