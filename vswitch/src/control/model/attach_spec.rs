//! Requests for endpoints, as control checks them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use vswitch_api::address::Family;
use vswitch_api::port::Configure;
use vswitch_api::port_settings::PortSettings;
use vswitch_api::publish::Publication;
use wire::MacAddr;

use super::{EndpointKey, NetworkName};
use crate::control::error::ControlError;
use crate::control::limits::{ALIASES_MAX, FURTHER_ADDRESSES_MAX, LABELS_BYTES_MAX, LABELS_MAX};
use crate::control::name::Name;
use crate::control::runtime_state::RuntimeState;
use crate::control::store::ContainerRecord;

/// The configurer of a container's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ConfiguredBy {
    /// The switch moves the TAP into the namespace, and sets names, addresses and routes.
    #[default]
    Switch,
    /// The runtime takes the TAP from the host's namespace, and does the same.
    Runtime,
}

/// A request for an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct AttachSpec {
    pub(crate) name: Name,
    pub(crate) network: NetworkName,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// Addresses of this family only; of both, if none.
    pub(crate) family: Option<Family>,
    /// Addresses beside the two.
    pub(crate) further_addresses: Vec<IpAddr>,
    pub(crate) settings: PortSettings,
    pub(crate) publish: Vec<Publication>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Further names; other endpoints may have them, too.
    pub(crate) aliases: Vec<Name>,
    pub(crate) configured_by: ConfiguredBy,
    /// Where a runtime configures the namespace; at a restart the switch puts the interface there in its place.
    pub(crate) runtime: Option<RuntimeState>,
    /// Whether the interface in the namespace gets addresses and routes.
    pub(crate) configure: Configure,
    /// Of a container's networks, the one with the highest number gives the default route.
    pub(crate) gw_priority: i32,
    /// The container of an engine, whose ends it outlives.
    pub(crate) container: Option<ContainerRecord>,
}

impl AttachSpec {
    /// A request with a name and defaults.
    pub(crate) fn new(key: EndpointKey) -> Self {
        Self {
            name: key.name,
            network: key.network,
            mac: None,
            ipv4: None,
            ipv6: None,
            family: None,
            further_addresses: Vec::new(),
            settings: PortSettings::default(),
            publish: Vec::new(),
            labels: BTreeMap::new(),
            aliases: Vec::new(),
            configured_by: ConfiguredBy::Switch,
            runtime: None,
            configure: Configure::Static,
            gw_priority: 0,
            container: None,
        }
    }

    pub(crate) fn key(&self) -> EndpointKey {
        EndpointKey { name: self.name.clone(), network: self.network.clone() }
    }

    /// Whether it gets addresses of a family.
    pub(crate) fn wants(&self, family: Family) -> bool {
        self.family.is_none_or(|only| only == family)
    }

    /// The addresses that the request names.
    pub(crate) fn named_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let first = [self.ipv4.map(IpAddr::V4), self.ipv6.map(IpAddr::V6)];
        first.into_iter().flatten().chain(self.further_addresses.iter().copied())
    }

    /// Refuses an address or a publication of the family that it does not get.
    pub(super) fn check_family(&self) -> Result<(), ControlError> {
        let Some(family) = self.family else { return Ok(()) };
        let published = self.publish.iter().filter_map(|one| one.ports.address());
        match self.named_addresses().chain(published).find(|it| Family::of(*it) != family) {
            Some(address) => Err(ControlError::OtherFamily { address, family }),
            None => Ok(()),
        }
    }

    pub(super) fn check_sizes(&self) -> Result<(), ControlError> {
        let label_bytes: usize = self.labels.iter().map(|(key, text)| key.len() + text.len()).sum();
        if self.labels.len() > LABELS_MAX || label_bytes > LABELS_BYTES_MAX {
            return Err(ControlError::LabelsMax(self.name.to_string()));
        }
        if self.further_addresses.len() > FURTHER_ADDRESSES_MAX {
            return Err(ControlError::AddressesMax(self.name.to_string()));
        }
        if self.aliases.len() > ALIASES_MAX {
            return Err(ControlError::AliasesMax(self.name.to_string()));
        }
        Ok(())
    }
}
