//! `create`: a network of podman becomes one of the switch.
//!
//! The network is created at once, so that a subnet that overlaps is refused while the user looks. podman tells nobody
//! when it removes a network. So one with podman's label and without containers is a leftover: it makes room for its
//! successor of the same name.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};
use vswitch_api::address::Family;
use vswitch_api::error::ErrorCode;
use vswitch_api::network::{NetworkDetail, NetworkRemoval, NetworkRequest};
use vswitch_client::{Client, ClientError};

use crate::error::PluginError;
use crate::options::Options;
use crate::protocol::{LeaseRange, Network, Subnet};
use crate::switch;

/// Label of a network: podman's id of it.
const NETWORK_ID: &str = "podman.network-id";

/// The only IPAM driver of podman that there is: the switch gives the addresses.
const IPAM_DRIVER: &str = "host-local";

/// Creates a network, and gives podman's JSON of it with what the switch chose.
pub(crate) async fn create(network: &Network, mut text: Value) -> Result<Value, PluginError> {
    let options = Options::parse(&[&network.options])?;
    let client = switch::client(&options);
    let detail = ensure(&client, network, &options, true).await?;
    let subnets = subnets(network, &detail);
    let is_there =
        |asked: &&Subnet| subnets.iter().any(|subnet| subnet.subnet == asked.subnet.trunc());
    if let Some(other) = network.subnets().iter().find(|asked| !is_there(asked)) {
        return Err(PluginError::Refused(format!(
            "network {} of the switch has no subnet {}: leave it out",
            detail.network.name, other.subnet
        )));
    }
    text["subnets"] = json!(subnets);
    text["ipv6_enabled"] = json!(network.has(Family::Ipv6));
    text["internal"] = json!(detail.network.internal);
    text["ipam_options"] = json!({ "driver": IPAM_DRIVER });
    if let Some(device) = &detail.network.device {
        text["network_interface"] = json!(device);
    }
    Ok(text)
}

/// The subnets of the families that podman asked for.
fn subnets(network: &Network, detail: &NetworkDetail) -> Vec<Subnet> {
    let of_switch = detail.network.subnets.iter().zip(&detail.network.gateways);
    let asked = of_switch.filter(|(subnet, _)| network.has(Family::of(subnet.addr())));
    let subnets = asked.map(|(subnet, gateway)| {
        let said = network.subnets().iter().find(|said| said.subnet.trunc() == subnet.trunc());
        let lease_range = said.and_then(|said| said.lease_range.clone());
        Subnet { subnet: *subnet, gateway: Some(*gateway), lease_range }
    });
    subnets.collect()
}

/// The network of the switch, which is created if it is not there, or `is_new` and a leftover is.
pub(crate) async fn ensure(
    client: &Client,
    network: &Network,
    options: &Options,
    is_new: bool,
) -> Result<NetworkDetail, PluginError> {
    if let Some(name) = &options.network {
        return Ok(client.network(name).await?);
    }
    let request = request(network, options)?;
    let found = match client.network(&network.name).await {
        Ok(found) => found,
        Err(ClientError::Api(error)) if error.code == ErrorCode::NotFound => {
            return Ok(client.create_network(&request).await?);
        }
        Err(error) => return Err(error.into()),
    };
    let name = &network.name;
    match found.network.labels.get(NETWORK_ID) {
        Some(id) if found.network.ports == 0 && (is_new || *id != network.id) => {
            client.remove_network(name, &NetworkRemoval::default()).await?;
            Ok(client.create_network(&request).await?)
        }
        Some(id) if *id == network.id => Ok(found),
        Some(_) => Err(PluginError::Refused(format!(
            "the switch has a network {name} of an earlier network of podman, with {} containers: remove it \
             by `vswitch network rm --force {name}`",
            found.network.ports
        ))),
        None => Err(PluginError::Refused(format!(
            "the switch has a network {name} already: join it by the option network={name}, or choose another name"
        ))),
    }
}

/// The request for a network. Refuses what the switch has not.
fn request(network: &Network, options: &Options) -> Result<NetworkRequest, PluginError> {
    let refuse =
        |reason: &str| Err(PluginError::Refused(format!("network {}: {reason}", network.name)));
    let driver = network.ipam_options.as_ref().and_then(|options| options.get("driver"));
    if let Some(driver) = driver.filter(|driver| !driver.is_empty() && *driver != IPAM_DRIVER) {
        return refuse(&format!(
            "IPAM driver {driver}: the switch gives the addresses, leave it out"
        ));
    }
    if network.routes.as_ref().is_some_and(|routes| !routes.is_empty()) {
        return refuse("routes of its own are not supported: the switch routes as the host does");
    }
    if network.network_dns_servers.as_ref().is_some_and(|servers| !servers.is_empty()) {
        return refuse("DNS servers are those of the switch: `vswitch up --dns-upstream ADDRESS`");
    }
    let ranges = network.subnets().iter().filter_map(|subnet| {
        let range = subnet.lease_range.as_ref()?;
        Some(range.prefix(subnet.subnet).ok_or_else(|| {
            let (start, end) = (range.start_ip.as_deref(), range.end_ip.as_deref());
            let (start, end) = (start.unwrap_or("(none)"), end.unwrap_or("(none)"));
            PluginError::Refused(format!(
                "range {start} to {end} of {}: not all of a prefix, such as 10.5.1.0/24",
                subnet.subnet
            ))
        }))
    });
    let mut labels = network.labels.clone().unwrap_or_default();
    labels.insert(NETWORK_ID.to_owned(), network.id.clone());
    Ok(NetworkRequest {
        name: network.name.clone(),
        subnets: network.subnets().iter().map(|subnet| subnet.subnet).collect(),
        gateways: network.subnets().iter().filter_map(|subnet| subnet.gateway).collect(),
        ip_ranges: ranges.collect::<Result<_, _>>()?,
        mtu: options.mtu,
        internal: network.internal,
        isolated_ports: options.isolated_ports,
        cut_through: options.cut_through,
        reachable_from: options.reachable_from.clone(),
        uplink: options.uplink.clone(),
        device: network.network_interface.clone().filter(|device| !device.is_empty()),
        labels,
        ..NetworkRequest::default()
    })
}

impl LeaseRange {
    /// The prefix whose addresses these are; its first and its last address may be left out.
    fn prefix(&self, subnet: IpNet) -> Option<IpNet> {
        let start: IpAddr = match &self.start_ip {
            Some(text) => text.parse().ok()?,
            None => subnet.network(),
        };
        let end: IpAddr = match &self.end_ip {
            Some(text) => text.parse().ok()?,
            None => subnet.broadcast(),
        };
        let prefixes = (subnet.prefix_len()..=subnet.max_prefix_len())
            .filter_map(|length| Some(IpNet::new(start, length).ok()?.trunc()));
        let mut fitting = prefixes.filter(|prefix| {
            number(start).wrapping_sub(number(prefix.network())) <= 1
                && number(prefix.broadcast()).wrapping_sub(number(end)) <= 1
        });
        fitting.find(|prefix| subnet.contains(prefix))
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

#[cfg(test)]
mod tests;
