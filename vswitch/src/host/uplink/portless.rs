//! Protocols without ports: hands a container's answers over, unless the host itself uses the flow.
//!
//! ```text
//!   a worker tells a flow --> does the host use it? --no--> element of the set at the NIC, then a note to the workers:
//!                             |        ^                    | packets may leave. PORTLESS_KEPT after the last, and
//!                             |        |                    | looked at each PORTLESS_CHECK
//!                             |        '--------------------'
//!                            yes --> no element; a note to the workers now and each PORTLESS_NOTE, while it does
//! ```
//!
//! So a host that begins later has its own back in some seconds. Flows gather while the kernel is read
//! ([`own_flows`](crate::host::own_flows)), which takes [`PORTLESS_REST`] times as long a rest: containers cannot keep it busy.
//! Limits: [`PORTLESS_MAX`] flows of containers, and as many of the host that containers asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rtnetlink::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::tables::Shared;
use crate::host::limits::{
    PORTLESS_CHECK, PORTLESS_MAX, PORTLESS_NOTE, PORTLESS_NOTES_MAX, PORTLESS_REST,
};
use crate::host::netlink::Dumps;
use crate::host::own_flows::{Flow, Sources};

/// Whose flows are that containers asked for.
#[derive(Debug)]
pub(crate) enum PortlessNote {
    /// The host itself uses them.
    OfHost(Arc<[Flow]>),
    /// The NICs hand them over.
    HandedOver(Arc<[Flow]>),
}

/// Notes for the workers.
pub(crate) type PortlessNotes = mpsc::Receiver<PortlessNote>;

/// What the task is told, and what it tells.
#[derive(Debug)]
pub(super) struct Portless {
    pub(super) told: mpsc::Sender<Flow>,
    pub(super) notes: Option<PortlessNotes>,
}

/// The task.
pub(super) struct Keeper {
    sources: Sources,
    shared: Shared,
    told: mpsc::Receiver<Flow>,
    notes: mpsc::Sender<PortlessNote>,
    /// Flows of the host that containers asked for, and when workers were told.
    of_host: BTreeMap<Flow, Instant>,
    looked: Instant,
}

/// A task that is not running yet.
pub(super) fn open(handle: (Handle, Dumps), shared: Shared) -> (Portless, Keeper) {
    let (told_in, told) = mpsc::channel(PORTLESS_MAX);
    let (notes, notes_out) = mpsc::channel(PORTLESS_NOTES_MAX);
    let (of_host, looked) = (BTreeMap::new(), Instant::now());
    let sources = Sources::new(handle);
    let keeper = Keeper { sources, shared, told, notes, of_host, looked };
    (Portless { told: told_in, notes: Some(notes_out) }, keeper)
}

impl Keeper {
    /// Runs until the sender of flows is dropped.
    pub(super) async fn run(mut self) {
        let mut check = interval(PORTLESS_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut told = Vec::new();
            tokio::select! {
                count = self.told.recv_many(&mut told, PORTLESS_MAX) => {
                    if count == 0 {
                        return;
                    }
                }
                _ = check.tick() => {}
            }
            let began = Instant::now();
            self.look(told).await;
            sleep(began.elapsed() * PORTLESS_REST).await;
        }
    }

    async fn look(&mut self, told: Vec<Flow>) {
        let handed = self.shared.portless().await;
        let is_due = !self.of_host.is_empty() && self.looked.elapsed() >= PORTLESS_NOTE;
        if told.is_empty() && handed.is_empty() && !is_due {
            return;
        }
        self.looked = Instant::now();
        let all = told.iter().chain(&handed).chain(self.of_host.keys()).copied().collect();
        let local = self.shared.local().await;
        let of_host = self.sources.used_by_host(all, local).await;
        let again: BTreeSet<Flow> = told.iter().copied().collect();
        match self.shared.hand_over(told, of_host.clone()).await {
            // A note that is lost is asked for again.
            Ok(handed) if !handed.is_empty() => {
                let _ = self.notes.try_send(PortlessNote::HandedOver(handed.into()));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "protocols without ports: containers cannot use them with more remotes");
            }
        }
        self.note(&of_host, &again);
    }

    fn is_note_lost(&self, fresh: &Arc<[Flow]>) -> bool {
        self.notes.try_send(PortlessNote::OfHost(Arc::clone(fresh))).is_err()
    }

    /// Tells workers what is the host's, where they do not know it: it is new, or they told it again, or it is long ago.
    fn note(&mut self, of_host: &BTreeSet<Flow>, again: &BTreeSet<Flow>) {
        self.of_host.retain(|flow, _| of_host.contains(flow));
        let is_known = |flow: &Flow| {
            let noted = self.of_host.get(flow);
            noted.is_some_and(|at| at.elapsed() < PORTLESS_NOTE) && !again.contains(flow)
        };
        let fresh: Arc<[Flow]> = of_host.iter().copied().filter(|flow| !is_known(flow)).collect();
        if fresh.is_empty() || self.is_note_lost(&fresh) {
            return;
        }
        for flow in fresh.iter() {
            let is_new = !self.of_host.contains_key(flow);
            if is_new && self.of_host.len() >= PORTLESS_MAX {
                continue;
            }
            if is_new {
                let (remote, protocol) = flow;
                tracing::info!(%remote, protocol, "the host itself uses it: containers get \"prohibited\"");
            }
            self.of_host.insert(*flow, Instant::now());
        }
    }
}
