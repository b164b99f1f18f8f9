//! The host's port of a network that spans nodes.

use std::net::IpAddr;

use fastpath::PortIndex;
use wire::MacAddr;

use crate::datapath::PortAddresses;

/// The host's port of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::datapath) struct HostPort {
    pub(in crate::datapath) port: PortIndex,
    /// MAC address of its interface.
    pub(in crate::datapath) mac: MacAddr,
    /// The host's addresses there, the gateway's among them.
    pub(in crate::datapath) addresses: PortAddresses,
}

impl HostPort {
    /// Whether an address is the host's there.
    pub(super) fn has(&self, address: IpAddr) -> bool {
        let is_own = |address| self.addresses.as_slice().contains(&address);
        match address {
            IpAddr::V4(_) => is_own(address),
            // Those that the kernel makes of the MAC address.
            IpAddr::V6(v6) => v6.is_unicast_link_local() || is_own(address),
        }
    }
}
