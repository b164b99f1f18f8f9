//! The JSON of netavark's plugin API (`network/types.rs` of its crate). Unknown keys are let through, as there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vswitch_api::MacAddr;
use vswitch_api::address::Family;

/// A network of podman.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Network {
    /// Its name, unique among those of podman.
    pub(crate) name: String,
    /// 64 hexadecimal digits.
    pub(crate) id: String,
    /// Device of the host.
    #[serde(default)]
    pub(crate) network_interface: Option<String>,
    #[serde(default)]
    pub(crate) subnets: Option<Vec<Subnet>>,
    #[serde(default)]
    pub(crate) ipv6_enabled: bool,
    #[serde(default)]
    pub(crate) internal: bool,
    #[serde(default)]
    pub(crate) dns_enabled: bool,
    #[serde(default)]
    pub(crate) ipam_options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) routes: Option<Vec<serde_json::Value>>,
    #[serde(default)]
    pub(crate) network_dns_servers: Option<Vec<IpAddr>>,
    #[serde(default)]
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

/// A subnet of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subnet {
    pub(crate) subnet: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lease_range: Option<LeaseRange>,
}

/// Addresses that are given out, both included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseRange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) start_ip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end_ip: Option<String>,
}

/// A container that joins, or leaves, a network.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ContainerRequest {
    pub(crate) container_id: String,
    pub(crate) container_name: String,
    #[serde(default)]
    pub(crate) port_mappings: Option<Vec<PortMapping>>,
    pub(crate) network: Network,
    pub(crate) network_options: NetworkOptions,
}

/// Options of one container on one network.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NetworkOptions {
    pub(crate) interface_name: String,
    #[serde(default)]
    pub(crate) aliases: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) static_ips: Option<Vec<IpAddr>>,
    #[serde(default)]
    pub(crate) static_mac: Option<String>,
    #[serde(default)]
    pub(crate) options: Option<BTreeMap<String, String>>,
}

/// Published ports.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PortMapping {
    pub(crate) container_port: u16,
    #[serde(default)]
    pub(crate) host_ip: String,
    #[serde(default)]
    pub(crate) host_port: u16,
    /// Several protocols have commas between them.
    #[serde(default)]
    pub(crate) protocol: String,
    /// Number of ports; 0 is 1.
    #[serde(default)]
    pub(crate) range: u16,
}

/// The answer to `setup`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusBlock {
    pub(crate) dns_search_domains: Vec<String>,
    pub(crate) dns_server_ips: Vec<IpAddr>,
    pub(crate) interfaces: BTreeMap<String, NetInterface>,
}

/// An interface of a container.
#[derive(Debug, Serialize)]
pub(crate) struct NetInterface {
    #[serde(serialize_with = "as_text")]
    pub(crate) mac_address: MacAddr,
    pub(crate) subnets: Vec<NetAddress>,
}

/// An address of an interface, with the length of its subnet.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NetAddress {
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) ipnet: IpNet,
}

fn as_text<S: serde::Serializer>(mac: &MacAddr, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(mac)
}

impl Network {
    /// Its subnets; none before the switch has chosen.
    pub(crate) fn subnets(&self) -> &[Subnet] {
        self.subnets.as_deref().unwrap_or_default()
    }

    /// True if its containers have addresses of a family: IPv4 unless all subnets are of IPv6, IPv6 on request.
    pub(crate) fn has(&self, family: Family) -> bool {
        let is_there = |family| {
            let mut families = self.subnets().iter().map(|subnet| Family::of(subnet.subnet.addr()));
            families.any(|other| other == family)
        };
        match family {
            Family::Ipv4 => is_there(Family::Ipv4) || !is_there(Family::Ipv6),
            Family::Ipv6 => is_there(Family::Ipv6) || self.ipv6_enabled,
        }
    }

    /// The family of its endpoints; none for both.
    pub(crate) fn only_family(&self) -> Option<Family> {
        match (self.has(Family::Ipv4), self.has(Family::Ipv6)) {
            (true, false) => Some(Family::Ipv4),
            (false, true) => Some(Family::Ipv6),
            _ => None,
        }
    }
}
