//! The watchdog of a command: starts it, and ends all of its processes when `vswitch run` is killed.
//!
//! It is this program again, with the option [`WATCHDOG_OPTION`], between `vswitch run` and the command. It is a
//! *subreaper* (`PR_SET_CHILD_SUBREAPER` of prctl(2)): the kernel gives it the orphans of the command, whatever their
//! session, group and namespaces are. So every process that the command has started is its descendant, with
//! `--network host`, too, and it kills no other. A namespace by which to know them can be left or joined, and a PID
//! namespace would hide the host's processes from the command.
//!
//! The two talk by a pair of sockets, which is the watchdog's standard input; the command's own comes by it:
//!
//! | from | message | meaning |
//! |---|---|---|
//! | `run` | a byte, with the standard input | start |
//! | watchdog | a number | process id of the command, or an error number below zero |
//! | `run` | a byte | it holds a pidfd of the command, which may be reaped now |
//! | watchdog | a number | the command has ended, with this wait status; the watchdog ends, too, and leaves the others |
//! | `run` | the end | it was killed: the watchdog kills its children, and then those that it gets by that |
//!
//! After the start it has a process group of its own and blocks all signals: a service manager and `kill -- -GROUP`
//! mean the command.

use std::ffi::OsString;
use std::fs;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal as BlockedSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpgid, getpgrp, getppid, kill_process, pidfd_open,
    set_child_subreaper, wait,
};
use vswitch_sys::parent_death::kill_with_parent;

/// The option that makes this program a watchdog; the command follows.
pub const WATCHDOG_OPTION: &str = "--watch-command";

/// Rounds over the children: one that is killed leaves its own to the watchdog.
const ROUNDS_MAX: usize = 1000;

/// Pause between two rounds.
const ROUND_PAUSE: Duration = Duration::from_millis(5);

/// A command below a watchdog. All of its processes die if this is dropped before [`Watched::wait`].
#[derive(Debug)]
pub(super) struct Watched {
    watchdog: Child,
    socket: UnixStream,
    pidfd: OwnedFd,
}

impl Watched {
    /// Starts the command in the namespaces of this thread, with the standard files of this process.
    ///
    /// # Errors
    /// That of the command's start is as without a watchdog.
    pub(super) fn spawn(command: &Command) -> io::Result<Self> {
        let (mut socket, its) = UnixStream::pair()?;
        let mut watchdog = Command::new("/proc/self/exe");
        watchdog.arg(WATCHDOG_OPTION).arg(command.get_program()).args(command.get_args());
        watchdog.process_group(0).stdin(OwnedFd::from(its));
        let mut watchdog = watchdog.spawn()?;
        let started = send_stdin(&socket).and_then(|()| read_number(&mut socket));
        let pidfd = started.and_then(|pid| match pid {
            ..0 => Err(io::Error::from_raw_os_error(-pid)),
            _ => {
                let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?;
                let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
                socket.write_all(b".")?;
                Ok(pidfd)
            }
        });
        match pidfd {
            Ok(pidfd) => Ok(Self { watchdog, socket, pidfd }),
            Err(error) => {
                drop(socket);
                let _ = watchdog.wait();
                Err(error)
            }
        }
    }

    /// The command itself.
    pub(super) fn pidfd(&self) -> &OwnedFd {
        &self.pidfd
    }

    /// Waits for the command.
    pub(super) fn wait(mut self) -> io::Result<ExitStatus> {
        let status = read_number(&mut self.socket);
        drop(self.socket);
        let _ = self.watchdog.wait();
        status.map(ExitStatus::from_raw)
    }
}

/// Sends a byte with the standard input of this process.
fn send_stdin(socket: &UnixStream) -> io::Result<()> {
    let stdin = io::stdin();
    let files = [stdin.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    sendmsg(socket, &[IoSlice::new(b".")], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive_stdin(socket: &UnixStream) -> io::Result<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut files = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    files.next().ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn read_number(socket: &mut UnixStream) -> io::Result<i32> {
    let mut bytes = [0; 4];
    socket.read_exact(&mut bytes)?;
    Ok(i32::from_ne_bytes(bytes))
}

/// The work of a watchdog, with the command and its arguments: returns when it is done.
///
/// # Errors
/// It was not started by [`Watched::spawn`]: the standard input is no socket. Or the kernel refuses what it needs.
pub fn watchdog(command: &[OsString]) -> io::Result<()> {
    let (Some((program, args)), Ok(mut socket)) = (command.split_first(), stdin_socket()) else {
        return Err(io::Error::other(format!("{WATCHDOG_OPTION} is for `vswitch run` alone")));
    };
    let stdin = receive_stdin(&socket)?;
    set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut command = Command::new(program);
    command.args(args).stdin(stdin).process_group(group_of_parent()?);
    kill_with_parent(&mut command);
    let command = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let number = error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error());
            return socket.write_all(&(-number).to_ne_bytes());
        }
    };
    // The command has the mask of the caller already.
    SigSet::all().thread_block()?;
    let pid = Pid::from_child(&command);
    let is_heard = socket.write_all(&pid.as_raw_nonzero().get().to_ne_bytes());
    let is_held = is_heard.and_then(|()| socket.read_exact(&mut [0]));
    match is_held.and_then(|()| watch(&socket, pid)) {
        Ok(Some(status)) => socket.write_all(&status.to_ne_bytes()),
        Ok(None) | Err(_) => {
            end_descendants();
            Ok(())
        }
    }
}

/// The standard input, if it is a socket that has a peer of this program's kind.
fn stdin_socket() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::net::sockopt::socket_peercred(&socket)?;
    Ok(UnixStream::from(socket))
}

/// The process group of `vswitch run`, which is the command's: the terminal signals it as one.
fn group_of_parent() -> io::Result<i32> {
    let group = getppid().map_or_else(|| Ok(getpgrp()), |parent| getpgid(Some(parent)))?;
    Ok(group.as_raw_nonzero().get())
}

/// Reaps until the command ends, and gives its wait status; none if `vswitch run` was killed.
fn watch(socket: &UnixStream, command: Pid) -> io::Result<Option<i32>> {
    let mask = SigSet::from(BlockedSignal::SIGCHLD);
    let ended = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    loop {
        while let Some((pid, status)) = wait(WaitOptions::NOHANG)? {
            if pid == command {
                return Ok(Some(status.as_raw()));
            }
        }
        let mut fds = [
            PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if !fds[1].revents().is_empty() {
            return Ok(None);
        }
        while ended.read_signal()?.is_some() {}
    }
}

/// Kills the children until there are none. Nobody else reaps them, so their ids are theirs.
fn end_descendants() {
    for _ in 0..ROUNDS_MAX {
        for child in children() {
            let _ = kill_process(child, Signal::KILL);
        }
        std::thread::sleep(ROUND_PAUSE);
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // None is left.
                Err(_) => return,
            }
        }
    }
}

/// The children of this process.
fn children() -> Vec<Pid> {
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        parent_in(&stat) == Some(own)
    };
    numbers.filter(is_child).filter_map(Pid::from_raw).collect()
}

/// The parent in a `/proc/PID/stat`. The name of the program before it may have spaces and brackets.
pub(super) fn parent_in(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(") ")?;
    fields.split(' ').nth(1)?.parse().ok()
}
