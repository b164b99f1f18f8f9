//! Requests that write this node's own entries, one after the other.
//!
//! The order: the registration, another VTEP, lost networks and blocks, deletions, endpoints. A failed request is tried
//! again after a pause; its endpoints are pending meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use vswitch_registry::record::{Endpoint, Key, Network, Node, Record};
use vswitch_registry::{RegistrationError, RegistryError};

use super::super::change::OverlayChange;
use super::super::command::Reply;
use super::super::error::NodeError;
use super::super::local::{LocalKey, State, key_of};
use super::super::request::{Request, Restored};
use super::Session;

/// What is to be written besides endpoints, and how the last write went.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    is_busy: bool,
    /// Write endpoints one by one: one of a transaction is at fault.
    is_single: bool,
    restore: BTreeSet<Key>,
    drops: BTreeSet<(String, IpNet)>,
    vtep: Option<(Node, Option<Reply<()>>)>,
    /// Endpoints that were written, and that the watch has not told yet.
    untold: BTreeMap<LocalKey, Duration>,
    lag: Duration,
}

/// Endpoints whose echo is waited for.
const UNTOLD_MAX: usize = 64;

impl Lane {
    pub(crate) fn restore(&mut self, key: Key) {
        self.restore.insert(key);
    }

    pub(crate) fn is_restored(&self, network: &str) -> bool {
        self.restore.contains(&Key::Network(network.to_owned()))
    }

    pub(crate) fn drop_block(&mut self, network: String, block: IpNet) {
        self.drops.insert((network, block));
    }

    pub(crate) fn change_vtep(&mut self, node: Node, reply: Reply<()>) {
        if let Some((_, Some(reply))) = self.vtep.replace((node, Some(reply))) {
            reply.send(Ok(()));
        }
    }

    pub(crate) fn end(&mut self) {
        self.is_busy = false;
    }

    /// The watch tells an entry.
    pub(crate) fn handle_echo(&mut self, key: &Key, now: Duration) {
        let Key::Endpoint(network, _, address) = key else { return };
        if self.untold.is_empty() {
            return;
        }
        if let Some(written) = self.untold.remove(&(network.clone(), *address)) {
            self.lag = now.saturating_sub(written);
        }
    }

    pub(crate) fn lag(&self, now: Duration) -> Duration {
        let oldest = self.untold.values().min();
        oldest.map_or(self.lag, |written| now.saturating_sub(*written).max(self.lag))
    }
}

impl Session {
    pub(crate) fn lane_timeout(&self, now: Duration) -> Option<Duration> {
        let at = self.link.retry.at;
        (!self.is_read_only && !self.lane.is_busy && at > now).then_some(at)
    }

    /// The next request that writes.
    pub(crate) fn poll_write(&mut self, now: Duration) -> Option<Request> {
        if self.is_read_only || self.lane.is_busy || self.link.retry.at > now {
            return None;
        }
        let request = match self.link.is_registered() {
            false => self.next_registration(),
            true => self.next_write()?,
        };
        self.lane.is_busy = true;
        Some(request)
    }

    fn next_registration(&mut self) -> Request {
        // A VTEP that changed meanwhile is registered at once.
        if let Some((node, reply)) = self.lane.vtep.take() {
            self.node = node;
            if let Some(reply) = reply {
                self.link.wait_next_registration(reply);
            }
        }
        Request::Register(self.node.clone())
    }

    fn next_write(&mut self) -> Option<Request> {
        if let Some((new, _)) = &self.lane.vtep {
            // From now on the old VTEP's end is no loss.
            let (old, new) = (std::mem::replace(&mut self.node, new.clone()), new.clone());
            return Some(Request::ChangeVtep { old, new });
        }
        if let Some(request) = self.next_restore() {
            return Some(request);
        }
        if !self.lane.drops.is_empty() {
            return Some(Request::DropBlocks(
                std::mem::take(&mut self.lane.drops).into_iter().collect(),
            ));
        }
        let withdrawn = self.local.next_deletions(self.operations_max);
        if !withdrawn.is_empty() {
            return Some(Request::Withdraw(withdrawn));
        }
        let max = if self.lane.is_single { 1 } else { self.operations_max };
        let endpoints = self.local.next_writes(max);
        (!endpoints.is_empty()).then_some(Request::Announce(endpoints))
    }

    fn next_restore(&mut self) -> Option<Request> {
        let (mut networks, mut blocks) = (Vec::<Network>::new(), Vec::new());
        for key in std::mem::take(&mut self.lane.restore) {
            // Another node may have written it meanwhile.
            match key {
                _ if !self.view.is_gone(&key) => {}
                Key::Network(name) => {
                    networks.extend(self.view.network(&name).map(|network| (**network).clone()));
                }
                Key::Block(network, block) => blocks.push((network, block)),
                _ => {}
            }
        }
        let is_empty = networks.is_empty() && blocks.is_empty();
        (!is_empty).then_some(Request::Restore { networks, blocks })
    }

    pub(crate) fn handle_changed_vtep(
        &mut self,
        new: &Node,
        result: Result<(), RegistrationError>,
        now: Duration,
    ) {
        self.lane.end();
        let is_current = self.lane.vtep.as_ref().is_some_and(|(node, _)| node == new);
        match result {
            Err(RegistrationError::Registry(error)) => self.write_failed(error, now),
            // A further change waits.
            _ if !is_current => {}
            result => {
                if let Some((_, Some(reply))) = self.lane.vtep.take() {
                    reply.send(result.map_err(Into::into));
                }
            }
        }
    }

    pub(crate) fn handle_rewritten(
        &mut self,
        result: Result<Restored, RegistryError>,
        now: Duration,
    ) {
        self.lane.end();
        match result {
            Ok(restored) => {
                self.write_succeeded();
                for (network, error) in restored.refused {
                    tracing::warn!(network, %error, "network not written again");
                }
            }
            Err(error) => {
                // Entries that still are gone.
                let lost: Vec<_> = self.view.gone().keys().cloned().collect();
                for key in lost {
                    let is_kept = match &key {
                        Key::Network(name) => self.local.uses(name),
                        Key::Block(network, block) => {
                            self.view.is_in_own_block(network, block.addr())
                        }
                        _ => false,
                    };
                    if is_kept {
                        self.lane.restore(key);
                    }
                }
                self.write_failed(error, now);
            }
        }
    }

    pub(crate) fn handle_dropped(&mut self, result: Result<(), RegistryError>, now: Duration) {
        self.lane.end();
        match result {
            Ok(()) => self.write_succeeded(),
            Err(error) => self.write_failed(error, now),
        }
    }

    pub(crate) fn handle_announced(
        &mut self,
        endpoints: &[Endpoint],
        result: Result<(), RegistrationError>,
        now: Duration,
    ) {
        self.lane.end();
        let error = match result {
            Ok(()) => {
                self.write_succeeded();
                self.lane.is_single = false;
                for endpoint in endpoints {
                    self.written(&key_of(endpoint), now);
                }
                return;
            }
            Err(error) => error,
        };
        for endpoint in endpoints {
            let key = key_of(endpoint);
            if self.local.state(&key) == Some(&State::Writing) {
                self.local.set(&key, State::Pending);
            }
        }
        match error {
            RegistrationError::AddressTaken { address, network, node } => {
                self.write_succeeded();
                self.addresses.taken(network.clone(), address, now);
                let error = NodeError::AddressTaken { address, network: network.clone(), node };
                self.refuse(&(network, address), &error);
            }
            RegistrationError::Registry(RegistryError::LeaseEnded { .. }) => {
                self.link.register_again();
            }
            RegistrationError::Registry(
                error @ (RegistryError::BadRequest(_) | RegistryError::ReadOnly { .. }),
            ) => self.one_is_wrong(endpoints, &error.into()),
            RegistrationError::Registry(error) => self.write_failed(error, now),
            error => self.one_is_wrong(endpoints, &error.into()),
        }
    }

    fn written(&mut self, key: &LocalKey, now: Duration) {
        if self.local.state(key) != Some(&State::Writing) {
            return;
        }
        self.local.set(key, State::Written);
        self.waiters.done(key, true);
        let (network, address) = key;
        let told = self.view.endpoint(network, *address).zip(self.local.endpoint(key));
        let is_told = told.is_some_and(|(told, own)| {
            *told.node == *self.node.name && told.mac == own.mac && *told.name == *own.name
        });
        if is_told {
            self.lane.untold.remove(key);
        } else if self.lane.untold.len() < UNTOLD_MAX {
            self.lane.untold.insert(key.clone(), now);
        }
    }

    /// One endpoint of a transaction is at fault; alone, it is refused.
    fn one_is_wrong(&mut self, endpoints: &[Endpoint], error: &NodeError) {
        match endpoints {
            [endpoint] => {
                self.lane.is_single = false;
                self.refuse(&key_of(endpoint), error);
            }
            _ => self.lane.is_single = true,
        }
    }

    /// An endpoint is not to be had: whoever waits for it is told, or else the consumer.
    pub(crate) fn refuse(&mut self, key: &LocalKey, error: &NodeError) {
        if let Some(waiter) = self.waiters.take_attach(key) {
            self.local.forget(key);
            for other in &waiter.keys {
                self.local.withdraw(other);
            }
            return waiter.reply.send(Err(error.clone()));
        }
        let problem = error.to_string();
        tracing::warn!(network = key.0, address = %key.1, problem, "endpoint refused");
        self.local.set(key, State::Refused(problem.clone()));
        let (network, address): (String, IpAddr) = key.clone();
        self.refusals.push(OverlayChange::AddressRefused { network, address, problem });
    }

    pub(crate) fn handle_withdrawn(
        &mut self,
        endpoints: &[Endpoint],
        result: Result<(), RegistrationError>,
        now: Duration,
    ) {
        self.lane.end();
        match result {
            Ok(()) => {
                self.write_succeeded();
                for endpoint in endpoints {
                    let key = key_of(endpoint);
                    if self.local.state(&key) == Some(&State::Withdrawing) {
                        self.local.forget(&key);
                        self.waiters.done(&key, false);
                        self.lane.untold.remove(&key);
                    }
                }
            }
            Err(RegistrationError::Registry(error)) => self.write_failed(error, now),
            Err(error) => self.write_failed(RegistryError::BadRequest(error.to_string()), now),
        }
    }

    fn write_succeeded(&mut self) {
        self.link.set_problem(None);
        self.link.retry.succeeded();
    }

    fn write_failed(&mut self, error: RegistryError, now: Duration) {
        self.link.retry.failed(now);
        self.set_away(error.into());
    }

    /// The record of an endpoint is one.
    pub(crate) fn check(endpoint: &Endpoint) -> Result<(), NodeError> {
        Ok(Record::Endpoint(endpoint.clone()).check()?)
    }
}
