//! Passing signals on to the command.
//!
//! While the command runs, the signals of [`forwarded`] are blocked in this process and read from a
//! signalfd, which says who sent them. What the terminal makes (Ctrl-C, Ctrl-\, hang-up) carries a code
//! of the kernel and has gone to the whole foreground process group, the command included: it is
//! swallowed here. What a process sent with kill(2) went to this process only: it is passed on.
//! Signals that were ignored when we started (`nohup`) are left alone, as the command ignores them too.

use std::io;
use std::os::fd::AsFd;
use std::process::{Child, ExitStatus};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, pidfd_open};

/// What is passed on.
const SIGNALS: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// The signals to pass on: those of the list that this process does not ignore.
pub(super) fn forwarded() -> SigSet {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = ignored_mask(&status);
    SIGNALS.into_iter().filter(|signal| ignored & (1 << (*signal as u32 - 1)) == 0).collect()
}

/// The mask of ignored signals in a `/proc/PID/status`; bit 0 is signal 1.
pub(super) fn ignored_mask(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0)
}

/// The signals are ours from [`Forwarding::start`] until this is dropped.
#[derive(Debug)]
pub(super) struct Forwarding {
    signals: SignalFd,
    mask_before: SigSet,
}

impl Forwarding {
    /// Blocks the signals in this thread and collects them.
    pub(super) fn start() -> io::Result<Self> {
        let mask = forwarded();
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mask_before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { signals, mask_before })
    }

    /// Waits for the command and passes signals on to it meanwhile.
    pub(super) fn supervise(&self, child: &mut Child) -> io::Result<ExitStatus> {
        let pid = rustix::process::Pid::from_child(child);
        let ended = pidfd_open(pid, PidfdFlags::empty())?;
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let has_ended = !fds[1].revents().is_empty();
            if has_ended {
                return child.wait();
            }
            self.pass_on(Pid::from_raw(pid.as_raw_nonzero().get()))?;
        }
    }

    /// Passes on what has come. The command is not reaped yet, so its id is still its own.
    fn pass_on(&self, child: Pid) -> io::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            let Ok(signal) = Signal::try_from(number) else { continue };
            if sent_by_process(info.ssi_code) {
                let _ = kill(child, signal);
            }
        }
        Ok(())
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        // What came at the last moment was meant for the command, which has ended: do not die of it.
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let _ = self.mask_before.thread_set_mask();
    }
}

/// Codes above zero are the kernel's (sigaction(2)): the terminal made the signal.
pub(super) const fn sent_by_process(code: i32) -> bool {
    code <= 0
}
