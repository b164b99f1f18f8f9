//! The service of a network as the datapath reads it.

use std::net::IpAddr;

use fastpath::PortIndex;
use wire::MacAddr;

use crate::datapath::{Key, NetworkConf, NetworkIndex};

/// The service port of the switch.
#[derive(Debug, Clone, Copy)]
pub(in crate::datapath) struct ServicePort {
    pub(in crate::datapath) port: PortIndex,
    /// The MAC address of its TAP.
    pub(in crate::datapath) mac: MacAddr,
}

/// Where containers of a network ask.
#[derive(Debug)]
pub(in crate::datapath) struct NetworkService {
    /// The gateway's MAC address on the host's VLAN.
    pub(in crate::datapath) key: Key,
    /// The gateway's addresses.
    pub(super) gateways: Vec<IpAddr>,
    /// Whether a host port has them, too.
    pub(super) has_host_port: bool,
}

impl NetworkService {
    /// None for a network without the service.
    pub(in crate::datapath) fn new(network: NetworkIndex, conf: &NetworkConf) -> Option<Self> {
        let service = conf.service.as_ref()?;
        let key = Key::new(network, service.vlan, conf.mac);
        let gateways = service.gateways.clone();
        Some(Self { key, gateways, has_host_port: service.has_host_port })
    }

    /// Whether an address is the gateway's on a VLAN, and no host port has it.
    pub(in crate::datapath) fn is_gateway_at(&self, address: IpAddr, vlan: u16) -> bool {
        !self.has_host_port && self.key.vlan() == vlan && self.gateways.contains(&address)
    }
}
