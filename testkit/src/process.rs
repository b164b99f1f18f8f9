//! External commands with a time limit, and background processes that end with their guard.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Result of a finished command.
#[derive(Debug)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// Exit status.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The exit code; a death by signal panics.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("ended by signal {:?}\n{self}", self.status.signal()))
    }

    /// Standard output of a command that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}\n{}", self.command, self.status)?;
        write!(f, "--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// Runs `command` to its end; past `limit` it and its children are killed, and the test fails.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8], limit: Duration) -> Output {
    let mut process = Process::spawn(command.stdin(Stdio::piped()));
    let mut stdin = process.stdin();
    let input = input.to_vec();
    // A child that does not read closes the pipe: not an error of the test.
    let writer = std::thread::spawn(move || drop(std::io::Write::write_all(&mut stdin, &input)));
    let output = process.finish(limit);
    writer.join().expect("writer thread");
    output
}

/// A background process in a process group of its own, which dropping kills.
#[derive(Debug)]
pub struct Process {
    command: String,
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

impl Process {
    /// Starts `command`; its output is collected.
    #[track_caller]
    pub fn spawn(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Self::start(command);
        process.stdout = process.child.stdout.take().map(collect);
        process.stderr = process.child.stderr.take().map(collect);
        process
    }

    /// Starts `command`; its output goes to `log`.
    #[track_caller]
    pub fn spawn_logged(command: &mut Command, log: File) -> Self {
        let copy = log.try_clone().expect("duplicate the log's descriptor");
        Self::start(command.stdin(Stdio::null()).stdout(copy).stderr(log))
    }

    #[track_caller]
    fn start(command: &mut Command) -> Self {
        let text = format!("{command:?}");
        let child = command.process_group(0).spawn().unwrap_or_else(|e| panic!("{text}: {e}"));
        Self { command: text, child, stdout: None, stderr: None }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Standard input, once, where the command was given a pipe.
    pub fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("stdin is a pipe")
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(pid_of(&self.child), signal).unwrap_or_else(|e| panic!("kill {}: {e}", self.command));
    }

    /// Waits for its end; past `limit` it is killed and the test fails.
    #[track_caller]
    pub fn finish(mut self, limit: Duration) -> Output {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait for a child") {
                break status;
            }
            if start.elapsed() > limit {
                self.kill_group();
                let (out, err) = (text(self.stdout.take()), text(self.stderr.take()));
                panic!(
                    "killed after {limit:?}: {}\n--- stdout\n{out}--- stderr\n{err}",
                    self.command
                );
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        Output {
            command: self.command.clone(),
            status,
            stdout: text(self.stdout.take()),
            stderr: text(self.stderr.take()),
        }
    }

    fn kill_group(&mut self) {
        // The group may be gone already: then there is nothing to do.
        let _ = killpg(pid_of(&self.child), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.kill_group();
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid fits into i32"))
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn text(reader: Option<JoinHandle<String>>) -> String {
    reader.map(|r| r.join().expect("reader thread")).unwrap_or_default()
}
