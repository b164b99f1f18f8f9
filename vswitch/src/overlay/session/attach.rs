//! Endpoints of this node: announced and withdrawn by control.

use std::net::IpAddr;
use std::time::Duration;

use vswitch_registry::record::Endpoint;

use super::super::change::OverlayChange;
use super::super::command::{Progress, Reply};
use super::super::error::NodeError;
use super::super::limits::WRITE_WAIT;
use super::super::local::{LocalKey, State, key_of};
use super::Session;

impl Session {
    /// Writes endpoints; answers when they are written, or when the registry is away and they may be told later.
    pub(crate) fn announce(
        &mut self,
        mut endpoints: Vec<Endpoint>,
        reply: Reply<Progress>,
        now: Duration,
    ) {
        for endpoint in &mut endpoints {
            endpoint.node.clone_from(&self.node.name);
        }
        for endpoint in &endpoints {
            if let Err(error) = self.check_announced(endpoint) {
                return reply.send(Err(error));
            }
        }
        let keys: Vec<_> = endpoints.iter().map(key_of).collect();
        for endpoint in endpoints {
            // A detach that waits is over.
            self.waiters.done(&key_of(&endpoint), false);
            let network = endpoint.network.clone();
            // One from before a restart was not allocated.
            self.addresses.reserve(key_of(&endpoint));
            self.local.announce(endpoint);
            self.keep_network(&network, now);
        }
        if self.is_read_only {
            for key in &keys {
                self.local.set(key, State::Written);
            }
            return reply.send(Ok(Progress::Written));
        }
        self.waiters.add(keys, true, now + WRITE_WAIT, reply);
        if self.link.away().is_some() {
            self.answer_without_registry(None);
        }
    }

    fn check_announced(&self, endpoint: &Endpoint) -> Result<(), NodeError> {
        Self::check(endpoint)?;
        let Endpoint { network, address, .. } = endpoint;
        let Some(known) = self.view.network(network) else {
            return Err(NodeError::UnknownNetwork(network.clone()));
        };
        if !known.subnets.iter().any(|subnet| subnet.contains(address)) {
            let (address, network) = (*address, network.clone());
            let problem = "it is in none of the network's subnets";
            return Err(NodeError::AddressUnusable { address, network, problem });
        }
        match self.is_read_only {
            true => self.check_in_file(endpoint),
            false => Ok(()),
        }
    }

    /// Whether a file gives an address to this node.
    fn check_in_file(&self, endpoint: &Endpoint) -> Result<(), NodeError> {
        let Endpoint { network, address, mac, .. } = endpoint;
        let found = self.view.endpoint(network, *address);
        let registry = self.url.clone();
        match found.filter(|found| *found.node == *self.node.name) {
            None => Err(self.not_in_file(network, address.to_string())),
            Some(found) if found.mac != *mac => {
                let (address, expected, mac) = (*address, found.mac, *mac);
                Err(NodeError::MacDiffers { registry, address, expected, mac })
            }
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn not_in_file(&self, network: &str, wanted: String) -> NodeError {
        NodeError::NotInFile {
            registry: self.url.clone(),
            wanted,
            network: network.to_owned(),
            node: self.node.name.clone(),
        }
    }

    /// Compares this node and its endpoints with a file that may have changed.
    pub(crate) fn check_file(&mut self) {
        if !self.is_read_only {
            return;
        }
        self.check_own_node();
        let keys: Vec<_> = self.local.keys().cloned().collect();
        for key in keys {
            let result = self.local.endpoint(&key).map(|endpoint| self.check_in_file(endpoint));
            match (result, self.local.state(&key)) {
                (Some(Err(error)), Some(State::Written)) => self.refuse(&key, &error),
                (Some(Ok(())), Some(State::Refused(_))) => self.local.set(&key, State::Written),
                _ => {}
            }
        }
    }

    /// Deletes endpoints; answers when they are deleted, or when the registry is away and is told later.
    pub(crate) fn withdraw(
        &mut self,
        network: &str,
        addresses: &[IpAddr],
        reply: Reply<Progress>,
        now: Duration,
    ) {
        let keys = addresses.iter().map(|address| (network.to_owned(), *address));
        let keys: Vec<LocalKey> = keys.filter(|key| self.local.withdraw(key)).collect();
        self.drop_refusals(&keys);
        if self.is_read_only {
            for key in &keys {
                self.local.forget(key);
            }
            return reply.send(Ok(Progress::Written));
        }
        // An attach that waits is over.
        for key in &keys {
            if let Some(waiter) = self.waiters.take_attach(key) {
                let (network, address) = key.clone();
                waiter.reply.send(Err(NodeError::Withdrawn { address, network }));
            }
        }
        if keys.is_empty() {
            return reply.send(Ok(Progress::Written));
        }
        self.waiters.add(keys, false, now + WRITE_WAIT, reply);
        if self.link.away().is_some() {
            self.answer_without_registry(None);
        }
    }

    fn drop_refusals(&mut self, keys: &[LocalKey]) {
        self.refusals.retain(|change| match change {
            OverlayChange::AddressRefused { network, address, .. } => {
                !keys.iter().any(|(n, a)| n == network && a == address)
            }
            _ => true,
        });
    }

    /// Those who wait for longer than they should go on without the registry.
    pub(crate) fn handle_late(&mut self, now: Duration) {
        self.answer_without_registry(Some(now));
        self.answer_late_claims(now);
    }

    /// Answers all who wait, or those who are late: endpoints in own blocks are told later, others are refused.
    pub(crate) fn answer_without_registry(&mut self, late: Option<Duration>) {
        for waiter in self.waiters.take_late(late) {
            if !waiter.is_attach {
                waiter.reply.send(Ok(Progress::Queued));
                continue;
            }
            let errors = waiter.keys.iter().map(|key| self.check_without_registry(key));
            let result = errors.collect::<Result<(), _>>().map(|()| Progress::Queued);
            if result.is_err() {
                for key in &waiter.keys {
                    self.local.withdraw(key);
                }
            }
            waiter.reply.send(result);
        }
    }

    /// Whether an endpoint can be told later.
    pub(crate) fn check_without_registry(
        &self,
        (network, address): &LocalKey,
    ) -> Result<(), NodeError> {
        if let Some(error) = self.link.refusal() {
            return Err(error.clone());
        }
        let (address, network) = (*address, network.clone());
        let known = self.view.endpoint(&network, address);
        if let Some(other) = known.filter(|known| *known.node != *self.node.name) {
            let node = other.node.to_string();
            return Err(NodeError::AddressTaken { address, network, node });
        }
        if !self.view.is_in_own_block(&network, address) {
            let problem = self.why_away();
            return Err(NodeError::AddressUndecided { address, network, problem });
        }
        Ok(())
    }

    pub(crate) fn why_away(&self) -> String {
        self.link.problem().unwrap_or_else(|| "it does not answer".to_owned())
    }
}
