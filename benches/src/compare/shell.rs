//! Commands with a time limit, and what ends them.
//!
//! A [`Job`] is a child in a process group of its own, so that a Ctrl-C reaches the harness alone, and
//! so that what the child started ends with it. Its output goes to files without a name: nothing can
//! block on a full pipe. A job that is dropped is killed. SIGINT and SIGTERM raise a flag; whoever waits
//! looks at it and returns an error, and the guards on the way up clean the machine. Cleaning up
//! itself does not look at the flag. (To block the signals would not do: children inherit that, and
//! then do not end when they are asked to.)

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, pidfd_open};

use crate::limits::{COMMAND_LIMIT, POLL, READY_LIMIT, STOP_LIMIT};

static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Makes SIGINT and SIGTERM raise a flag.
pub(crate) fn catch_signals() -> Result<()> {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        signal_hook::flag::register(signal as i32, Arc::clone(&INTERRUPTED))
            .with_context(|| format!("a handler for {signal}"))?;
    }
    Ok(())
}

/// An error as soon as the user wants the run to end.
pub(crate) fn heed() -> Result<()> {
    ensure!(!is_interrupted(), "interrupted");
    Ok(())
}

/// Whether the user wants the run to end.
pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Sleeps, and returns early with an error when interrupted.
pub(crate) fn pause(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        heed()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(200)));
    }
}

/// Waits until the condition holds.
pub(crate) fn wait_for(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    while !holds()? {
        if Instant::now() > end {
            bail!("waited {} s in vain for: {what}", limit.as_secs());
        }
        pause(POLL)?;
    }
    Ok(())
}

/// A program that is to run in a network namespace.
pub(crate) fn in_netns(netns: &Path, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display())).arg(program);
    command
}

/// A child with its process group; killed when dropped.
#[derive(Debug)]
pub(crate) struct Job {
    child: Child,
    what: String,
    out: File,
    err: File,
}

impl Job {
    /// Starts it, without standard input.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        Self::start(command, Stdio::null())
    }

    /// Starts it with a pipe to its standard input.
    pub(crate) fn spawn_with_input(command: &mut Command) -> Result<(Self, ChildStdin)> {
        let mut job = Self::start(command, Stdio::piped())?;
        let input = job.child.stdin.take().context("a pipe was asked for")?;
        Ok((job, input))
    }

    fn start(command: &mut Command, input: Stdio) -> Result<Self> {
        heed()?;
        let out = tempfile::tempfile().context("file for the output")?;
        let err = tempfile::tempfile().context("file for the errors")?;
        let what = display(command);
        let child = command
            .stdin(input)
            .stdout(out.try_clone()?)
            .stderr(err.try_clone()?)
            .process_group(0)
            .env("PATH", path())
            .spawn()
            .with_context(|| format!("start: {what}"))?;
        Ok(Self { child, what, out, err })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, by whatever cause.
    pub(crate) fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// What it has written to standard output so far.
    pub(crate) fn output(&self) -> String {
        read(&self.out)
    }

    /// What it has written, for an error message: the end of both outputs.
    pub(crate) fn last_words(&self) -> String {
        let mut text = read(&self.err) + &read(&self.out);
        let text_len = text.len();
        let cut = (text_len.saturating_sub(800)..text_len).find(|n| text.is_char_boundary(*n));
        text.drain(..cut.unwrap_or(0));
        text.trim().to_owned()
    }

    /// Waits until the condition holds, and fails when it ends before that.
    pub(crate) fn until(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
        wait_for(what, READY_LIMIT, || {
            if self.has_ended()? {
                bail!("ended: {}\n{}", self.what, self.last_words());
            }
            holds(self)
        })
    }

    /// Waits until it ends by itself, and returns its standard output.
    pub(crate) fn finish(self, limit: Duration) -> Result<String> {
        self.end(limit, true)
    }

    fn end(mut self, limit: Duration, heeds: bool) -> Result<String> {
        if !self.wait(limit, heeds)? {
            bail!(
                "took more than {:.0} s: {}\n{}",
                limit.as_secs_f32(),
                self.what,
                self.last_words()
            );
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{status}: {}\n{}", self.what, self.last_words());
        }
        Ok(self.output())
    }

    /// Whether it ended in time. Sleeps until it does: looking again and again would cost CPU time
    /// that is being measured.
    fn wait(&mut self, limit: Duration, heeds: bool) -> Result<bool> {
        let end = Instant::now() + limit;
        if self.child.try_wait()?.is_some() {
            return Ok(true);
        }
        let pid = rustix::process::Pid::from_child(&self.child);
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).context("pidfd of the child")?;
        loop {
            if heeds {
                heed()?;
            }
            let left = end.saturating_duration_since(Instant::now());
            let slice = left.min(Duration::from_millis(200));
            let time = Timespec { tv_sec: 0, tv_nsec: i64::from(slice.subsec_nanos()) };
            match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&time)) {
                Ok(1..) => return Ok(true),
                Ok(0) | Err(rustix::io::Errno::INTR) if left.is_zero() => return Ok(false),
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("wait for a child"),
            }
        }
    }

    /// Asks it to end, and kills it when it does not.
    pub(crate) fn terminate(mut self) {
        let _ = killpg(self.group(), Signal::SIGTERM);
        let _ = self.wait(STOP_LIMIT, false);
    }

    fn group(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // The group outlives its leader while it has members; the leader's id cannot be taken by
        // another process before it was waited for, unless it was: then only the group is left.
        let _ = killpg(self.group(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Standard output of a command that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    Job::spawn(command)?.finish(COMMAND_LIMIT)
}

/// The first line that a command writes, to whichever output, though it fails.
pub(crate) fn first_line(command: &mut Command) -> String {
    let said = Job::spawn(command).and_then(|mut job| {
        job.wait(COMMAND_LIMIT, true)?;
        Ok(read(&job.out) + &read(&job.err))
    });
    let said = said.unwrap_or_default();
    said.lines().find(|line| !line.trim().is_empty()).unwrap_or("none").trim().to_owned()
}

/// Runs a command that cleans up: it runs although the user interrupted, and may fail.
pub(crate) fn clean_up(command: &mut Command) {
    let done = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    if let (Ok(child), Ok(out), Ok(err)) = (done, tempfile::tempfile(), tempfile::tempfile()) {
        let _ = Job { child, what: display(command), out, err }.end(COMMAND_LIMIT, false);
    }
}

/// Runs a script of `ip -batch` in a namespace: one process for many links.
pub(crate) fn ip_batch(netns: &Path, script: &str) -> Result<()> {
    let mut command = in_netns(netns, "ip");
    let (job, mut input) = Job::spawn_with_input(command.args(["-batch", "-"]))?;
    input.write_all(script.as_bytes()).context("write to ip")?;
    drop(input);
    job.finish(COMMAND_LIMIT).map(drop)
}

/// Gives an interface in a namespace an address of the contenders' subnet, and sets it up.
pub(crate) fn bring_up(netns: &Path, device: &str, address: &str) -> Result<()> {
    let script = format!("addr add {address}/16 dev {device}\nlink set {device} up\n");
    ip_batch(netns, &script)
}

/// Where administrators' programs are, beside the user's.
fn path() -> String {
    let users = std::env::var("PATH").unwrap_or_default();
    format!("{users}:/usr/sbin:/sbin")
}

fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Reads from the start without moving the offset, which the child shares.
fn read(file: &File) -> String {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 8192]);
    while let Ok(len @ 1..) = file.read_at(&mut chunk, bytes.len() as u64) {
        bytes.extend_from_slice(&chunk[..len]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
