//! Candidates that the daemon knows.

use std::ffi::{OsStr, OsString};

use clap_complete::engine::CompletionCandidate;
use vswitch_api::port::Port;

use super::{ask, starting};
use crate::list::natural;
use crate::value;

/// Names of attachments, each with its IPv4 address; behind an `@` with their networks.
pub(crate) fn attachments(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut ports = all_ports();
    let is_full = current.to_string_lossy().contains('@');
    if !is_full {
        // A container on two networks has one name.
        ports.dedup_by(|a, b| a.name == b.name);
    }
    let candidate = |port: Port| {
        let address = port.ipv4.first().map(|address| address.to_string().into());
        let name = if is_full { format!("{}@{}", port.name, port.network) } else { port.name };
        CompletionCandidate::new(name).help(address)
    };
    starting(current, ports.into_iter().map(candidate))
}

/// Names of networks, each with its first subnet.
pub(crate) fn networks(current: &OsStr) -> Vec<CompletionCandidate> {
    let networks = ask(async |client| client.networks().await).unwrap_or_default();
    let candidate = |network: vswitch_api::network::Network| {
        let subnet = network.subnets.first().map(|subnet| subnet.to_string().into());
        CompletionCandidate::new(network.name).help(subnet)
    };
    starting(current, networks.into_iter().map(candidate))
}

/// Static peers of the network that stands before on the command line, else of all.
pub(crate) fn peers(current: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut networks = ask(async |client| client.networks().await).unwrap_or_default();
    let is_named =
        |network: &vswitch_api::network::Network| words.iter().any(|word| *word == *network.name);
    if networks.iter().any(is_named) {
        networks.retain(is_named);
    }
    let peers = networks.into_iter().filter_map(|network| network.overlay).flat_map(|it| it.peers);
    starting(current, peers.map(|peer| CompletionCandidate::new(peer.to_string())))
}

/// Names of ports: attachments, and networks for the host's ports.
pub(crate) fn ports(current: &OsStr) -> Vec<CompletionCandidate> {
    attachments(current).into_iter().chain(networks(current)).collect()
}

/// MAC addresses of the forwarding database, each with its port.
pub(crate) fn macs(current: &OsStr) -> Vec<CompletionCandidate> {
    let entries = ask(async |client| client.fdb().await).unwrap_or_default();
    let candidate = |entry: vswitch_api::fdb::FdbEntry| {
        CompletionCandidate::new(entry.mac.to_string()).help(Some(entry.port.into()))
    };
    starting(current, entries.into_iter().map(candidate))
}

/// Names that containers can look up, each with its network.
pub(crate) fn dns_names(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut names = ask(async |client| client.dns_names().await).unwrap_or_default();
    names.dedup_by(|a, b| a.name == b.name);
    let candidate = |one: vswitch_api::dns::DnsName| {
        CompletionCandidate::new(one.name).help(Some(one.network.into()))
    };
    starting(current, names.into_iter().map(candidate))
}

/// Published ports: of the attachment that stands before on the command line, else of all.
pub(crate) fn publications(current: &OsStr) -> Vec<CompletionCandidate> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let mut ports = all_ports();
    let is_named = |port: &Port| {
        words
            .iter()
            .any(|word| value::is_called(&port.name, &port.network, &word.to_string_lossy()))
    };
    if ports.iter().any(is_named) {
        ports.retain(is_named);
    }
    let published = ports.into_iter().flat_map(|port| {
        let name = port.name;
        let line = move |ports: vswitch_api::publish::PortSpec| {
            CompletionCandidate::new(ports.to_string()).help(Some(name.clone().into()))
        };
        port.publish.into_iter().map(line).collect::<Vec<_>>()
    });
    starting(current, published)
}

fn all_ports() -> Vec<Port> {
    let mut ports = ask(async |client| client.ports().await).unwrap_or_default();
    ports.sort_by(|a, b| natural(&a.name, &b.name));
    ports
}
