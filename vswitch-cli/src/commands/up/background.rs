//! `vswitch up --detach`: the daemon in the background.
//!
//! The command starts itself again with a hidden option. That process, the daemon, has its own session and
//! logs to a file in the state directory. Its stdout is a pipe: it writes one JSON message, ready or failed,
//! and closes the pipe. A pipe that closes without a message means that the daemon died.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, setsid};
use serde::{Deserialize, Serialize};

use crate::error::{EXIT_FAILED, Failure, Outcome};
use crate::limits::{LOG_BYTES_MAX, UP_TIMEOUT};

/// The hidden option.
pub(super) const OPTION: &str = "--in-background";

/// The daemon's log, in the state directory; a rotated one ends with `.1`.
pub(in crate::commands) const LOG: &str = "vswitch.log";

/// Message of the daemon to the command that started it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Ready,
    Failed { message: String, hint: Option<String> },
}

/// Starts the daemon and waits until it is ready; returns the path of its log.
pub(super) fn start(state_dir: &Path) -> Outcome<PathBuf> {
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
    listen(&mut daemon, &path, UP_TIMEOUT)?;
    Ok(path)
}

/// Opens the log to append, since a running daemon may write to it.
fn open_log(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    File::options().append(true).create(true).mode(0o600).open(path)
}

/// Waits for the daemon's message.
fn listen(daemon: &mut Child, log: &Path, limit: Duration) -> Outcome<()> {
    let (sender, receiver) = mpsc::channel();
    if let Some(mut pipe) = daemon.stdout.take() {
        std::thread::spawn(move || {
            let mut said = String::new();
            let _ = pipe.read_to_string(&mut said);
            let _ = sender.send(said);
        });
    }
    let Ok(said) = receiver.recv_timeout(limit) else {
        if let Some(pid) = Pid::from_raw(daemon.id().cast_signed()) {
            // On SIGTERM it restores the host.
            let _ = kill_process(pid, Signal::TERM);
        }
        return Err(Failure::new(format!(
            "the daemon was not ready within {} s and was sent SIGTERM",
            limit.as_secs()
        ))
        .with_hint(format!("see {}", log.display())));
    };
    match serde_json::from_str(&said) {
        Ok(Message::Ready) => Ok(()),
        Ok(Message::Failed { message, hint }) => {
            Err(Failure::Told { exit: EXIT_FAILED, message, hint })
        }
        Err(_) => {
            let end = daemon.wait().map_or_else(|e| e.to_string(), |status| status.to_string());
            Err(Failure::new(format!("the daemon died ({end}): {}", last_line(log)))
                .with_hint(format!("see {}", log.display())))
        }
    }
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

/// In the daemon: reports that it is ready.
pub(super) fn say_ready() {
    send(&Message::Ready);
}

/// In the daemon: reports why it failed.
pub(super) fn say_failed(failure: &Failure) {
    if let Failure::Told { message, hint, .. } = failure {
        send(&Message::Failed { message: message.clone(), hint: hint.clone() });
    }
}

/// Writes the message and closes the pipe; errors are ignored, since nobody reads it then.
fn send(message: &Message) {
    if let Ok(line) = serde_json::to_vec(message) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen_to(script: &str, limit: Duration) -> Outcome<()> {
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
        assert_eq!(listen_to(r#"echo '"ready"'"#, limit), Ok(()));
        let failed = r#"echo '{"failed":{"message":"br0 is taken","hint":"take br1"}}'"#;
        let failure = listen_to(failed, limit).unwrap_err();
        assert_eq!(failure.report().unwrap(), "error: br0 is taken\n  hint: take br1\n");
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
