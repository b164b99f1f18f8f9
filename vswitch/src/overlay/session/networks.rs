//! Networks that control creates and deletes.

use std::sync::Arc;
use std::time::Duration;

use vswitch_registry::record::{Key, Network, Record};
use vswitch_registry::{RegistryError, Revision};

use super::super::command::Reply;
use super::super::conf::NewNetwork;
use super::super::error::NodeError;
use super::super::request::{Request, RequestId};
use super::Session;

impl Session {
    pub(crate) fn create_network(&mut self, network: NewNetwork, reply: Reply<Arc<Network>>) {
        // The format's rules, with a VNI that is right.
        let checked = network.with_vni(network.vni.unwrap_or(1));
        if let Err(error) = Record::Network(checked).check() {
            return reply.send(Err(error.into()));
        }
        if self.is_read_only {
            return reply.send(Err(self.read_only()));
        }
        if let Some(error) = self.link.away() {
            return reply.send(Err(error.clone()));
        }
        let is_doubted =
            |known: &&Arc<Network>| self.view.is_gone(&Key::Network(known.name.clone()));
        let doubted = self.view.networks().filter(is_doubted).cloned().collect();
        let id = self.next_id();
        self.creating.insert(id, reply);
        self.requests.push_back(Request::CreateNetwork { id, network, doubted });
    }

    pub(crate) fn handle_created(
        &mut self,
        id: RequestId,
        result: Result<(Network, Revision), NodeError>,
        now: Duration,
    ) {
        let Some(reply) = self.creating.remove(&id) else { return };
        let result = result.and_then(|(network, revision)| {
            self.view.revision = self.view.revision.max(revision);
            let name = network.name.clone();
            let vni = Record::Vni { vni: network.vni, network: name.clone() };
            for record in [Record::Network(network), vni] {
                if let Err(problem) = self.view.insert(record) {
                    tracing::warn!(network = name, problem, at = ?now, "network not kept");
                }
            }
            let known = self.view.network(&name).cloned();
            known.ok_or(NodeError::UnknownNetwork(name))
        });
        reply.send(result);
    }

    pub(crate) fn delete_network(&mut self, name: String, reply: Reply<()>) {
        if self.is_read_only {
            return reply.send(Err(self.read_only()));
        }
        if self.local.uses(&name) {
            let endpoints = self.local.count(&name);
            let (network, node) = (name, self.node.name.clone());
            return reply.send(Err(NodeError::NetworkInUse { network, endpoints, node }));
        }
        if let Some(error) = self.link.away() {
            return reply.send(Err(error.clone()));
        }
        let id = self.next_id();
        self.deleting.insert(id, reply);
        self.requests.push_back(Request::DeleteNetwork { id, name });
    }

    pub(crate) fn handle_deleted(
        &mut self,
        id: RequestId,
        name: &str,
        result: Result<(), NodeError>,
    ) {
        let Some(reply) = self.deleting.remove(&id) else { return };
        if result.is_ok() {
            // It is no doubt that it is gone.
            self.addresses.forget_network(name);
            if let Some(vni) = self.view.network(name).map(|network| network.vni) {
                self.view.remove(&Key::Vni(vni));
            }
            let blocks = self.view.blocks(name).map(|(block, _)| block);
            let blocks: Vec<_> = blocks.map(|block| Key::Block(name.to_owned(), block)).collect();
            for key in blocks.iter().chain([&Key::Network(name.to_owned())]) {
                self.view.remove(key);
            }
        }
        reply.send(result);
    }

    /// Reads whether a network has endpoints, since the watch may be late. While nobody is believed gone, those that are
    /// known count.
    pub(crate) fn check_unused(&mut self, name: String, reply: Reply<()>, now: Duration) {
        if let Some(error) = self.link.away() {
            return reply.send(Err(error.clone()));
        }
        if self.grace.end(now).is_some() {
            let endpoints = self.view.endpoints(&name).count();
            let first = self.view.endpoints(&name).next().map(|known| known.node.to_string());
            if let Some(node) = first {
                return reply.send(Err(NodeError::NetworkInUse { network: name, endpoints, node }));
            }
        }
        let id = self.next_id();
        self.checking.insert(id, reply);
        self.requests.push_back(Request::CheckUnused { id, name });
    }

    pub(crate) fn handle_checked(&mut self, id: RequestId, result: Result<(), NodeError>) {
        if let Some(reply) = self.checking.remove(&id) {
            reply.send(result);
        }
    }

    fn read_only(&self) -> NodeError {
        RegistryError::ReadOnly { registry: self.url.clone() }.into()
    }
}
