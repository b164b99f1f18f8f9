//! Signals of the daemon: none of them leaves the host as it is with a switch.
//!
//! | signals | effect | as in |
//! |---|---|---|
//! | SIGTERM, SIGINT, SIGHUP, SIGALRM | the daemon ends and restores the host | Open vSwitch (`fatal-signal.c`) |
//! | SIGQUIT | the same | nginx |
//! | SIGPWR, SIGXCPU | the same: the power, or the processor time, is about to end | |
//! | SIGUSR1, SIGUSR2, and the others whose default action ends a process | a line in the log | dnsmasq, dockerd |
//!
//! Many daemons open their logs again on SIGUSR1, so tools that rotate logs send it. SIGXFSZ is one of the others: a file
//! that is too long is an error of the write. SIGKILL, SIGSTOP, and those of a fault of the program (SIGSEGV, SIGBUS,
//! SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS) stay what they are.

use std::io;

use futures_util::StreamExt;
use futures_util::future::select_all;
use futures_util::stream::FuturesUnordered;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals that end the daemon.
const ENDING: [i32; 7] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGALRM,
    libc::SIGPWR,
    libc::SIGXCPU,
];

/// Further signals that would end a process, without those of real time.
const IGNORED: [i32; 7] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGSTKFLT,
];

/// The signals that the daemon takes. A handler, unlike `SIG_IGN`, is not inherited by programs that it starts.
pub(super) struct Signals {
    ending: Vec<Signal>,
}

impl Signals {
    /// Takes the signals, and logs those that change nothing.
    pub(super) fn install() -> io::Result<Self> {
        let take = |number: i32| signal(SignalKind::from_raw(number));
        let ending = ENDING.into_iter().map(take).collect::<io::Result<_>>()?;
        let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
        let ignored = IGNORED.into_iter().chain(real_time);
        let ignored = ignored.map(|number| Ok((number, take(number)?)));
        tokio::spawn(log_ignored(ignored.collect::<io::Result<_>>()?));
        Ok(Self { ending })
    }

    /// Waits for one that ends the daemon.
    pub(super) async fn recv(&mut self) {
        let ending = self.ending.iter_mut().map(|signal| Box::pin(signal.recv()));
        select_all(ending).await;
    }
}

async fn log_ignored(ignored: Vec<(i32, Signal)>) {
    let mut waiting: FuturesUnordered<_> = ignored.into_iter().map(next).collect();
    while let Some((number, signal)) = waiting.next().await {
        tracing::info!(number, "a signal that changes nothing");
        waiting.push(next((number, signal)));
    }
}

async fn next((number, mut signal): (i32, Signal)) -> (i32, Signal) {
    signal.recv().await;
    (number, signal)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};

    use super::*;

    /// Each in turn: a default action would end the test.
    #[tokio::test]
    async fn a_signal_ends_the_daemon_or_changes_nothing() {
        let mut signals = Signals::install().unwrap();
        for number in ENDING {
            raise(Signal::try_from(number).unwrap()).unwrap();
            let ended = tokio::time::timeout(Duration::from_secs(10), signals.recv());
            ended.await.unwrap_or_else(|_| panic!("signal {number} does not end the daemon"));
        }
        for number in IGNORED {
            raise(Signal::try_from(number).unwrap()).unwrap();
        }
        let ended = tokio::time::timeout(Duration::from_millis(50), signals.recv());
        assert!(ended.await.is_err(), "a signal of the ignored ones ends the daemon");
    }
}
