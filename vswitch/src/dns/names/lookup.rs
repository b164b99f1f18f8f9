//! The rules of a lookup.

use std::net::IpAddr;

use fastpath::PortIndex;

use super::asked::Asked;
use super::table::{Network, Owners, Table};
use super::{NetworkNames, SERVICE_NAMES, SERVICE_ZONE, reverse};
use crate::dns::limits::ADDRESSES_MAX;

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Addresses of the asked type, in the order of this answer.
    Addresses(Vec<IpAddr>),
    /// The name of an address.
    Name(String),
    /// The name exists, without a record of that type.
    NoData,
    /// The name does not exist.
    NoName,
    /// The name is none of ours: upstream servers know.
    Elsewhere,
    /// The port that asks is unknown.
    UnknownPort,
}

/// Owners of a name, with their network.
pub(super) type Named<'a> = (&'a Network, &'a Owners);

pub(super) fn lookup(table: &Table, port: PortIndex, name: &str, asked: Asked) -> Found {
    let Some((_, network)) = table.visible(port).next() else { return Found::UnknownPort };
    if let Some(found) = service_name(&network.names, name, asked) {
        return found;
    }
    if let Some(found) = address_name(table, port, name, asked) {
        return found;
    }
    match owners(table, port, name) {
        Some(named) => found_addresses(addresses(table, named, asked)),
        None if network.names.is_internal => Found::NoName,
        None => Found::Elsewhere,
    }
}

/// Owners of a name that is neither the service's nor an address's.
pub(super) fn container_name<'a>(
    table: &'a Table,
    port: PortIndex,
    name: &str,
) -> Option<Named<'a>> {
    let is_special = name.ends_with(SERVICE_ZONE) || name.ends_with(".arpa");
    if is_special { None } else { owners(table, port, name) }
}

/// Owners of a name, or of `NAME.NETWORK`, as a port sees it.
fn owners<'a>(table: &'a Table, port: PortIndex, name: &str) -> Option<Named<'a>> {
    let networks = || table.visible(port).map(|(_, network)| network);
    let by_name = networks().find_map(|network| named(network, name));
    let mut with_network = networks().chain(table.reached(port));
    by_name.or_else(|| with_network.find_map(|network| qualified(network, name)))
}

/// A name of the zone of the service, or below it.
fn service_name(network: &NetworkNames, name: &str, asked: Asked) -> Option<Found> {
    let below = name.strip_suffix(SERVICE_ZONE)?;
    let found = match below.strip_suffix('.') {
        None if below.is_empty() => Found::NoData,
        // Another name that ends like the zone.
        None => return None,
        Some(label) if SERVICE_NAMES.contains(&label) => {
            found_addresses(network.gateways.iter().copied().filter(|one| asked.has(one)))
        }
        Some(_) => Found::NoName,
    };
    Some(found)
}

/// The name of an address of a visible network; nothing if the address is none of ours. It may be on a network that
/// is not visible, unless that has no host port.
fn address_name(table: &Table, port: PortIndex, name: &str, asked: Asked) -> Option<Found> {
    let reverse = reverse::parse(name)?;
    let has =
        |network: &Network| network.names.subnets.iter().any(|it| it.contains(&reverse.prefix));
    let is_visible = || table.visible(port).any(|(_, network)| has(network));
    let is_ours = || table.subnets.cover(reverse.prefix) || is_visible();
    let absent = || is_ours().then_some(Found::NoName);
    let Some(address) = reverse.address() else { return absent() };
    let owner = table.visible(port).find_map(|(_, network)| owner_name(table, network, address));
    match owner {
        Some(name) if matches!(asked, Asked::Ptr | Asked::Any) => Some(Found::Name(name)),
        Some(_) => Some(Found::NoData),
        None => absent(),
    }
}

/// `NAME.NETWORK` of the endpoint that has an address on a network; a local one comes first.
fn owner_name(table: &Table, network: &Network, address: IpAddr) -> Option<String> {
    let full = |name: &str| format!("{name}.{}", network.names.name);
    if let Some(ports) = network.by_address.get(&address) {
        let endpoint = ports.first().and_then(|port| table.endpoints.get(port));
        let name = endpoint.and_then(|endpoint| endpoint.names.first());
        return name.map(|name| full(name));
    }
    if let Some(remote) = network.remotes.get(&address) {
        let name = table.remotes.get(*remote).and_then(|remote| remote.names.first());
        return name.map(|name| full(name));
    }
    let is_gateway = network.names.gateways.contains(&address);
    is_gateway.then(|| format!("{}.{SERVICE_ZONE}", SERVICE_NAMES[0]))
}

fn named<'a>(network: &'a Network, name: &str) -> Option<Named<'a>> {
    network.by_name.get(name).map(|owners| (network, owners))
}

/// Owners of `NAME.NETWORK`.
fn qualified<'a>(network: &'a Network, name: &str) -> Option<Named<'a>> {
    let name = name.strip_suffix(network.names.name.as_str())?.strip_suffix('.')?;
    named(network, name)
}

/// Addresses of those that share a name: of ports first, then of other nodes' endpoints. Each turn begins with the
/// next one of either.
pub(super) fn addresses<'a>(
    table: &'a Table,
    (network, owners): Named<'a>,
    asked: Asked,
) -> impl Iterator<Item = IpAddr> {
    let ports = &owners.ports[..];
    let first = owners.next_turn(asked == Asked::Aaaa) % ports.len().max(1);
    let (later, sooner) = ports.split_at(first);
    let endpoints = sooner.iter().chain(later).filter_map(|port| table.endpoints.get(port));
    let local = endpoints.flat_map(|endpoint| endpoint.addresses.iter().copied());
    // An endpoint that moves here is remote for a moment yet.
    let is_local = move |address: &IpAddr| {
        let mut ports = network.by_address.get(address).into_iter().flatten();
        ports.any(|port| owners.ports.contains(port))
    };
    let remotes = owners.remotes.next_turn(asked).filter_map(|index| table.remotes.get(index));
    let remote = remotes.map(|remote| remote.address).filter(move |address| !is_local(address));
    local.filter(move |address| asked.has(address)).chain(remote)
}

fn found_addresses(addresses: impl Iterator<Item = IpAddr>) -> Found {
    let addresses: Vec<_> = addresses.take(ADDRESSES_MAX).collect();
    if addresses.is_empty() { Found::NoData } else { Found::Addresses(addresses) }
}
