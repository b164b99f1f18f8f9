//! Options of an endpoint: the same for `attach`, `run` and `network connect`, and in `run --network name=..,ip=..`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use clap::Args;
use vswitch::config::IfName;
use vswitch_api::address::Family;
use vswitch_api::network::EndpointRequest;
use vswitch_api::port::{AttachRequest, Configure, NetnsRef};
use vswitch_api::port_settings::SettingsChange;
use wire::MacAddr;

use crate::value;

/// Addresses and names of the endpoint
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct EndpointArgs {
    /// A fixed IPv4 address of the network's subnet
    #[arg(long, value_name = "ADDRESS", value_parser = value::ipv4)]
    ip: Option<Ipv4Addr>,
    /// A fixed IPv6 address of the network's subnet
    #[arg(long, value_name = "ADDRESS", value_parser = value::ipv6)]
    ip6: Option<Ipv6Addr>,
    /// Addresses of one family only: ipv4 or ipv6
    #[arg(long, value_name = "FAMILY")]
    family: Option<Family>,
    /// A further address of the network's subnets; may be repeated
    #[arg(long, value_name = "ADDRESS")]
    add_ip: Vec<IpAddr>,
    /// A fixed unicast MAC address
    #[arg(long, value_name = "MAC", visible_alias = "mac-address", value_parser = value::mac)]
    mac: Option<MacAddr>,
    /// Name of the interface in the namespace [default: the next free of eth0, eth1, ...]
    #[arg(long, value_name = "IFNAME")]
    ifname: Option<IfName>,
    /// A further name in the network
    #[arg(long, value_name = "NAME", visible_alias = "network-alias")]
    #[arg(value_parser = value::attachment)]
    alias: Vec<String>,
    /// Of several networks, the one with the highest number gives the default route [default: 0]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    gw_priority: Option<i32>,
}

impl EndpointArgs {
    /// True if no option was given.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes an option as written in `run --network`. False if there is no such option.
    pub(crate) fn set(&mut self, key: &str, text: &str) -> Result<bool, String> {
        match key {
            "ip" => self.ip = Some(value::ipv4(text)?),
            "ip6" => self.ip6 = Some(value::ipv6(text)?),
            "family" => self.family = Some(text.parse()?),
            "add-ip" => {
                let address = text.parse().map_err(|_| format!("{text:?} is no address"))?;
                self.add_ip.push(address);
            }
            "mac" | "mac-address" => self.mac = Some(value::mac(text)?),
            "ifname" => self.ifname = Some(text.parse().map_err(|error| format!("{error}"))?),
            "alias" => self.alias.push(value::attachment(text)?),
            "gw-priority" => {
                let number = text.parse().map_err(|_| format!("{text:?} is no number"))?;
                self.gw_priority = Some(number);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A request to connect the attachment `name`.
    pub(crate) fn connect(self, name: String) -> EndpointRequest {
        EndpointRequest {
            name,
            ipv4: self.ip,
            ipv6: self.ip6,
            family: self.family,
            further_addresses: self.add_ip,
            mac: self.mac,
            ifname: self.ifname.map(|ifname| ifname.to_string()),
            aliases: self.alias,
            configure: Configure::Static,
            gw_priority: self.gw_priority.unwrap_or(0),
        }
    }

    /// A request to attach a namespace. The caller sets the name, and all that is not of the endpoint.
    pub(crate) fn attach(self, netns: NetnsRef, network: Option<String>) -> AttachRequest {
        let endpoint = self.connect(String::new());
        AttachRequest {
            name: endpoint.name,
            netns,
            network,
            ipv4: endpoint.ipv4,
            ipv6: endpoint.ipv6,
            family: endpoint.family,
            further_addresses: endpoint.further_addresses,
            mac: endpoint.mac,
            ifname: endpoint.ifname,
            configure: endpoint.configure,
            aliases: endpoint.aliases,
            gw_priority: endpoint.gw_priority,
            settings: SettingsChange::default(),
            publish: Vec::new(),
            labels: std::collections::BTreeMap::new(),
        }
    }
}
