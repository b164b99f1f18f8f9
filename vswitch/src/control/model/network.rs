//! Networks: layer-2 domains with their subnets, pools, host port and static entries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Index;

use fastpath::PortIndex;
use vswitch_api::network::FIRST_NETWORK_NAMES;
use wire::MacAddr;

use super::slots::SlotOwner;
use super::{Cached, EndpointKey, Model, Name, NetworkName, NetworkSpec, limits};
use crate::control::NetworkError;
use crate::control::error::ControlError;
use crate::control::ipam::Pool;
use crate::control::limits::STATICS_MAX;
use crate::datapath::limits::NETWORKS_MAX;
use crate::datapath::{NetworkConf, NetworkIndex, PortKind, PortLimits};
use crate::host::uplink::HostNetwork;

/// MAC address and VLAN id of a static entry.
pub(crate) type StaticKey = (MacAddr, u16);

/// The state of a network: *creating* -> *active* -> *removing*. Endpoints join and leave an active one only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NetworkState {
    Creating,
    Active,
    Removing,
}

/// A network of the model.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) spec: NetworkSpec,
    /// The datapath's number; it stays while the network exists.
    pub(crate) index: NetworkIndex,
    /// The slot of its host port, where it has a device.
    pub(crate) host_port: Option<PortIndex>,
    pub(crate) state: NetworkState,
    /// Somebody deleted the device of its host port.
    is_device_gone: bool,
    pub(super) in_snapshot: bool,
    pub(super) persisted: bool,
    pub(super) pool4: Pool<Ipv4Addr>,
    pub(super) pool6: Pool<Ipv6Addr>,
    /// Addresses of the pools that a reservation keeps, with or without an endpoint.
    pub(super) reserved: BTreeSet<IpAddr>,
    pub(super) statics: BTreeMap<StaticKey, Owner>,
    pub(super) host_limits: PortLimits,
    pub(super) compiled: Cached<NetworkConf>,
}

/// The port of a static entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    Host,
    Endpoint(Name),
}

impl Network {
    /// Whether the device of its host port is there.
    pub(crate) fn has_device(&self) -> bool {
        self.spec.device.is_some() && self.in_snapshot && !self.is_device_gone
    }

    /// Whether this is its device, and somebody has deleted it.
    pub(super) fn has_lost(&self, device: &str) -> bool {
        self.is_device_gone && self.spec.device.as_ref().is_some_and(|it| it.as_str() == device)
    }

    /// The next addresses of the pools, which are kept over a restart.
    pub(crate) fn next_addresses(&self) -> (Ipv4Addr, Ipv6Addr) {
        (self.pool4.next(), self.pool6.next())
    }

    /// All static entries.
    pub(crate) fn statics(&self) -> impl Iterator<Item = (&StaticKey, &Owner)> {
        self.statics.iter()
    }
}

impl Model {
    /// Adds a network, which the datapath does not know yet.
    pub(crate) fn add_network(&mut self, spec: NetworkSpec) -> Result<(), ControlError> {
        if self.networks.contains_key(&spec.name) {
            return Err(ControlError::NetworkExists(spec.name.to_string()));
        }
        if let Some(taken) = self.endpoints.keys().find(|key| spec.is_label(key.name.as_str())) {
            return Err(ControlError::NameTaken(taken.to_string()));
        }
        if let Some(overlay) = &spec.overlay {
            self.check_vni(overlay)?;
        }
        let index = self.free_index()?;
        let host_port = match spec.device {
            Some(_) => Some(self.slots.allocate(SlotOwner::Host(spec.name.clone()))?),
            None => None,
        };
        let limits = &spec.host_settings.limits;
        let mut network = Network {
            index,
            host_port,
            state: NetworkState::Creating,
            is_device_gone: false,
            in_snapshot: false,
            persisted: false,
            pool4: Pool::v4(spec.subnet, spec.gateway, spec.range),
            pool6: Pool::v6(spec.subnet6, spec.gateway6, spec.range6),
            reserved: BTreeSet::new(),
            statics: BTreeMap::new(),
            host_limits: limits::compile(limits, PortKind::Host, &PortLimits::NONE),
            compiled: Cached::default(),
            spec,
        };
        let shared = self.join_overlay(&mut network);
        if let Err(error) = shared {
            network.host_port.into_iter().for_each(|slot| self.slots.release(slot));
            return Err(error);
        }
        self.next_index = index.0 + 1;
        self.network_names.insert(index, network.spec.name.clone());
        let (name, is_overlay) = (network.spec.name.clone(), network.spec.overlay.is_some());
        self.networks.insert(name.clone(), network);
        // The registry may tell of an overlay network while a client is about to join it: the join binds its pools.
        if !is_overlay {
            self.bind_pools(&name);
        }
        Ok(())
    }

    /// The free number after the one that was given last, so that a number rests before it is given again.
    fn free_index(&self) -> Result<NetworkIndex, ControlError> {
        let end = NETWORKS_MAX as u16;
        let numbers = (self.next_index..end).chain(0..self.next_index.min(end));
        let mut free = numbers.map(NetworkIndex);
        let found = free.find(|index| !self.network_names.contains_key(index));
        found.ok_or_else(|| NetworkError::Max.into())
    }

    /// Removes a network that has no endpoints.
    pub(crate) fn remove_network(&mut self, name: &NetworkName) {
        let Some(network) = self.networks.remove(name) else { return };
        self.network_names.remove(&network.index);
        self.unbind_pools(name);
        if let Some(device) = &network.spec.device {
            self.host_faults.remove(device.as_str());
        }
        // Another network of that name shall not inherit what this one might reach.
        for other in self.networks.values_mut() {
            other.spec.reachable_from.remove(name);
        }
        if let Some(slot) = network.host_port {
            self.slots.release(slot);
        }
        if let Some(overlay) = network.spec.overlay {
            self.release_peers(overlay.peers);
        }
        self.invalidate_uplinks(true);
    }

    /// Shows a network to the datapath, or hides it, in the next [`Model::snapshot`].
    pub(crate) fn set_network_in_snapshot(&mut self, name: &NetworkName, in_snapshot: bool) {
        if let Some(network) = self.networks.get_mut(name) {
            network.in_snapshot = in_snapshot;
        }
        self.invalidate_uplinks(true);
    }

    /// Takes a network into the document, or out of it.
    pub(crate) fn set_network_persisted(&mut self, name: &NetworkName, persisted: bool) {
        if let Some(network) = self.networks.get_mut(name) {
            network.persisted = persisted;
        }
    }

    /// Notes that somebody deleted the device of a network's host port. Says whether that is news.
    pub(crate) fn lose_device(&mut self, name: &NetworkName) -> bool {
        let Some(network) = self.networks.get_mut(name) else { return false };
        if std::mem::replace(&mut network.is_device_gone, true) {
            return false;
        }
        if let Some(device) = &network.spec.device {
            let fault = format!("{device} was deleted: remove and create the network");
            self.host_faults.insert(device.to_string(), fault);
        }
        true
    }

    /// Opens a network to endpoints.
    pub(crate) fn activate_network(&mut self, name: &NetworkName) {
        if let Some(network) = self.networks.get_mut(name) {
            network.state = NetworkState::Active;
        }
    }

    /// Begins the removal of a network, which no endpoint may join from then on. With `is_forced` it may have
    /// some, which the caller detaches.
    pub(crate) fn begin_remove_network(
        &mut self,
        name: &NetworkName,
        is_forced: bool,
    ) -> Result<(), ControlError> {
        let endpoints = self.endpoints_on(name);
        let network = self.network_mut(name)?;
        match network.state {
            NetworkState::Active if network.index == NetworkIndex(0) => {
                Err(NetworkError::Own(name.to_string()).into())
            }
            NetworkState::Active if endpoints > 0 && !is_forced => {
                Err(NetworkError::InUse { network: name.to_string(), endpoints }.into())
            }
            NetworkState::Active => {
                network.state = NetworkState::Removing;
                Ok(())
            }
            NetworkState::Creating => Err(ControlError::Busy(name.to_string(), "created")),
            NetworkState::Removing => Err(ControlError::Busy(name.to_string(), "removed")),
        }
    }

    /// Number of endpoints on a network, in all states.
    pub(crate) fn endpoints_on(&self, name: &NetworkName) -> usize {
        self.endpoints().filter(|endpoint| endpoint.lease.network == *name).count()
    }

    /// All networks in the order of their numbers: the configured one comes first, whatever its name.
    pub(crate) fn networks(&self) -> impl Iterator<Item = &Network> {
        self.network_names.values().filter_map(|name| self.networks.get(name))
    }

    /// A network in any state.
    pub(crate) fn network_named(&self, name: &NetworkName) -> Option<&Network> {
        self.networks.get(name)
    }

    /// Networks with a host port that the datapath knows, and whose device is there, for the host's rules.
    pub(crate) fn host_networks(&self) -> Vec<HostNetwork> {
        let device = |it: &Network| it.spec.device.as_ref().map(ToString::to_string);
        let shown = self.networks().filter(|it| it.in_snapshot && !it.is_device_gone);
        let host = shown.filter_map(|network| {
            Some(HostNetwork {
                device: network.spec.device.as_ref()?.to_string(),
                subnets: network.spec.subnets(),
                gateways: network.spec.gateways().to_vec(),
                is_internal: network.spec.is_internal(),
                reachable_from: self
                    .sources(network)
                    .filter(|from| !from.is_device_gone)
                    .filter_map(device)
                    .collect(),
            })
        });
        host.collect()
    }

    /// Networks that endpoints may join.
    pub(crate) fn active_networks(&self) -> impl Iterator<Item = &Network> {
        self.networks().filter(|network| network.state == NetworkState::Active)
    }

    /// The network whose host port has this device.
    pub(crate) fn network_of_device(&self, device: &str) -> Option<&Network> {
        let has = |it: &&Network| it.spec.device.as_ref().is_some_and(|it| it.as_str() == device);
        self.networks().find(has)
    }

    /// The network of that name; the first one without a name, or by a name that stands for it.
    pub(crate) fn network(&self, name: Option<&str>) -> Result<&Network, ControlError> {
        let mut networks = self.active_networks();
        let found = match name {
            Some(name) if !FIRST_NETWORK_NAMES.contains(&name) => {
                networks.find(|network| network.spec.name.as_str() == name)
            }
            _ => networks.next(),
        };
        found.ok_or_else(|| ControlError::UnknownNetwork(name.unwrap_or_default().to_owned()))
    }

    pub(super) fn network_mut(&mut self, name: &NetworkName) -> Result<&mut Network, ControlError> {
        let unknown = || ControlError::UnknownNetwork(name.to_string());
        self.networks.get_mut(name).ok_or_else(unknown)
    }

    /// The network with that number of the datapath.
    pub(crate) fn network_at(&self, index: NetworkIndex) -> Option<&Network> {
        self.networks.get(self.network_names.get(&index)?)
    }

    /// Restores the cursors of the pools and the reserved addresses.
    pub(crate) fn resume_addresses(
        &mut self,
        name: &NetworkName,
        next: (Ipv4Addr, Ipv6Addr),
        reserved: &[IpAddr],
    ) {
        let Some(network) = self.networks.get_mut(name) else { return };
        network.pool4.resume_at(next.0);
        network.pool6.resume_at(next.1);
        for &address in reserved {
            // An address outside of a changed subnet is no longer reserved.
            if network.allocate_exact(address).is_ok() {
                network.reserved.insert(address);
            }
        }
    }

    /// Sets a static entry of the forwarding database, or replaces it; gives the former owner.
    pub(crate) fn set_static(
        &mut self,
        network: &NetworkName,
        key: StaticKey,
        owner: Owner,
    ) -> Result<Option<Owner>, ControlError> {
        if let Owner::Endpoint(name) = &owner {
            self.active_endpoint(&EndpointKey { name: name.clone(), network: network.clone() })?;
        }
        self.insert_static(network, key, owner)
    }

    /// The same for an entry of the document, whose endpoint may wait.
    pub(crate) fn restore_static(
        &mut self,
        network: &NetworkName,
        key: StaticKey,
        owner: Owner,
    ) -> Result<Option<Owner>, ControlError> {
        if let Owner::Endpoint(name) = &owner {
            self.shown_endpoint(&EndpointKey { name: name.clone(), network: network.clone() })?;
        }
        self.insert_static(network, key, owner)
    }

    fn insert_static(
        &mut self,
        network: &NetworkName,
        key: StaticKey,
        owner: Owner,
    ) -> Result<Option<Owner>, ControlError> {
        let network = self.network_mut(network)?;
        if !network.statics.contains_key(&key) && network.statics.len() >= STATICS_MAX {
            return Err(ControlError::StaticsMax);
        }
        network.compiled.invalidate();
        Ok(network.statics.insert(key, owner))
    }

    /// Removes a static entry; gives its owner.
    pub(crate) fn remove_static(
        &mut self,
        network: &NetworkName,
        (mac, vlan): StaticKey,
    ) -> Result<Owner, ControlError> {
        let found = self.network_mut(network)?;
        found.compiled.invalidate();
        let none = || ControlError::NoStatic { network: network.to_string(), mac, vlan };
        found.statics.remove(&(mac, vlan)).ok_or_else(none)
    }

    /// Notes a change of a network's static entries or neighbours.
    pub(super) fn invalidate_network(&mut self, name: &NetworkName) {
        if let Some(network) = self.networks.get_mut(name) {
            network.compiled.invalidate();
        }
    }
}

impl Index<&NetworkName> for Model {
    type Output = Network;

    /// A network that is known to exist.
    fn index(&self, name: &NetworkName) -> &Network {
        &self.networks[name]
    }
}
