//! `setup` and `teardown`: the attachment of a container on a network.
//!
//! An attachment has the container's id as a label, since podman may rename a container. Its name is the container's;
//! where another attachment has that one, it is the short id, and the name is an alias.
//!
//! | state before `setup` | then |
//! |---|---|
//! | no attachment of this container on the network | it is attached |
//! | one in the same namespace | its addresses are given again |
//! | one in another namespace, on any network: an earlier life of the container | that one is detached first |
//!
//! netavark gives a container's ports to each of its networks: the first one that is not internal publishes them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde_json::{Value, json};
use vswitch_api::error::ErrorCode;
use vswitch_api::port::{AttachRequest, Configure, NetnsRef, Port, PortDetail};
use vswitch_api::publish::{PortSpec, Publication};
use vswitch_client::{Client, ClientError};

use crate::error::PluginError;
use crate::network;
use crate::options::Options;
use crate::protocol::{ContainerRequest, NetAddress, NetInterface, PortMapping, StatusBlock};
use crate::switch;

/// Label of an attachment: podman's id of the container.
const CONTAINER_ID: &str = "podman.container-id";

/// Digits of a short id, as podman shows it.
const SHORT_ID: usize = 12;

/// Attaches a container, and gives its addresses.
pub(crate) async fn setup(
    netns: PathBuf,
    request: &ContainerRequest,
) -> Result<Value, PluginError> {
    let options = Options::parse(&[&request.network.options, &request.network_options.options])?;
    let client = switch::client(&options);
    let network = network::ensure(&client, &request.network, &options, false).await?.network;
    let mut publishes = !network.internal;
    for before in its_attachments(&client, request).await? {
        if !is_same(&before.netns_path, &netns) {
            detach(&client, &before.port).await?;
        } else if before.port.network == network.name {
            return Ok(json!(status(&before, request)));
        } else {
            publishes &= before.port.publish.is_empty();
        }
    }
    let mut attach = attach_request(netns, request, &options, network.name)?;
    if !publishes {
        attach.publish.clear();
    }
    Ok(json!(status(&attach_under_a_name(&client, attach, request).await?, request)))
}

/// Detaches a container. One that is not attached is no error, and neither is a switch that does not run if the
/// namespace is gone: the switch forgets the attachment when it starts.
pub(crate) async fn teardown(netns: &Path, request: &ContainerRequest) -> Result<(), PluginError> {
    match detach_all(request).await {
        Err(PluginError::Client(error)) if is_unreachable(&error) && !netns.exists() => Ok(()),
        done => done,
    }
}

async fn detach_all(request: &ContainerRequest) -> Result<(), PluginError> {
    let options = Options::parse(&[&request.network.options, &request.network_options.options])?;
    let client = switch::client(&options);
    // Its first network has further names.
    let network = match client.network(options.network_of(&request.network)).await {
        Err(ClientError::Api(error)) if error.code == ErrorCode::NotFound => return Ok(()),
        found => found?.network.name,
    };
    for port in client.ports().await? {
        if port.network == network && is_its(&port, request) {
            detach(&client, &port).await?;
        }
    }
    Ok(())
}

/// Whether the switch does not run, or does not answer.
fn is_unreachable(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::NoDaemon(_) | ClientError::Connect { .. } | ClientError::Timeout { .. }
    )
}

fn is_its(port: &Port, request: &ContainerRequest) -> bool {
    port.labels.get(CONTAINER_ID) == Some(&request.container_id)
}

/// The attachments of this container, on all networks.
async fn its_attachments(
    client: &Client,
    request: &ContainerRequest,
) -> Result<Vec<PortDetail>, PluginError> {
    let mut ports = client.ports().await?;
    ports.retain(|port| is_its(port, request));
    let mut names: Vec<String> = ports.into_iter().map(|port| port.name).collect();
    names.dedup();
    let mut attachments = Vec::new();
    for name in names {
        match client.port(&name).await {
            // Its namespace ended meanwhile.
            Err(ClientError::Api(error)) if error.code == ErrorCode::NotFound => {}
            details => attachments.extend(details?),
        }
    }
    attachments.retain(|detail| is_its(&detail.port, request));
    Ok(attachments)
}

async fn detach(client: &Client, port: &Port) -> Result<(), PluginError> {
    match client.disconnect_endpoint(&port.network, &port.name).await {
        // It was faster: its namespace ended.
        Err(ClientError::Api(error)) if error.code == ErrorCode::NotFound => Ok(()),
        done => Ok(done?),
    }
}

async fn attach_under_a_name(
    client: &Client,
    mut attach: AttachRequest,
    request: &ContainerRequest,
) -> Result<PortDetail, PluginError> {
    match client.attach(&attach).await {
        Err(ClientError::Api(error)) if error.code == ErrorCode::Conflict => {
            // On another network, the name is this container's own.
            let is_others = |port: &Port| port.name == attach.name && !is_its(port, request);
            let is_taken = client.ports().await?.iter().any(is_others);
            let short = request.container_id.get(..SHORT_ID).unwrap_or(&request.container_id);
            if !is_taken || attach.name == short {
                return Err(ClientError::Api(error).into());
            }
            attach.aliases.retain(|alias| alias != short);
            attach.aliases.push(std::mem::replace(&mut attach.name, short.to_owned()));
            Ok(client.attach(&attach).await?)
        }
        attached => Ok(attached?),
    }
}

fn attach_request(
    netns: PathBuf,
    request: &ContainerRequest,
    options: &Options,
    network: String,
) -> Result<AttachRequest, PluginError> {
    let of = &request.network_options;
    let mut addresses = of.static_ips.clone().unwrap_or_default();
    let mut take = |is_wanted: fn(&IpAddr) -> bool| {
        addresses.iter().position(is_wanted).map(|at| addresses.remove(at))
    };
    let (first4, first6) = (take(IpAddr::is_ipv4), take(IpAddr::is_ipv6));
    let mac = of.static_mac.as_deref().filter(|mac| !mac.is_empty());
    let mac = mac.map(|text| {
        text.parse().map_err(|_| PluginError::Refused(format!("{text} is not a MAC address")))
    });
    let mappings = request.port_mappings.iter().flatten();
    let publish: Vec<Vec<Publication>> =
        mappings.map(PortMapping::publications).collect::<Result<_, _>>()?;
    let name = request.container_name.clone();
    let aliases = of.aliases.iter().flatten().filter(|alias| **alias != name);
    Ok(AttachRequest {
        netns: NetnsRef::Path(netns),
        network: Some(network),
        ipv4: first4.and_then(|address| if let IpAddr::V4(a) = address { Some(a) } else { None }),
        ipv6: first6.and_then(|address| if let IpAddr::V6(a) = address { Some(a) } else { None }),
        family: request.network.only_family(),
        further_addresses: addresses,
        mac: mac.transpose()?,
        ifname: Some(of.interface_name.clone()),
        configure: Configure::Static,
        gw_priority: 0,
        settings: options.settings.clone(),
        publish: publish.into_iter().flatten().collect(),
        aliases: aliases.cloned().collect(),
        labels: BTreeMap::from([(CONTAINER_ID.to_owned(), request.container_id.clone())]),
        name,
    })
}

impl PortMapping {
    /// A publication for each protocol.
    fn publications(&self) -> Result<Vec<Publication>, PluginError> {
        let text = self.protocol.trim();
        let protocols = if text.is_empty() { "tcp" } else { text };
        let publications = protocols.split(',').map(|protocol| {
            let host = range(self.host_port, self.range);
            let container = range(self.container_port, self.range);
            let address = match self.host_ip.parse() {
                Ok(IpAddr::V6(address)) => format!("[{address}]:"),
                _ if self.host_ip.is_empty() => String::new(),
                _ => format!("{}:", self.host_ip),
            };
            let text = format!("{address}{host}:{container}/{}", protocol.trim());
            let ports: PortSpec =
                text.parse().map_err(|error| PluginError::Refused(format!("{error}")))?;
            Ok(Publication { ports, allow_from: Vec::new() })
        });
        publications.collect()
    }
}

/// `count` ports from `first` on, as text; without a first one, as many free ones.
fn range(first: u16, count: u16) -> String {
    match (first, count) {
        (0, _) | (_, 0 | 1) => first.to_string(),
        _ => format!("{first}-{}", u32::from(first) + u32::from(count) - 1),
    }
}

/// True if both paths lead to one namespace.
fn is_same(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

/// The answer to netavark.
fn status(detail: &PortDetail, request: &ContainerRequest) -> StatusBlock {
    let port = &detail.port;
    let of_v4 = port.ipv4.iter().copied().map(IpAddr::from);
    let addresses = of_v4.chain(port.ipv6.iter().copied().map(IpAddr::from));
    let subnets = addresses.filter_map(|address| {
        let at = detail.subnets.iter().position(|subnet| subnet.contains(&address))?;
        let ipnet = IpNet::new(address, detail.subnets[at].prefix_len()).ok()?;
        Some(NetAddress { gateway: detail.gateways.get(at).copied(), ipnet })
    });
    let interface = NetInterface { mac_address: port.mac, subnets: subnets.collect() };
    let resolvers = if request.network.dns_enabled { detail.resolvers.clone() } else { Vec::new() };
    StatusBlock {
        dns_search_domains: Vec::new(),
        dns_server_ips: resolvers,
        interfaces: BTreeMap::from([(port.ifname.clone(), interface)]),
    }
}

#[cfg(test)]
mod tests;
