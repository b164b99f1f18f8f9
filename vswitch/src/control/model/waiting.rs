//! Endpoints that wait: the container of an engine has ended, and may start again.
//!
//! A waiting endpoint keeps its names, addresses, slot, settings and publications, so that nobody else gets
//! them, and it is in the document. It has no namespace, and the datapath does not know it. The name of its
//! interface is kept as a wish for the next start.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vswitch_api::port::Configure;

use super::{AttachSpec, Endpoint, EndpointKey, EndpointState, Lease, Model, Name, Random};
use crate::control::error::ControlError;
use crate::control::limits::WAITING_MAX;
use crate::control::store::{ContainerRecord, ResolvConfRecord};
use crate::host::netns::NetnsId;

/// An endpoint of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerEndpoint {
    pub(crate) lease: Lease,
    pub(crate) state: EndpointState,
    /// The namespace of an active one.
    pub(crate) netns: Option<NetnsId>,
}

impl Model {
    /// Endpoints that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints().filter(|endpoint| endpoint.state == EndpointState::Waiting)
    }

    /// The container of an endpoint.
    pub(crate) fn container_of(&self, key: &EndpointKey) -> Option<&ContainerRecord> {
        self.endpoints.get(key)?.container.as_ref()
    }

    /// The container of the attachment of a name.
    pub(crate) fn container_named(&self, name: &Name) -> Option<&ContainerRecord> {
        self.endpoints().filter(|it| it.lease.name == *name).find_map(|it| it.container.as_ref())
    }

    /// Whether an endpoint may wait: it is a container's, and not too many wait already.
    pub(crate) fn may_wait(&self, key: &EndpointKey) -> Result<bool, ControlError> {
        let is_containers = self.container_of(key).is_some();
        if is_containers && self.waiting().count() >= WAITING_MAX {
            return Err(ControlError::WaitingMax(key.to_string()));
        }
        Ok(is_containers)
    }

    /// Lets an endpoint wait whose detach, or whose attach, has undone all steps but the reservation.
    pub(crate) fn wait_for_container(&mut self, key: &EndpointKey) {
        self.change(key, |endpoint| {
            endpoint.state = EndpointState::Waiting;
            endpoint.pending.clear();
            endpoint.interface_gone = false;
            if let Some(binding) = &mut endpoint.binding {
                binding.netns = None;
            }
        });
    }

    /// Begins the attach of a waiting endpoint: it is reserved, as a new one is. The container's record may be
    /// a newer one.
    pub(crate) fn resume(
        &mut self,
        key: &EndpointKey,
        container: Option<ContainerRecord>,
    ) -> Result<Lease, ControlError> {
        let unknown = || ControlError::UnknownPort(key.to_string());
        let endpoint = self.endpoints.get_mut(key).ok_or_else(unknown)?;
        if endpoint.state != EndpointState::Waiting {
            return Err(ControlError::Busy(key.to_string(), "attached"));
        }
        endpoint.state = EndpointState::Reserved;
        endpoint.container = container;
        Ok(endpoint.lease.clone())
    }

    /// What a waiting endpoint wants of its namespace: the configuration, and the name of the interface.
    pub(crate) fn wish_of(
        &self,
        key: &EndpointKey,
    ) -> Result<(Configure, Option<String>), ControlError> {
        let endpoint = self.endpoints.get(key).filter(|it| it.state == EndpointState::Waiting);
        let endpoint = endpoint.ok_or_else(|| ControlError::UnknownPort(key.to_string()))?;
        let ifname = endpoint.binding.as_ref().map(|binding| binding.ifname.clone());
        Ok((endpoint.configure, ifname))
    }

    /// Adds a waiting endpoint of the document, with an interface name.
    pub(crate) fn restore_waiting(
        &mut self,
        spec: &AttachSpec,
        ifname: &str,
        now: Duration,
        random: Random<'_>,
    ) -> Result<(), ControlError> {
        let key = self.reserve(spec, now, random)?.key();
        self.bind(&key, ifname.to_owned(), None);
        self.change(&key, |endpoint| {
            endpoint.persisted = true;
            endpoint.state = EndpointState::Waiting;
        });
        Ok(())
    }

    /// All endpoints of a container.
    pub(crate) fn endpoints_of_container(&self, engine: &Path, id: &str) -> Vec<ContainerEndpoint> {
        let is_its = |container: &ContainerRecord| container.engine == engine && container.id == id;
        let own = self.endpoints().filter(|it| it.container.as_ref().is_some_and(is_its));
        own.map(|endpoint| ContainerEndpoint {
            lease: endpoint.lease.clone(),
            state: endpoint.state,
            netns: endpoint.binding.as_ref().and_then(|it| Some(it.netns.as_ref()?.id)),
        })
        .collect()
    }

    /// Whether an endpoint has a port: not while it waits, and not before and after.
    pub(crate) fn has_port(&self, key: &EndpointKey) -> bool {
        self.endpoints.get(key).is_some_and(|endpoint| endpoint.in_snapshot)
    }

    /// Ids of the containers of an engine that have endpoints.
    pub(crate) fn containers(&self, engine: &Path) -> BTreeSet<String> {
        let containers = self.endpoints().filter_map(|endpoint| endpoint.container.as_ref());
        containers.filter(|it| it.engine == engine).map(|it| it.id.clone()).collect()
    }

    /// Sockets of the engines whose containers have endpoints.
    pub(crate) fn engines(&self) -> BTreeSet<PathBuf> {
        let containers = self.endpoints().filter_map(|endpoint| endpoint.container.as_ref());
        containers.map(|container| container.engine.clone()).collect()
    }

    /// Notes a new name of a container in the engine. Gives the former one.
    pub(crate) fn rename_container(
        &mut self,
        engine: &Path,
        id: &str,
        new: &str,
    ) -> Option<String> {
        let containers = self.endpoints.values_mut().filter_map(|it| it.container.as_mut());
        let own = containers.filter(|it| it.engine == engine && it.id == id && it.name != new);
        own.map(|container| std::mem::replace(&mut container.name, new.to_owned())).last()
    }

    /// Gateways of the networks that a container is on, that of the default route first.
    pub(crate) fn gateways_of_container(&self, engine: &Path, id: &str) -> Vec<IpAddr> {
        let own = self.endpoints_of_container(engine, id);
        let names: BTreeSet<_> = own.into_iter().map(|endpoint| endpoint.lease.name).collect();
        let ranked = names.iter().flat_map(|name| self.endpoints_of(name));
        let gateways = ranked.flat_map(|(endpoint, network)| {
            let has = |gateway: &IpAddr| {
                let mut own = endpoint.lease.all_addresses();
                own.any(|address| address.is_ipv4() == gateway.is_ipv4())
            };
            network.spec.gateways().into_iter().filter(has).collect::<Vec<_>>()
        });
        gateways.collect()
    }

    /// The file of name servers of a container.
    pub(crate) fn resolv_conf_of(&self, engine: &Path, id: &str) -> Option<ResolvConfRecord> {
        let containers = self.endpoints().filter_map(|endpoint| endpoint.container.as_ref());
        let mut own = containers.filter(|it| it.engine == engine && it.id == id);
        own.find_map(|container| container.resolv_conf.clone())
    }
}
