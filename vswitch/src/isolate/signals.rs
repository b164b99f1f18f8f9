//! Forwards signals to the command.
//!
//! While the command runs, this process blocks the signals of [`forwarded`] and reads them from a
//! signalfd. A signal of the terminal (Ctrl-C, Ctrl-\) has a code of the kernel and reaches the
//! whole foreground process group, the command included: it is discarded here. A signal of kill(2)
//! reaches this process only: it is forwarded. So is the hang-up of the terminal if this process leads the session,
//! since the kernel tells the leader alone; SIGCONT follows, as the kernel does it, so that a stopped command hears of
//! it. Signals that were ignored at the start (`nohup`) stay ignored, in the command, too.
//!
//! The command inherits the mask of the thread that spawns it, so that thread blocks the signals only
//! afterwards. Until then they have handlers, which do not survive the exec; a signal that arrives
//! meanwhile is forwarded, whoever sent it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{getpid, getsid};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{self, pidfd_send_signal};
use tokio::signal::unix::{Signal as Handled, SignalKind, signal};

/// Signals to forward.
const SIGNALS: [Signal; 6] = [
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Signals of the list that this process does not ignore.
fn forwarded() -> SigSet {
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

/// How long to poll for signals that arrived during the spawn: they wait in a pipe.
const CATCH_UP: Duration = Duration::from_millis(1);

/// Takes the signals from [`Forwarding::start`] until it is dropped.
#[derive(Debug)]
pub(super) struct Forwarding {
    runtime: tokio::runtime::Runtime,
    handled: Vec<(Signal, Handled)>,
    mask: SigSet,
    signals: SignalFd,
    mask_before: SigSet,
}

impl Forwarding {
    /// Installs handlers, blocks the signals in this thread, and opens the signalfd.
    pub(super) fn start() -> io::Result<Self> {
        let mask = forwarded();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handled = {
            let _entered = runtime.enter();
            let handle =
                |number: Signal| Ok((number, signal(SignalKind::from_raw(number as i32))?));
            mask.iter().map(handle).collect::<io::Result<_>>()?
        };
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mask_before = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        Ok(Self { runtime, handled, mask, signals, mask_before })
    }

    /// Signals that the spawning thread must block after the spawn.
    pub(super) fn mask(&self) -> SigSet {
        self.mask
    }

    /// Forwards signals that arrived during the spawn.
    fn catch_up(&mut self, command: &OwnedFd) {
        let Self { runtime, handled, .. } = self;
        runtime.block_on(async {
            for (number, stream) in handled {
                if let Ok(Some(())) = tokio::time::timeout(CATCH_UP, stream.recv()).await {
                    send(command, *number);
                }
            }
        });
    }

    /// Forwards signals to the command of a pidfd until it has ended, and takes its status then.
    pub(super) fn supervise<T>(
        mut self,
        command: &OwnedFd,
        reap: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        self.catch_up(command);
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(command.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let has_ended = !fds[1].revents().is_empty();
            if has_ended {
                return reap();
            }
            self.pass_on(command)?;
        }
    }

    /// Forwards pending signals.
    fn pass_on(&self, command: &OwnedFd) -> io::Result<()> {
        while let Some(info) = self.signals.read_signal()? {
            let number = i32::try_from(info.ssi_signo).unwrap_or(0);
            let Ok(signal) = Signal::try_from(number) else { continue };
            let is_hangup = signal == Signal::SIGHUP;
            if sent_by_process(info.ssi_code) || (is_hangup && leads_session()) {
                send(command, signal);
            }
        }
        Ok(())
    }
}

/// Sends a signal to the command. It may be stopped when the terminal hangs up.
fn send(command: &OwnedFd, signal: Signal) {
    let Some(number) = process::Signal::from_named_raw(signal as i32) else { return };
    let _ = pidfd_send_signal(command, number);
    if signal == Signal::SIGHUP {
        let _ = pidfd_send_signal(command, process::Signal::CONT);
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        // Discard late signals: they were for the command, which has ended.
        while let Ok(Some(_)) = self.signals.read_signal() {}
        let _ = self.mask_before.thread_set_mask();
    }
}

/// Whether this process leads its session, and so is told of the end of the terminal.
fn leads_session() -> bool {
    getsid(None).is_ok_and(|session| session == getpid())
}

/// Whether a process sent the signal: codes above zero are the kernel's (sigaction(2)).
pub(super) const fn sent_by_process(code: i32) -> bool {
    code <= 0
}
