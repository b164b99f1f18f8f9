//! Neighbours of a network: ARP and ND are answered from this table, and the router delivers by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastpath::PortIndex;
use wire::MacAddr;

/// Addresses that the switch gave to a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    /// MAC address.
    pub mac: MacAddr,
    /// IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// The port.
    pub port: PortIndex,
}

/// All neighbours of a network, sorted by address.
#[derive(Debug, Default)]
pub(super) struct NeighbourTable {
    ipv4: Vec<(Ipv4Addr, MacAddr, PortIndex)>,
    ipv6: Vec<(Ipv6Addr, MacAddr, PortIndex)>,
}

impl NeighbourTable {
    /// A table of these.
    pub(super) fn new(rows: &[Neighbour]) -> Self {
        let mut table = Self::default();
        for row in rows {
            table.ipv4.extend(row.ipv4.map(|address| (address, row.mac, row.port)));
            table.ipv6.extend(row.ipv6.map(|address| (address, row.mac, row.port)));
        }
        table.ipv4.sort_unstable();
        table.ipv6.sort_unstable();
        table
    }

    /// Who has an address of either family.
    pub(super) fn find(&self, address: IpAddr) -> Option<(MacAddr, PortIndex)> {
        match address {
            IpAddr::V4(address) => self.ipv4(address),
            IpAddr::V6(address) => self.ipv6(address),
        }
    }

    pub(super) fn ipv4(&self, address: Ipv4Addr) -> Option<(MacAddr, PortIndex)> {
        let at = self.ipv4.binary_search_by_key(&address, |&(address, ..)| address).ok()?;
        Some((self.ipv4[at].1, self.ipv4[at].2))
    }

    pub(super) fn ipv6(&self, address: Ipv6Addr) -> Option<(MacAddr, PortIndex)> {
        let at = self.ipv6.binary_search_by_key(&address, |&(address, ..)| address).ok()?;
        Some((self.ipv6[at].1, self.ipv6[at].2))
    }
}
