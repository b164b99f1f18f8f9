//! What is believed after an outage, and what this node writes again.
//!
//! While the link is down, nobody is believed gone. After its return the same holds for a grace period, in which each
//! node writes its own entries again: the others' leases may have ended while they could not renew them, or the registry
//! may have lost its data.
//!
//! Networks and blocks have no lease, so a node that misses one writes it again by these rules:
//!
//! - a block of its own, unless its network is gone, too;
//! - a network that it has endpoints in: to this node the network is in use;
//! - every network, where the registry has lost its data. That shows when its revision went back, or when the node's own
//!   record was deleted while its lease lived.

use std::time::Duration;

use vswitch_registry::record::{Key, Record, block_of};
use vswitch_registry::{Change, RegistryError, Revision, Status};

use super::super::conf::Remembered;
use super::super::local::State;
use super::super::request::Request;
use super::Session;

/// The grace period.
#[derive(Debug)]
pub(crate) struct Grace {
    period: Duration,
    end: Option<Duration>,
    /// Whether the registry has lost its data, within this period.
    is_lost: bool,
}

impl Grace {
    pub(crate) fn new(period: Duration) -> Self {
        Self { period, end: None, is_lost: false }
    }

    /// When the period ends; none: there is none.
    pub(crate) fn end(&self, now: Duration) -> Option<Duration> {
        self.end.filter(|end| *end > now)
    }

    fn begin(&mut self, now: Duration) {
        if self.end(now).is_none() {
            self.is_lost = false;
        }
        self.end = Some(now + self.period);
    }
}

impl Session {
    /// Believes what was known before a restart, until a listing has told otherwise for a grace period.
    pub(crate) fn remember(&mut self, remembered: Remembered) {
        let node = &self.node.name;
        let networks = remembered.networks.into_iter().map(Record::Network);
        let blocks = remembered.blocks.into_iter();
        let blocks =
            blocks.map(|(network, block)| Record::Block { network, block, node: node.clone() });
        for record in networks.chain(blocks) {
            // Too many of them: the registry has them still.
            let _ = self.view.insert(record);
        }
    }

    /// The watch or the first listing is there again.
    pub(crate) fn begin_grace(&mut self, now: Duration) {
        if !self.is_read_only {
            self.grace.begin(now);
        }
        self.ask_status();
    }

    /// Asks for the registry's revision, and which of its servers answers.
    pub(crate) fn ask_status(&mut self) {
        if !self.is_read_only {
            self.requests.push_back(Request::Status);
        }
    }

    pub(crate) fn handle_change(&mut self, change: &Change, now: Duration) {
        match change {
            Change::Put(entry) => {
                if let Some(key) = self.view.handle_put(entry, now) {
                    self.compare_own(&key);
                    self.lane.handle_echo(&key, now);
                }
            }
            Change::Delete { key } => {
                let Some(key) = self.view.handle_delete(key, now) else { return };
                if self.is_own_record(&key) && self.link.is_lease_active() {
                    // Nobody else deletes it while the lease lives.
                    if self.grace.end(now).is_none() {
                        tracing::warn!(node = self.node.name, "registry lost this node's record");
                        self.begin_grace(now);
                        self.grace.is_lost = true;
                    }
                    self.link.register_again();
                }
                self.write_lost_endpoint(&key);
            }
        }
    }

    /// An own endpoint that was deleted is written again; one that was refused, too, since the other is gone.
    fn write_lost_endpoint(&mut self, key: &Key) {
        let Key::Endpoint(network, _, address) = key else { return };
        let key = (network.clone(), *address);
        if let Some(State::Written | State::Refused(_)) = self.local.state(&key)
            && !self.is_read_only
        {
            self.local.set(&key, State::Pending);
        }
    }

    /// An entry in the place of an own endpoint that was written: writing it again tells whose it is.
    fn compare_own(&mut self, key: &Key) {
        let Key::Endpoint(network, _, address) = key else { return };
        let key = (network.clone(), *address);
        let Some(State::Written) = self.local.state(&key) else { return };
        let found = self.view.endpoint(network, *address);
        if found.is_some_and(|found| *found.node != *self.node.name) && !self.is_read_only {
            self.local.set(&key, State::Pending);
        }
    }

    /// The registry's revision after its return.
    pub(crate) fn handle_status(&mut self, result: Result<Status, RegistryError>, now: Duration) {
        // The watch tells of the next outage, and asks again after it.
        let Ok(status) = result else { return };
        let Revision(before) = self.view.revision;
        let Revision(after) = status.revision;
        self.link.set_endpoint(status.endpoint);
        if after < before {
            tracing::warn!(before, after, "registry lost its data; writing it again");
            self.view.revision = status.revision;
            self.grace.is_lost = true;
            let keys: Vec<_> = self.view.gone().keys().cloned().collect();
            self.write_again(keys, now);
        }
    }

    /// Decides about entries that were deleted: whether this node writes them again, and when they are removed.
    pub(crate) fn decide_gone(&mut self, now: Duration) {
        let keys = self.view.gone().undecided(now);
        if !keys.is_empty() {
            self.write_again(keys, now);
        }
    }

    fn write_again(&mut self, mut keys: Vec<Key>, now: Duration) {
        let usual = self.grace.end(now).unwrap_or(now);
        // Networks first: their blocks depend on them.
        keys.sort_by_key(|key| !matches!(key, Key::Network(_)));
        for key in keys {
            let is_written = !self.is_read_only && self.is_to_be_written(&key);
            if is_written {
                self.lane.restore(key.clone());
            }
            let until = if is_written { usual.max(now + self.grace.period) } else { usual };
            self.view.gone().decide(&key, until);
        }
    }

    fn is_to_be_written(&self, key: &Key) -> bool {
        match key {
            Key::Network(name) => self.grace.is_lost || self.local.uses(name),
            Key::Block(network, block) => {
                let is_network_gone = self.view.is_gone(&Key::Network(network.clone()));
                let network_comes = self.lane.is_restored(network);
                self.view.is_in_own_block(network, block.addr())
                    && self.view.network(network).is_some()
                    && (!is_network_gone || network_comes)
            }
            _ => false,
        }
    }

    /// A network that the registry has lost is in use from now on.
    pub(crate) fn keep_network(&mut self, name: &str, now: Duration) {
        let key = Key::Network(name.to_owned());
        if self.view.is_gone(&key) {
            let blocks = self.view.own_blocks().filter(|(network, _)| *network == name);
            let blocks = blocks.map(|(_, block)| Key::Block(name.to_owned(), block));
            let blocks: Vec<_> = blocks.filter(|key| self.view.is_gone(key)).collect();
            self.write_again([vec![key], blocks].concat(), now);
        }
    }

    /// Own blocks and addresses of a removed network go, too.
    pub(crate) fn handle_removed(&mut self, removed: &[Key]) {
        for key in removed {
            match key {
                Key::Network(name) => {
                    self.addresses.forget_network(name);
                    let blocks = self.view.own_blocks().filter(|(network, _)| *network == name);
                    let blocks: Vec<_> = blocks.map(|(_, block)| block).collect();
                    for block in blocks {
                        debug_assert_eq!(block, block_of(block.addr()));
                        self.lane.drop_block(name.clone(), block);
                    }
                }
                Key::Endpoint(..) => self.write_lost_endpoint(key),
                _ => {}
            }
        }
    }
}
