//! `vswitch logs`: the daemon's log.
//!
//! The daemon logs to its stderr. `/proc/PID/fd/2` says what that is: a file for `up --detach`, a socket of
//! journald under systemd, or a terminal. Without a daemon the file in the state directory is shown, since a
//! log is wanted most after a crash.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Args;
use vswitch::config::StateDir;
use vswitch_client::ClientError;

use super::up::LOG;
use crate::client::Client;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::limits::{LOG_LINES, LOG_POLL};
use crate::output;

/// Show the daemon's log
///
/// Of a switch in the background its file, under systemd the journal; in the foreground the log is on the
/// terminal of `vswitch up`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogsArgs {
    /// Go on with new lines, until interrupted
    #[arg(short, long)]
    follow: bool,
    /// Number of lines to begin with [default: 100]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// State directory of a switch that is gone [default: what it noted beside its socket, else
    /// /var/lib/vswitch]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<StateDir>,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch logs
  sudo vswitch logs -f
  sudo vswitch logs -n 20 | grep WARN";

/// Where the log is.
#[derive(Debug, PartialEq, Eq)]
enum Log {
    File(PathBuf),
    Journal { pid: u32 },
    Terminal(PathBuf),
}

impl LogsArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let lines = self.lines.unwrap_or(LOG_LINES);
        match self.find(&global.client()?, &global.socket())? {
            Log::File(path) => show(&path, lines, self.follow)?,
            Log::Journal { pid } => return journal(pid, lines, self.follow),
            Log::Terminal(path) => {
                let said =
                    format!("the switch runs in the foreground, its log is at {}", path.display());
                return Err(Failure::new(said).with_hint(
                    "`vswitch up --detach` logs to a file, a systemd unit to the journal",
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn find(&self, client: &Client, socket: &Path) -> Outcome<Log> {
        if let Some(directory) = &self.state_dir {
            return Ok(Log::File(directory.path().join(LOG)));
        }
        match client.wait(client.status()) {
            Ok(status) => of_process(status.pid),
            Err(ClientError::NoDaemon(_)) => {
                let noted = vswitch::noted_state_dir(socket);
                Ok(Log::File(noted.unwrap_or_else(|| StateDir::default().path().into()).join(LOG)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The log of a running daemon.
fn of_process(pid: u32) -> Outcome<Log> {
    let link = format!("/proc/{pid}/fd/2");
    let target = std::fs::read_link(&link)
        .map_err(|error| Failure::new(format!("cannot read {link}: {error}")))?;
    Ok(classify(pid, target))
}

fn classify(pid: u32, target: PathBuf) -> Log {
    let text = target.to_string_lossy();
    if text.starts_with("socket:") {
        return Log::Journal { pid };
    }
    let is_file = text.starts_with('/') && !text.starts_with("/dev/");
    if is_file { Log::File(target) } else { Log::Terminal(target) }
}

/// Shows the journal of a process by journalctl(1).
fn journal(pid: u32, lines: usize, follow: bool) -> Outcome {
    let mut command = Command::new("journalctl");
    command.args(["--no-pager", "-o", "cat", "-n", &lines.to_string(), &format!("_PID={pid}")]);
    if follow {
        command.arg("-f");
    }
    let status = command.status();
    let status = status.map_err(|error| Failure::new(format!("cannot run journalctl: {error}")))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Shows the last lines of a file, and follows it.
fn show(path: &Path, lines: usize, follow: bool) -> Outcome<()> {
    let cannot = |error| Failure::new(format!("cannot read the log {}: {error}", path.display()));
    let mut file = File::open(path).map_err(cannot)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(cannot)?;
    output::bytes(last_lines(&text, lines))?;
    if !follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(LOG_POLL);
        let mut new = Vec::new();
        file.read_to_end(&mut new).map_err(cannot)?;
        output::bytes(&new)?;
        // `up --detach` rotates a long log: the path has a new, shorter file then.
        let end = file.stream_position().map_err(cannot)?;
        if new.is_empty() && std::fs::metadata(path).is_ok_and(|now| now.len() < end) {
            file = File::open(path).map_err(cannot)?;
        }
    }
}

/// The last lines of a text.
fn last_lines(text: &[u8], lines: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    let start = match lines {
        0 => text.len(),
        lines => ends.map(|(at, _)| at + 1).nth(lines - 1).unwrap_or(0),
    };
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 1), b"c");
        assert_eq!(last_lines(b"a\nb\n", 9), b"a\nb\n");
        assert_eq!(last_lines(b"a\nb\n", 0), b"");
        assert_eq!(last_lines(b"", 3), b"");
    }

    #[test]
    fn stderr_says_where_the_log_is() {
        let log = |target: &str| classify(7, target.into());
        assert_eq!(
            log("/var/lib/vswitch/vswitch.log"),
            Log::File("/var/lib/vswitch/vswitch.log".into())
        );
        assert_eq!(log("socket:[123]"), Log::Journal { pid: 7 });
        assert_eq!(log("/dev/pts/3"), Log::Terminal("/dev/pts/3".into()));
        assert_eq!(log("pipe:[4]"), Log::Terminal("pipe:[4]".into()));
    }
}
