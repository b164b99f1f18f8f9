//! Ends the kernel's flows that changes of published ports leave behind: one task for all changes.
//!
//! A walk through the kernel's connection tracking takes milliseconds, and a reader needs a large buffer. So changes
//! gather while a walk runs, and the next walk is for all of them. Whoever closes ports notes the change under its
//! lock, and waits without it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::time::timeout;

use super::conntrack::{Stale, changed};
use super::limits::NFT_ANSWER_MAX;
use super::nft::Forward;

/// The changes of one uplink. A clone has the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct StaleFlows(Arc<Queue>);

#[derive(Debug)]
struct Queue {
    noted: Mutex<Noted>,
    /// Number of the last change whose flows have ended.
    ended: watch::Sender<u64>,
    /// IPv4 and IPv6: the proxy's port for devices that are no uplinks.
    relayed: [Option<u16>; 2],
}

#[derive(Debug, Default)]
struct Noted {
    gone: Vec<Forward>,
    fresh: Vec<Forward>,
    /// Addresses of the host.
    local: Vec<IpAddr>,
    /// Number of changes so far.
    count: u64,
    is_running: bool,
}

impl Default for Queue {
    fn default() -> Self {
        Self { noted: Mutex::default(), ended: watch::channel(0).0, relayed: [None; 2] }
    }
}

impl StaleFlows {
    /// Of an uplink whose proxy has these ports.
    pub(crate) fn new(relayed: [Option<u16>; 2]) -> Self {
        Self(Arc::new(Queue { relayed, ..Queue::default() }))
    }

    /// Has what is left by `former` forwards ended, once they are replaced by `new` ones.
    pub(crate) fn note(&self, former: &[Arc<Forward>], new: &[Arc<Forward>], local: Vec<IpAddr>) {
        let of = |all: &[Arc<Forward>]| -> Vec<_> {
            all.iter().map(|one| Forward::clone(one)).collect()
        };
        let (gone, fresh) = changed(&of(former), &of(new));
        if gone.is_empty() && fresh.is_empty() {
            return;
        }
        let mut noted = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.gone.extend(gone);
        noted.fresh.extend(fresh);
        noted.local = local;
        noted.count += 1;
        if !std::mem::replace(&mut noted.is_running, true) {
            let queue = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || queue.run());
        }
    }

    /// Waits until the flows of all changes so far have ended, or the kernel has had its time.
    pub(crate) async fn settle(&self) {
        let count = self.0.noted.lock().unwrap_or_else(PoisonError::into_inner).count;
        let mut ended = self.0.ended.subscribe();
        let has_ended = ended.wait_for(|number| *number >= count);
        if timeout(2 * NFT_ANSWER_MAX, has_ended).await.is_err() {
            tracing::warn!("flows of the host to ports that closed are still being ended");
        }
    }
}

impl Queue {
    fn run(&self) {
        while let Some((stale, count)) = self.next() {
            stale.end();
            self.ended.send_replace(count);
        }
    }

    /// What was noted meanwhile.
    fn next(&self) -> Option<(Stale, u64)> {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let (gone, fresh) = (std::mem::take(&mut noted.gone), std::mem::take(&mut noted.fresh));
        noted.is_running = !gone.is_empty() || !fresh.is_empty();
        let stale = Stale::of(gone, fresh, std::mem::take(&mut noted.local));
        let stale = stale.with_relayed(self.relayed);
        noted.is_running.then_some((stale, noted.count))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use testkit::in_namespace_async;

    use super::*;
    use crate::host::nft::{Protocol, Published};

    fn forward(protocol: Protocol, port: u16) -> Arc<Forward> {
        Arc::new(Forward {
            published: Published { address: None, protocol, ports: port..=port },
            to4: Some([10, 88, 0, 5].into()),
            to6: None,
            to_port: port,
            allow_from: Vec::new(),
        })
    }

    #[test]
    fn changes_gather_while_a_walk_runs_and_are_waited_for() {
        in_namespace_async(|| async {
            let flows = StaleFlows::default();
            // As if a walk ran.
            flows.0.noted.lock().unwrap().is_running = true;
            let udp = [8125, 8126, 8127].map(|port| forward(Protocol::Udp, port));
            for n in 0..3 {
                flows.note(&udp[n..], &udp[n + 1..], Vec::new());
                assert!(flows.settle().now_or_never().is_none(), "{n}: not yet");
            }
            let (_, count) = flows.0.next().expect("one walk for all of them");
            assert_eq!(count, 3);
            assert!(flows.0.next().is_none());
            assert!(!flows.0.noted.lock().unwrap().is_running);
            flows.0.noted.lock().unwrap().is_running = true;
            flows.note(&udp, &[], Vec::new());
            flows.0.run();
            assert!(flows.settle().now_or_never().is_some(), "all have ended");
        });
    }

    /// Connections of TCP keep their container until it goes: the handshake is of one container.
    #[test]
    fn a_change_that_leaves_nothing_behind_asks_the_kernel_for_nothing() {
        let flows = StaleFlows::default();
        let tcp = [forward(Protocol::Tcp, 80)];
        flows.note(&[], &tcp, Vec::new());
        flows.note(&tcp, &tcp, Vec::new());
        assert_eq!(flows.0.noted.lock().unwrap().count, 0);
    }
}
