//! The description of a network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use vswitch_api::port_settings::{PortSettings, SettingsChange};
use wire::MacAddr;

use super::NetworkName;
use super::key::is_uplink_label;
use super::overlay_spec::{OverlaySpec, RegisteredSpec, gso_max_size};
use crate::config::{IfName, Multicast, SnatPorts, Subnet4, Subnet6, Uplink};
use crate::datapath::HostConfig;

/// The description of a network.
#[derive(Debug, Clone)]
pub(crate) struct NetworkSpec {
    pub(crate) name: NetworkName,
    /// The device of the host port. A network without one is out of the host's reach, so that its subnets
    /// may overlap others.
    pub(crate) device: Option<IfName>,
    pub(crate) subnet: Subnet4,
    pub(crate) subnet6: Subnet6,
    pub(crate) gateway: Ipv4Addr,
    pub(crate) gateway6: Ipv6Addr,
    /// Addresses that are given to endpoints which ask for none; the whole subnet if absent.
    pub(crate) range: Option<Ipv4Net>,
    pub(crate) range6: Option<Ipv6Net>,
    pub(crate) gateway_mac: MacAddr,
    pub(crate) mtu: u32,
    pub(crate) ageing: Duration,
    pub(crate) fdb_entries_max: usize,
    /// As requested, whatever the uplink of the switch is.
    pub(crate) internal: bool,
    /// Its egress now: none if it is internal, or if the switch has none.
    pub(crate) uplink: Uplink,
    pub(crate) snat_ports: SnatPorts,
    pub(crate) multicast: Multicast,
    /// What hosts that configure themselves are told.
    pub(crate) host_config: HostConfig,
    /// New endpoints are isolated from each other.
    pub(crate) isolated_ports: bool,
    /// Whether TCP connections are cut through; none if it is as the switch has it.
    pub(crate) cut_through: Option<bool>,
    /// The part that spans nodes; none for a local network.
    pub(crate) overlay: Option<OverlaySpec>,
    /// Networks whose containers may open connections to those of this one.
    pub(crate) reachable_from: BTreeSet<NetworkName>,
    pub(crate) labels: BTreeMap<String, String>,
    /// Settings of new endpoints, where they differ from the defaults.
    pub(crate) port_settings: SettingsChange,
    /// Settings of the host port.
    pub(crate) host_settings: PortSettings,
}

impl NetworkSpec {
    pub(crate) fn subnets(&self) -> [IpNet; 2] {
        [IpNet::V4(self.subnet.net()), IpNet::V6(self.subnet6.net())]
    }

    pub(crate) fn gateways(&self) -> [IpAddr; 2] {
        [self.gateway.into(), self.gateway6.into()]
    }

    /// Ranges of addresses for endpoints that ask for none.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = IpNet> {
        self.range.map(IpNet::V4).into_iter().chain(self.range6.map(IpNet::V6))
    }

    /// The gateway's address with the prefix length of its subnet.
    pub(crate) fn gateway_net(&self) -> Ipv4Net {
        Ipv4Net::new_assert(self.gateway, self.subnet.net().prefix_len())
    }

    /// The same for IPv6.
    pub(crate) fn gateway6_net(&self) -> Ipv6Net {
        Ipv6Net::new_assert(self.gateway6, self.subnet6.net().prefix_len())
    }

    /// MAC address of the interface of the host port: in an overlay network another one than the gateway's, which all
    /// nodes share.
    pub(crate) fn host_mac(&self) -> MacAddr {
        self.overlay.as_ref().map_or(self.gateway_mac, |overlay| overlay.host_mac)
    }

    /// Whether the registry has it.
    pub(crate) fn is_registered(&self) -> bool {
        self.registered().is_some()
    }

    /// What the registry has of it.
    pub(crate) fn registered(&self) -> Option<&RegisteredSpec> {
        self.overlay.as_ref()?.registered.as_ref()
    }

    /// Largest GSO frame of its links, where it is not the kernel's default.
    pub(crate) fn gso_max_size(&self) -> Option<u32> {
        self.overlay.as_ref().map(|_| gso_max_size(self.mtu))
    }

    /// Addresses of the host on this node, beside the gateway's.
    pub(crate) fn host_addresses(&self) -> &[IpAddr] {
        self.overlay.as_ref().map_or(&[], |overlay| &overlay.host_addresses)
    }

    /// An address with the prefix length of its family's subnet.
    pub(crate) fn net_of(&self, address: IpAddr) -> IpNet {
        let [v4, v6] = self.subnets();
        let subnet = if address.is_ipv4() { v4 } else { v6 };
        IpNet::new_assert(address, subnet.prefix_len())
    }

    /// No container of it reaches the world.
    pub(crate) fn is_internal(&self) -> bool {
        self.uplink == Uplink::None
    }

    /// Whether its host port or its uplink is called so.
    pub(super) fn is_label(&self, name: &str) -> bool {
        self.device
            .as_ref()
            .is_some_and(|device| name == device.as_str() || is_uplink_label(name, device))
    }
}
