//! The result of ADD, as each version of the specification writes it. Those of other plugins are read, too:
//! fields that are unknown here pass as they are.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use vswitch_api::MacAddr;
use vswitch_api::port::PortDetail;

use crate::config::Dns;
use crate::error::{CniError, Code, Outcome};
use crate::version::Version;

/// A result.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CniResult {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) ips: Vec<Ip>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) routes: Vec<Route>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) dns: Dns,
}

/// An interface, in the container if it has a sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Interface {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mtu: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sandbox: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// An address with the prefix length of its subnet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ip {
    /// `4` or `6`, before 1.0.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Index of its interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) interface: Option<usize>,
    pub(crate) address: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gateway: Option<IpAddr>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) dst: IpNet,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gw: Option<IpAddr>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl CniResult {
    /// Reads the result of another plugin; `whose` names it for the error.
    pub(crate) fn read(value: Value, whose: &str) -> Outcome<Self> {
        serde_json::from_value(value).map_err(|error| {
            CniError::new(Code::Decoding, format!("{whose} is no result of a plugin: {error}"))
        })
    }

    /// The result for an attachment in `sandbox`, behind that of the plugin before.
    pub(crate) fn of(port: &PortDetail, sandbox: &str, dns: Dns, before: Self) -> Self {
        let mut result = before;
        let index = result.interfaces.len();
        result.interfaces.push(Interface {
            name: port.port.ifname.clone(),
            mac: Some(port.port.mac.to_string()),
            mtu: Some(port.mtu),
            sandbox: Some(sandbox.to_owned()),
            others: Map::new(),
        });
        let ipv4 = port.port.ipv4.iter().copied().map(IpAddr::from);
        let addresses = ipv4.chain(port.port.ipv6.iter().copied().map(IpAddr::from));
        let mut gateways = Vec::new();
        for address in addresses {
            let subnets = port.subnets.iter().zip(&port.gateways);
            let Some((subnet, gateway)) = subnets.into_iter().find(|(it, _)| it.contains(&address))
            else {
                continue;
            };
            if !gateways.contains(gateway) {
                gateways.push(*gateway);
            }
            result.ips.push(Ip {
                version: None,
                interface: Some(index),
                address: IpNet::new_assert(address, subnet.prefix_len()),
                gateway: Some(*gateway),
                others: Map::new(),
            });
        }
        if port.is_default_route {
            let to_all = gateways.iter().map(|gateway| Route {
                dst: default_of(*gateway),
                gw: Some(*gateway),
                others: Map::new(),
            });
            result.routes.extend(to_all);
        }
        let own = Dns { nameservers: port.resolvers.clone(), ..Dns::default() };
        result.dns = result.dns.or(dns.or(own));
        result
    }

    /// The interface of this name in `sandbox`, with its index.
    pub(crate) fn interface(&self, name: &str, sandbox: &str) -> Option<(usize, &Interface)> {
        let is_it = |it: &Interface| it.name == name && it.sandbox.as_deref() == Some(sandbox);
        self.interfaces.iter().enumerate().find(|(_, interface)| is_it(interface))
    }

    /// The JSON of a version.
    pub(crate) fn json(&self, version: Version) -> Value {
        let mut result = self.clone();
        for ip in &mut result.ips {
            let family = if ip.address.addr().is_ipv4() { "4" } else { "6" };
            ip.version = (version < Version::V1_0_0).then(|| family.to_owned());
        }
        if version < Version::V1_1_0 {
            result.interfaces.iter_mut().for_each(|interface| interface.mtu = None);
        }
        json!({
            "cniVersion": version.name(),
            "interfaces": result.interfaces,
            "ips": result.ips,
            "routes": result.routes,
            "dns": result.dns,
        })
    }
}

impl Interface {
    /// The MAC address, if it has one.
    pub(crate) fn mac(&self) -> Option<MacAddr> {
        self.mac.as_deref()?.parse().ok()
    }
}

/// Plugins in Go write an empty list as null.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// All addresses of a family.
fn default_of(gateway: IpAddr) -> IpNet {
    match gateway {
        IpAddr::V4(_) => IpNet::V4(ipnet::Ipv4Net::default()),
        IpAddr::V6(_) => IpNet::V6(ipnet::Ipv6Net::default()),
    }
}

#[cfg(test)]
mod tests;
