//! Addresses for endpoints: from own blocks, else from a block that is claimed for it, else from another node's block.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use vswitch_registry::record::{Network, Record};
use vswitch_registry::{BlockError, RegistryError};

use super::super::addresses::unusable;
use super::super::command::{AddressRequest, Allocation, Reply};
use super::super::error::NodeError;
use super::super::limits::WRITE_WAIT;
use super::super::local::{LocalKey, State};
use super::super::request::Request;
use super::Session;

/// A request for an address that waits for the registry.
#[derive(Debug)]
struct Pending {
    deadline: Duration,
    reply: Reply<Allocation>,
}

/// Requests that wait.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// For a block, by network and subnet.
    waiting: BTreeMap<(String, IpNet), Vec<Pending>>,
    /// For the owner of an address.
    fixed: HashMap<LocalKey, Pending>,
}

impl Claims {
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let waiting = self.waiting.values().flatten().chain(self.fixed.values());
        waiting.map(|pending| pending.deadline).min()
    }
}

impl Session {
    pub(crate) fn allocate(
        &mut self,
        network: String,
        request: AddressRequest,
        reply: Reply<Allocation>,
        now: Duration,
    ) {
        let Some(known) = self.view.network(&network).cloned() else {
            return reply.send(Err(NodeError::UnknownNetwork(network)));
        };
        match request {
            _ if self.is_read_only => reply.send(self.find_in_file(&known, &request)),
            AddressRequest::Fixed(address) => self.reserve(&known, address, reply, now),
            AddressRequest::Any { subnet, .. } if !known.subnets.contains(&subnet) => {
                let problem = "it is no subnet of the network";
                let address = subnet.addr();
                reply.send(Err(NodeError::AddressUnusable { address, network, problem }));
            }
            AddressRequest::Any { subnet, .. } => self.find(&known, subnet, reply, now),
        }
    }

    /// An address of a file's endpoint on this node: the one of the name, or the one that is asked for.
    fn find_in_file(
        &self,
        network: &Network,
        request: &AddressRequest,
    ) -> Result<Allocation, NodeError> {
        let own = self.view.endpoints(&network.name).filter(|e| *e.node == *self.node.name);
        let mut own = own.map(|endpoint| (endpoint.address, endpoint.mac, endpoint));
        let found = match request {
            AddressRequest::Fixed(address) => own.find(|(found, ..)| found == address),
            AddressRequest::Any { subnet, name } => own
                .filter(|(address, _, endpoint)| {
                    subnet.contains(address) && !name.is_empty() && *endpoint.name == **name
                })
                .min_by_key(|(address, ..)| *address),
        };
        let wanted = || match request {
            AddressRequest::Fixed(address) => address.to_string(),
            AddressRequest::Any { subnet, name } => format!("an address of {subnet} for {name:?}"),
        };
        let found = found.map(|(address, mac, _)| Allocation { address, mac: Some(mac) });
        found.ok_or_else(|| self.not_in_file(&network.name, wanted()))
    }

    /// Reserves an address that is asked for. The registry is asked who has it, since the watch may be late: the address
    /// may just have been left on another node. It decides when the endpoint is announced.
    fn reserve(
        &mut self,
        network: &Network,
        address: IpAddr,
        reply: Reply<Allocation>,
        now: Duration,
    ) {
        let name = network.name.clone();
        if let Some(problem) = unusable(network, address) {
            let error = NodeError::AddressUnusable { address, network: name, problem };
            return reply.send(Err(error));
        }
        let key = (name, address);
        if self.addresses.is_reserved(&key) || self.local.has(&key) {
            let node = self.node.name.clone();
            return reply.send(Err(NodeError::AddressTaken { address, network: key.0, node }));
        }
        self.addresses.reserve(key.clone());
        if self.link.away().is_some() {
            return self.answer_reservation(key, None, reply);
        }
        let (network, address) = key.clone();
        self.requests.push_back(Request::FindOwner { network, address });
        self.claims.fixed.insert(key, Pending { deadline: now + WRITE_WAIT, reply });
    }

    pub(crate) fn handle_owner(
        &mut self,
        key: LocalKey,
        result: Result<Option<String>, RegistryError>,
    ) {
        let Some(Pending { reply, .. }) = self.claims.fixed.remove(&key) else { return };
        self.answer_reservation(key, result.ok(), reply);
    }

    /// `owner` is what the registry says; none where it does not.
    fn answer_reservation(
        &mut self,
        key: LocalKey,
        owner: Option<Option<String>>,
        reply: Reply<Allocation>,
    ) {
        let result = match owner {
            // One of this node that it does not know is of the time before its restart.
            Some(Some(node)) if node != self.node.name => {
                let (network, address) = key.clone();
                Err(NodeError::AddressTaken { address, network, node })
            }
            Some(_) => Ok(()),
            None => self.check_without_registry(&key),
        };
        if result.is_err() {
            self.addresses.cancel(&key);
        }
        reply.send(result.map(|()| Allocation { address: key.1, mac: None }));
    }

    fn find(
        &mut self,
        network: &Arc<Network>,
        subnet: IpNet,
        reply: Reply<Allocation>,
        now: Duration,
    ) {
        if let Some(address) = self.find_in_blocks(network, subnet, false, now) {
            return reply.send(Ok(Allocation { address, mac: None }));
        }
        if let Some(problem) = self.link.problem() {
            let network = network.name.clone();
            return reply.send(Err(NodeError::BlocksFull { network, subnet, problem }));
        }
        let waiting = self.claims.waiting.entry((network.name.clone(), subnet)).or_default();
        waiting.push(Pending { deadline: now + WRITE_WAIT, reply });
        if waiting.len() == 1 {
            let network = Arc::clone(network);
            self.requests.push_back(Request::ClaimBlock { network, subnet });
        }
    }

    /// Reserves a free address of own blocks, or of others'.
    fn find_in_blocks(
        &mut self,
        network: &Network,
        subnet: IpNet,
        is_borrowed: bool,
        now: Duration,
    ) -> Option<IpAddr> {
        let own = self.node.name.as_str();
        let blocks = self.view.blocks(&network.name).filter(|(block, node)| {
            let is_own = *node == own;
            is_own != is_borrowed && (subnet.contains(block) || block.contains(&subnet))
        });
        let blocks: Vec<_> = blocks.map(|(block, _)| block).collect();
        let (view, local) = (&self.view, &self.local);
        // One of this node that it does not know is of the time before its restart: control may announce it yet. One that is
        // withdrawn is free, although the registry has not been told.
        let is_taken = |address: IpAddr| {
            let key = (network.name.clone(), address);
            let known = view.endpoint(&network.name, address);
            let is_withdrawn = local.state(&key) == Some(&State::Withdrawing);
            local.has(&key) || known.is_some_and(|known| !(is_withdrawn && *known.node == *own))
        };
        let addresses = &mut self.addresses;
        let mut found = blocks
            .into_iter()
            .filter_map(|block| addresses.find(network, subnet, block, is_borrowed, now, is_taken));
        let address = found.next()?;
        drop(found);
        self.addresses.reserve((network.name.clone(), address));
        Some(address)
    }

    pub(crate) fn handle_claimed(
        &mut self,
        name: String,
        subnet: IpNet,
        result: Result<IpNet, BlockError>,
        now: Duration,
    ) {
        let waiting = self.claims.waiting.remove(&(name.clone(), subnet)).unwrap_or_default();
        let is_exhausted = matches!(result, Err(BlockError::Exhausted { .. }));
        let error = match result {
            Ok(block) => {
                let (network, node) = (name.clone(), self.node.name.clone());
                // Too many blocks to be remembered: the registry has this one still.
                let _ = self.view.insert(Record::Block { network, block, node });
                None
            }
            Err(BlockError::Exhausted { .. }) => None,
            Err(BlockError::Registry(error)) => Some(error),
        };
        let Some(network) = self.view.network(&name).cloned() else {
            for Pending { reply, .. } in waiting {
                reply.send(Err(NodeError::UnknownNetwork(name.clone())));
            }
            return;
        };
        for Pending { deadline, reply } in waiting {
            if let Some(error) = &error {
                let (network, problem) = (name.clone(), error.to_string());
                reply.send(Err(NodeError::BlocksFull { network, subnet, problem }));
            } else if is_exhausted {
                let found = self.find_in_blocks(&network, subnet, true, now);
                let found = found.map(|address| Allocation { address, mac: None });
                let network = name.clone();
                reply.send(found.ok_or(NodeError::Exhausted { network, subnet }));
            } else if deadline > now {
                // Claims again where so many wait that the block is full.
                self.find(&network, subnet, reply, now);
            }
        }
    }

    /// Those who wait for a block for too long are refused.
    pub(crate) fn answer_late_claims(&mut self, now: Duration) {
        let late = self.claims.fixed.extract_if(|_, pending| pending.deadline <= now);
        for (key, Pending { reply, .. }) in late.collect::<Vec<_>>() {
            self.answer_reservation(key, None, reply);
        }
        let problem = self.why_away();
        for ((network, subnet), waiting) in &mut self.claims.waiting {
            for Pending { reply, .. } in waiting.extract_if(.., |pending| pending.deadline <= now) {
                let (network, subnet, problem) = (network.clone(), *subnet, problem.clone());
                reply.send(Err(NodeError::BlocksFull { network, subnet, problem }));
            }
        }
    }
}
