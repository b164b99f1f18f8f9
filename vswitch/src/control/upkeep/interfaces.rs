//! Looks whether containers' interfaces are where they belong. The kernel tells the host nothing of moves between
//! other namespaces, so one is looked at each second, in turn.

use std::collections::HashMap;
use std::path::PathBuf;

use tokio::time::Instant;
use vswitch_api::event::EventKind;

use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::limits::NETNS_SCAN_INTERVAL;
use crate::control::model::EndpointKey;
use crate::control::store::NetnsRecord;
use crate::control::task::blocking;
use crate::host::container;
use crate::host::netns::{self, NetnsId};

/// The next look, and what former ones found.
#[derive(Debug, Default)]
pub(super) struct Looks {
    turn: usize,
    /// A fault that the last look found, and no look before: the interface may have been deleted, of which the workers tell
    /// in a moment.
    missed: Option<(EndpointKey, String)>,
    /// When a path was searched among all processes last: the search is costly.
    scanned: Option<Instant>,
    /// Paths of namespaces whose own path is gone.
    paths: HashMap<NetnsId, PathBuf>,
}

impl Looks {
    /// Looks at the next interface.
    pub(super) async fn look(&mut self, control: &Control) {
        let missed = self.missed.take();
        let found = control.0.model().interface_at(self.turn);
        let Some((key, record)) = found else {
            self.turn = 0;
            return;
        };
        match self.fault(control, &key, &record).await {
            Ok(Some(fault)) => {
                let found = (key, fault);
                if missed.as_ref() != Some(&found) {
                    self.missed = Some(found);
                    return;
                }
                control.note_fault(&found.0, Some(found.1));
            }
            Ok(None) => control.note_fault(&key, None),
            Err(error) => tracing::debug!(name = %key, %error, "cannot look at its interface"),
        }
        self.turn += 1;
    }

    /// The fault of an endpoint whose interface is not in its namespace.
    async fn fault(
        &mut self,
        control: &Control,
        key: &EndpointKey,
        record: &NetnsRecord,
    ) -> Result<Option<String>, ControlError> {
        let Some(path) = self.path(record).await? else { return Ok(None) };
        let netns = blocking(move || netns::open_path(&path)).await??;
        if netns.id != record.id {
            return Ok(None);
        }
        let info = container::inspect(netns).await?;
        let Some((mac, ifname)) = control.0.model().interface_of(key) else { return Ok(None) };
        // It may be renamed inside, or have another MAC address.
        let is_there = info.macs.contains_key(&ifname) || info.macs.values().any(|it| *it == mac);
        Ok((!is_there).then(|| {
            let where_it_was = netns::describe(&record.reference);
            format!("its interface {ifname} ({mac}) has left its namespace {where_it_was}: somebody moved it")
        }))
    }

    /// A path of a namespace; all processes are searched once in a while only.
    async fn path(&mut self, record: &NetnsRecord) -> Result<Option<PathBuf>, ControlError> {
        let id = record.id;
        let known = [Some(&record.path), self.paths.get(&id)];
        if let Some(path) = known.into_iter().flatten().find(|path| netns::id_of(path) == Some(id))
        {
            return Ok(Some(path.clone()));
        }
        self.paths.remove(&id);
        if self.scanned.is_some_and(|then| then.elapsed() < NETNS_SCAN_INTERVAL) {
            return Ok(None);
        }
        self.scanned = Some(Instant::now());
        let path = record.path.clone();
        let found = blocking(move || netns::find(id, &path)).await??;
        if let Some(path) = &found {
            self.paths.insert(id, path.clone());
        }
        // Those that ended.
        self.paths.retain(|id, path| netns::id_of(path) == Some(*id));
        Ok(found)
    }
}

impl Control {
    fn note_fault(&self, key: &EndpointKey, fault: Option<String>) {
        if !self.0.model().set_active_fault(key, fault.clone()) {
            return;
        }
        match fault {
            Some(fault) => {
                tracing::warn!(name = %key, network = %key.network, fault, "out of order");
                self.0.feed.send(EventKind::Fault, key, fault);
            }
            None => {
                tracing::info!(name = %key, network = %key.network, "in order again");
                self.0.feed.send(EventKind::Fault, key, "none any more");
            }
        }
    }
}
