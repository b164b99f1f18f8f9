//! `vswitch up --detach`: the daemon in the background.
//!
//! The command starts itself again with a hidden option. That process, the daemon, has its own session and
//! logs to a file in the state directory. Its stdout is a pipe: it writes a line of JSON for its progress, at last one
//! for ready or failed, and closes the pipe. A pipe that closes without the last one means that the daemon died. The
//! command waits as long as there is progress.

use std::fs::{self, DirBuilder, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, setsid};
use serde::{Deserialize, Serialize};
use vswitch::Stage;

use super::memory_limit::MemoryLimit;
use crate::error::{EXIT_FAILED, Failure, Outcome};
use crate::limits::{LOG_BYTES_MAX, UP_SAY_EVERY, UP_TIMEOUT};
use crate::output;

/// The hidden option.
pub(super) const OPTION: &str = "--in-background";

/// The daemon's log, in the state directory; a rotated one ends with `.1`.
pub(in crate::commands) const LOG: &str = "vswitch.log";

/// Message of the daemon to the command that started it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Ready {
        /// The copy of the stored state, if a part of that makes no sense now.
        backup: Option<PathBuf>,
    },
    Progress(Progress),
    Failed {
        message: String,
        hint: Option<String>,
    },
}

/// How far the daemon's start is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    done: usize,
    total: usize,
    left_over: Option<String>,
}

impl Progress {
    fn describe(&self) -> String {
        let Self { done, total, left_over } = self;
        match left_over {
            Some(interface) => format!(
                "{done} of {total} containers are attached again; waiting until the kernel removes what a \
                 killed switch left ({interface})"
            ),
            None => format!("{done} of {total} containers are attached again"),
        }
    }
}

/// Starts the daemon and waits until it is ready; returns the path of its log, and that of a copy of the stored state.
pub(super) fn start(state_dir: &Path) -> Outcome<(PathBuf, Option<PathBuf>)> {
    let path = state_dir.join(LOG);
    let cannot = |what: &str, error: io::Error| Failure::new(format!("cannot {what}: {error}"));
    let log = open_log(&path)
        .map_err(|error| cannot(&format!("write the log {}", path.display()), error))?;
    let program = std::env::current_exe().map_err(|error| cannot("find this program", error))?;
    let mut daemon = Command::new(program)
        .args(std::env::args_os().skip(1))
        .arg(OPTION)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|error| cannot("start the daemon", error))?;
    let backup = listen(&mut daemon, &path, UP_TIMEOUT)?;
    Ok((path, backup))
}

/// Opens the log to append, since a running daemon may write to it.
fn open_log(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    // Nobody may read a FIFO, and its writer would wait.
    if fs::metadata(path).is_ok_and(|log| !log.is_file()) {
        return Err(io::Error::other("not a regular file; move it away"));
    }
    File::options().append(true).create(true).mode(0o600).open(path)
}

/// Waits until the daemon is ready, as long as it gets on.
#[expect(clippy::disallowed_methods, reason = "a person is told every few seconds")]
fn listen(daemon: &mut Child, log: &Path, limit: Duration) -> Outcome<Option<PathBuf>> {
    let memory = MemoryLimit::own();
    let (sender, receiver) = mpsc::channel();
    if let Some(pipe) = daemon.stdout.take() {
        std::thread::spawn(move || {
            let messages = BufReader::new(pipe).lines().map_while(Result::ok);
            for message in messages.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
    }
    let mut said = Instant::now();
    loop {
        match receiver.recv_timeout(limit) {
            Ok(Message::Progress(progress)) if said.elapsed() >= UP_SAY_EVERY => {
                said = Instant::now();
                output::print_error(&format!("{}\n", progress.describe()));
            }
            Ok(Message::Progress(_)) => {}
            Ok(Message::Ready { backup }) => return Ok(backup),
            Ok(Message::Failed { message, hint }) => {
                return Err(Failure::Told { exit: EXIT_FAILED, message, hint });
            }
            Err(RecvTimeoutError::Timeout) => return Err(hangs(daemon, log, limit)),
            Err(RecvTimeoutError::Disconnected) => return Err(died(daemon, log, memory.as_ref())),
        }
    }
}

fn hangs(daemon: &Child, log: &Path, limit: Duration) -> Failure {
    if let Some(pid) = Pid::from_raw(daemon.id().cast_signed()) {
        // On SIGTERM it restores the host.
        let _ = kill_process(pid, Signal::TERM);
    }
    let limit = limit.as_secs();
    Failure::new(format!(
        "the daemon was not ready, without progress for {limit} s, and was sent SIGTERM"
    ))
    .with_hint(format!("see {}", log.display()))
}

fn died(daemon: &mut Child, log: &Path, memory: Option<&MemoryLimit>) -> Failure {
    let status = daemon.wait();
    let is_killed = status.as_ref().is_ok_and(|it| it.signal() == Some(Signal::KILL.as_raw()));
    let end = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let reason = match memory.and_then(MemoryLimit::reason).filter(|_| is_killed) {
        Some(reason) => reason,
        None if is_killed => {
            "somebody killed it, or the host has no memory left: see `journalctl -k`".to_owned()
        }
        None => last_line(log),
    };
    Failure::new(format!("the daemon died ({end}): {reason}"))
        .with_hint(format!("see {}", log.display()))
}

fn last_line(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("its log is empty").to_owned()
}

/// In the daemon: starts a session, so that the terminal's SIGHUP and SIGINT do not reach it.
pub(super) fn leave_terminal() {
    if let Err(error) = setsid() {
        tracing::warn!(%error, "still in the session of the terminal");
    }
    // A file system with our working directory could not be unmounted.
    let _ = std::env::set_current_dir("/");
}

/// In the daemon: reports its start.
pub(super) fn say(stage: &Stage<'_>) {
    match stage {
        Stage::Progress { progress, .. } => write(&Message::Progress(Progress {
            done: progress.done,
            total: progress.total,
            left_over: progress.left_over.clone(),
        })),
        Stage::Ready(ready) => send(&Message::Ready { backup: ready.backup.clone() }),
        Stage::Starting { .. } | Stage::Ending { .. } => {}
    }
}

/// In the daemon: reports why it failed.
pub(super) fn say_failed(failure: &Failure) {
    if let Failure::Told { message, hint, .. } = failure {
        send(&Message::Failed { message: message.clone(), hint: hint.clone() });
    }
}

/// Writes a message; errors are ignored, since nobody reads it then.
fn write(message: &Message) {
    if let Ok(mut line) = serde_json::to_vec(message) {
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

/// Writes the last message and closes the pipe.
fn send(message: &Message) {
    write(message);
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen_to(script: &str, limit: Duration) -> Outcome<Option<PathBuf>> {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join(LOG);
        fs::write(&log, "first\nlast words\n\n").unwrap();
        let mut child =
            Command::new("sh").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let outcome = listen(&mut child, &log, limit);
        child.wait().unwrap();
        outcome
    }

    #[test]
    fn the_message_is_understood() {
        let limit = Duration::from_secs(20);
        let ready = r#"echo '{"ready":{"backup":"/s"}}'"#;
        assert_eq!(listen_to(ready, limit), Ok(Some("/s".into())));
        let failed = r#"echo '{"failed":{"message":"br0 is taken","hint":"take br1"}}'"#;
        let failure = listen_to(failed, limit).unwrap_err();
        assert_eq!(failure.report().unwrap(), "error: br0 is taken\n  hint: take br1\n");
    }

    #[test]
    fn progress_is_waited_for() {
        let script = r#"for n in 1 2 3 4 5 6; do
            echo '{"progress":{"done":'$n',"total":1000,"left_over":null}}'; sleep 0.2
            done; echo '{"ready":{"backup":null}}'"#;
        assert_eq!(listen_to(script, Duration::from_secs(1)), Ok(None));
        let progress = Progress { done: 7, total: 9, left_over: Some("br0".into()) };
        assert!(progress.describe().starts_with("7 of 9 containers are attached again; waiting"));
    }

    #[test]
    fn a_death_by_sigkill_has_its_reason() {
        let failure = listen_to("kill -9 $$", Duration::from_secs(20)).unwrap_err();
        assert!(failure.to_string().contains("memory"), "{failure}");
    }

    #[test]
    fn a_death_without_a_message_shows_the_log() {
        let failure = listen_to("exit 3", Duration::from_secs(20)).unwrap_err();
        let report = failure.report().unwrap();
        assert!(
            report.starts_with("error: the daemon died (exit status: 3): last words"),
            "{report}"
        );
        assert_eq!(failure.exit(), 1);
    }

    #[test]
    fn a_daemon_that_hangs_gets_sigterm() {
        let failure = listen_to("exec sleep 60", Duration::from_millis(100)).unwrap_err();
        assert!(failure.to_string().contains("not ready"), "{failure}");
    }

    #[test]
    fn the_log_goes_on_until_it_is_too_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state").join(LOG);
        for word in ["first ", "second"] {
            open_log(&path).unwrap().write_all(word.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "first second");
        File::options().write(true).open(&path).unwrap().set_len(LOG_BYTES_MAX + 1).unwrap();
        open_log(&path).unwrap().write_all(b"third").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");
        assert_eq!(fs::metadata(path.with_extension("log.1")).unwrap().len(), LOG_BYTES_MAX + 1);
    }
}
