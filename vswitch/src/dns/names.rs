//! The table of names: which addresses a name has for the port that asks.
//!
//! A port sees the names of all networks on which its container has a port, its own network first. The first
//! of them that has a name answers for it. `NAME.NETWORK` asks one of them only, or a network to which the
//! port's own one may open connections. Addresses have names (`PTR`) where plain names are seen. What nobody has
//! is forwarded, except from an internal network, and except for addresses of our subnets.
//!
//! Endpoints on other nodes of an overlay network have names like ports; those of ports come first in an answer.
//!
//! Control writes, the service reads, under one lock that both hold for microseconds. A change touches only
//! the records of the endpoint or the network that changes, and the next query sees it.

mod asked;
mod list;
mod lookup;
mod remotes;
mod reverse;
mod subnets;
mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fastpath::PortIndex;
use ipnet::IpNet;

use super::counters::DirectCounters;
use crate::datapath::NetworkIndex;
pub use asked::Asked;
pub use list::ListedName;
pub use lookup::Found;
use table::Table;

/// The zone of names that stand for the host and the gateway.
pub(crate) const SERVICE_ZONE: &str = "vswitch.internal";

/// Names in [`SERVICE_ZONE`]; both have the addresses of the gateway.
pub(crate) const SERVICE_NAMES: [&str; 2] = ["gateway", "host"];

/// A network, as far as names need it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkNames {
    /// Its name.
    pub name: String,
    /// Its subnets.
    pub subnets: Vec<IpNet>,
    /// The gateway's addresses.
    pub gateways: Vec<IpAddr>,
    /// Whether nothing is forwarded for it.
    pub is_internal: bool,
    /// Networks that may open connections to it, and so see its names.
    pub reachable_from: Vec<NetworkIndex>,
    /// Whether the host has its gateway's addresses. Without, its subnets may be somebody else's, too.
    pub has_host_port: bool,
}

/// An endpoint of a container, with its names on one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointNames {
    /// The network that it is on.
    pub network: NetworkIndex,
    /// The container; its endpoints share what they see.
    pub container: String,
    /// Its name, then its aliases. An address has the first as its name.
    pub names: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// The table, shared by control and the service.
#[derive(Debug, Default)]
pub struct Names {
    table: RwLock<Table>,
    /// What workers answered themselves.
    direct: DirectCounters,
}

impl Names {
    /// Adds a network, or changes it and keeps its names.
    pub fn set_network(&self, index: NetworkIndex, network: NetworkNames) {
        self.write().set_network(index, network);
    }

    /// Removes a network with all its names.
    pub fn remove_network(&self, index: NetworkIndex) {
        self.write().remove_network(index);
    }

    /// Sets the names of a port; former ones are gone.
    pub fn set_endpoint(&self, port: PortIndex, endpoint: EndpointNames) {
        self.write().set_endpoint(port, endpoint);
    }

    /// Removes the names of a port.
    pub fn remove_endpoint(&self, port: PortIndex) {
        self.write().remove_endpoint(port);
    }

    /// Sets the names of an address on another node, its name first; former ones are gone. Empty ones are left out.
    pub fn set_remote(&self, network: NetworkIndex, address: IpAddr, names: &[impl AsRef<str>]) {
        let names = names.iter().map(|name| name.as_ref().to_ascii_lowercase().into_boxed_str());
        self.write().set_remote(network, address, names);
    }

    /// Removes the names of an address on another node.
    pub fn remove_remote(&self, network: NetworkIndex, address: IpAddr) {
        self.write().remove_remote(network, address);
    }

    /// The answer to a question of a port. The name is in lower case, without the last dot.
    #[must_use]
    pub fn lookup(&self, port: PortIndex, name: &str, asked: Asked) -> Found {
        lookup::lookup(&self.read(), port, name, asked)
    }

    /// Gives addresses of a name of ours, for a port that asks, one by one until one is not taken; false if there
    /// are none of that type. Nothing for other names, while the table changes, and where one was not taken.
    pub(super) fn try_addresses(
        &self,
        port: PortIndex,
        name: &str,
        asked: Asked,
        mut take: impl FnMut(IpAddr) -> Option<()>,
    ) -> Option<bool> {
        let table = self.table.try_read().ok()?;
        let owners = lookup::container_name(&table, port, name)?;
        let mut addresses = lookup::addresses(&table, owners, asked).peekable();
        let is_found = addresses.peek().is_some();
        addresses.try_for_each(&mut take)?;
        Some(is_found)
    }

    /// Counters of what workers answered themselves.
    pub(super) fn direct(&self) -> &DirectCounters {
        &self.direct
    }

    /// All names of containers, in the order of networks and names.
    #[must_use]
    pub fn list(&self) -> Vec<ListedName> {
        list::list(&self.read())
    }

    /// A port of that container, the one that came first.
    #[must_use]
    pub fn port_of(&self, container: &str) -> Option<PortIndex> {
        self.read().ports_of(container).first().copied()
    }

    /// Whether an address is the gateway of one of the networks.
    #[must_use]
    pub fn is_gateway(&self, address: IpAddr) -> bool {
        self.read().is_gateway(address)
    }

    /// Whether a port's container has that address.
    pub(crate) fn has_address(&self, port: PortIndex, address: IpAddr) -> bool {
        self.read().visible(port).any(|(own, _)| own.addresses.contains(&address))
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }
}
