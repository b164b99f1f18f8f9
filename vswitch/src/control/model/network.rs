//! Networks: layer-2 domains with their subnets, pools, host port and static entries.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Index;
use std::time::Duration;

use fastpath::PortIndex;
use ipnet::IpNet;
use vswitch_api::port_settings::PortSettings;
use wire::MacAddr;

use super::key::is_label_of;
use super::slots::SlotOwner;
use super::{Cached, EndpointKey, Model, Name, NetworkName, limits};
use crate::config::{Multicast, SnatPorts, Subnet4, Subnet6, Uplink};
use crate::control::error::ControlError;
use crate::control::ipam::Pool;
use crate::control::limits::STATICS_MAX;
use crate::datapath::{HostConfig, NetworkConf, NetworkIndex, PortKind, PortLimits};

/// MAC address and VLAN id of a static entry.
pub(crate) type StaticKey = (MacAddr, u16);

/// The description of a network.
#[derive(Debug, Clone)]
pub(crate) struct NetworkSpec {
    pub(crate) name: NetworkName,
    pub(crate) subnet: Subnet4,
    pub(crate) subnet6: Subnet6,
    pub(crate) gateway_mac: MacAddr,
    pub(crate) mtu: u32,
    pub(crate) ageing: Duration,
    pub(crate) fdb_entries_max: usize,
    pub(crate) uplink: Uplink,
    pub(crate) snat_ports: SnatPorts,
    pub(crate) multicast: Multicast,
    /// What hosts that configure themselves are told.
    pub(crate) host_config: HostConfig,
    /// Settings of the host port.
    pub(crate) host_settings: PortSettings,
}

impl NetworkSpec {
    pub(crate) fn subnets(&self) -> [IpNet; 2] {
        [IpNet::V4(self.subnet.net()), IpNet::V6(self.subnet6.net())]
    }

    pub(crate) fn gateways(&self) -> [IpAddr; 2] {
        [self.subnet.gateway().into(), self.subnet6.gateway().into()]
    }
}

/// A network of the model.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) spec: NetworkSpec,
    /// The datapath's number; it stays while the network exists.
    pub(crate) index: NetworkIndex,
    /// The slot of its host port.
    pub(crate) host_port: PortIndex,
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
    /// Adds a network with a host port.
    pub(crate) fn add_network(&mut self, spec: NetworkSpec) -> Result<(), ControlError> {
        if self.networks.contains_key(&spec.name) {
            return Err(ControlError::NetworkExists(spec.name.to_string()));
        }
        let is_label = |name: &Name| is_label_of(name, &spec.name);
        if let Some(taken) = self.endpoints.keys().find(|key| is_label(&key.name)) {
            return Err(ControlError::NameTaken(taken.to_string()));
        }
        let host_port = self.slots.allocate(SlotOwner::Host(spec.name.clone()))?;
        let limits = &spec.host_settings.limits;
        let network = Network {
            index: NetworkIndex(self.networks.len() as u16),
            host_port,
            pool4: Pool::v4(spec.subnet),
            pool6: Pool::v6(spec.subnet6),
            reserved: BTreeSet::new(),
            statics: BTreeMap::new(),
            host_limits: limits::compile(limits, PortKind::Host, &PortLimits::NONE),
            compiled: Cached::default(),
            spec,
        };
        self.networks.insert(network.spec.name.clone(), network);
        self.invalidate_uplinks(true);
        Ok(())
    }

    /// All networks in the order of their indices: the configured one comes first, whatever its name.
    pub(crate) fn networks(&self) -> impl Iterator<Item = &Network> {
        let mut networks: Vec<_> = self.networks.values().collect();
        networks.sort_unstable_by_key(|network| network.index);
        networks.into_iter()
    }

    /// The network of that name; without a name the first one.
    pub(crate) fn network(&self, name: Option<&str>) -> Result<&Network, ControlError> {
        let mut networks = self.networks();
        let found = match name {
            Some(name) => networks.find(|network| network.spec.name.as_str() == name),
            None => networks.next(),
        };
        found.ok_or_else(|| ControlError::UnknownNetwork(name.unwrap_or_default().to_owned()))
    }

    pub(super) fn network_mut(&mut self, name: &NetworkName) -> Result<&mut Network, ControlError> {
        let unknown = || ControlError::UnknownNetwork(name.to_string());
        self.networks.get_mut(name).ok_or_else(unknown)
    }

    /// The network with that number of the datapath.
    pub(crate) fn network_at(&self, index: NetworkIndex) -> Option<&Network> {
        self.networks().find(|network| network.index == index)
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
