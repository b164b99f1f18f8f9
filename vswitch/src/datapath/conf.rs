//! Networks and ports as control describes them; [`super::Snapshot`] compiles them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use fastpath::PortIndex;
use vswitch_api::port_settings::isolation::Isolation;
use vswitch_cutthrough::NetnsCookie;
use wire::MacAddr;

use super::router::RouterConf;
use super::{Neighbour, NetworkIndex, NetworkOverlay, PortKind, PortVlans, TokenBucket};

/// A static entry of the forwarding database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaticMac {
    /// The address.
    pub mac: MacAddr,
    /// VLAN id, 0 for untagged.
    pub vlan: u16,
    /// Its port.
    pub port: PortIndex,
}

/// A network as control describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConf {
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Ageing time of FDB entries.
    pub ageing: Duration,
    /// Most FDB entries that are learnt.
    pub fdb_entries_max: usize,
    /// Static FDB entries.
    pub statics: Vec<StaticMac>,
    /// The gateway's MAC address, the source of the switch's own frames.
    pub mac: MacAddr,
    /// IGMP and MLD snooping: multicast goes to listeners only.
    pub snooping: bool,
    /// Addresses for which the switch answers ARP and ND.
    pub neighbours: Vec<Neighbour>,
    /// What the switch tells hosts that configure themselves.
    pub host_config: HostConfig,
    /// Its router; without, frames to the gateway go to the host's port.
    pub router: Option<RouterConf>,
    /// The service at its gateway; without, queries go to the host as well.
    pub service: Option<ServiceConf>,
    /// Its part that spans nodes.
    pub overlay: Option<NetworkOverlay>,
}

/// The service at a network's gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceConf {
    /// VLAN id of the host, 0 for untagged.
    pub vlan: u16,
    /// The gateway's addresses; those beyond
    /// [`SERVICE_GATEWAYS_MAX`](super::limits::SERVICE_GATEWAYS_MAX) are refused.
    pub gateways: Vec<IpAddr>,
    /// Whether a host port has the gateway's addresses, too. Without, the switch answers ARP and ND for them, and
    /// drops all but queries.
    pub has_host_port: bool,
}

/// What a network tells hosts that configure themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostConfig {
    /// Addresses by DHCPv4 and DHCPv6.
    pub dhcp: bool,
    /// Router advertisements.
    pub ra: bool,
}

impl HostConfig {
    /// Nothing.
    pub const NONE: Self = Self { dhcp: false, ra: false };

    /// Whether it tells anything.
    #[must_use]
    pub const fn is_any(self) -> bool {
        self.dhcp || self.ra
    }
}

impl NetworkConf {
    /// A number that no network has.
    pub const VACANT: Self = Self {
        mtu: 0,
        ageing: Duration::ZERO,
        fdb_entries_max: 0,
        statics: Vec::new(),
        mac: MacAddr::ZERO,
        snooping: false,
        neighbours: Vec::new(),
        router: None,
        service: None,
        overlay: None,
        host_config: HostConfig::NONE,
    };
}

/// A port as control describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortConf {
    /// Its network.
    pub network: NetworkIndex,
    /// Its kind.
    pub kind: PortKind,
    /// The MAC address of the interface behind it.
    pub mac: MacAddr,
    /// Whether frames may pass.
    pub enabled: bool,
    /// The VLANs that it is on.
    pub vlans: PortVlans,
    /// Source guard, if any.
    pub guard: Option<Guard>,
    /// Hosts with MAC addresses of their own may be behind it: the router asks who has an address.
    pub is_shared: bool,
    /// Port isolation.
    pub isolation: Isolation,
    /// Its own addresses, from which it may ask the service.
    pub addresses: PortAddresses,
    /// The namespace of the container behind it, where its connections to other such ports may be cut through.
    pub cut_through: Option<NetnsCookie>,
}

impl PortConf {
    /// A port that is enabled, untagged, without a guard; isolation follows the kind.
    #[must_use]
    pub const fn new(network: NetworkIndex, kind: PortKind, mac: MacAddr) -> Self {
        let isolation = kind.default_isolation();
        let vlans = PortVlans::access(0);
        let addresses = PortAddresses::NONE;
        let (enabled, guard, is_shared, cut_through) = (true, None, false, None);
        Self {
            network,
            kind,
            mac,
            enabled,
            vlans,
            guard,
            is_shared,
            isolation,
            addresses,
            cut_through,
        }
    }

    /// The uplink's port, which only routers send to.
    #[must_use]
    pub const fn uplink(mac: MacAddr) -> Self {
        Self::new(NetworkIndex::NONE, PortKind::Uplink, mac)
    }

    /// The tunnel port; the VNI names the network of each frame.
    #[must_use]
    pub const fn tunnel() -> Self {
        Self::new(NetworkIndex::NONE, PortKind::Tunnel, MacAddr::ZERO)
    }

    /// The service port, which all networks share.
    #[must_use]
    pub const fn service(mac: MacAddr) -> Self {
        Self::new(NetworkIndex::NONE, PortKind::Service, mac)
    }
}

/// The addresses of a port, in an order that stays. Clones share them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortAddresses(Option<Arc<[IpAddr]>>);

impl PortAddresses {
    /// No address; nothing is allocated for it.
    pub const NONE: Self = Self(None);

    /// These addresses; the service refuses those beyond
    /// [`SERVICE_OWN_MAX`](super::limits::SERVICE_OWN_MAX).
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut addresses = addresses.into_iter().peekable();
        Self(addresses.peek().is_some().then(|| addresses.collect()))
    }

    /// All of them.
    #[inline]
    #[must_use]
    pub fn as_slice(&self) -> &[IpAddr] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// Addresses that a container may send from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Its MAC address.
    pub mac: MacAddr,
    /// Its IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address, beside link-local ones.
    pub ipv6: Option<Ipv6Addr>,
    /// Addresses beside the two.
    pub further: PortAddresses,
}

/// Limits of a port. A snapshot that does not change a limit shares its bucket with the one before.
#[derive(Debug, Clone)]
pub struct PortLimits {
    /// Bytes from the port.
    pub rate_in: Option<Arc<TokenBucket>>,
    /// Bytes to the port.
    pub rate_out: Option<Arc<TokenBucket>>,
    /// Broadcast, multicast and unknown unicast frames from the port.
    pub storm: Option<Storm>,
    /// MAC addresses that may be learnt on it.
    pub macs_max: usize,
    /// Whether it is watched for loops.
    pub loop_guard: bool,
}

impl PortLimits {
    /// No limit at all.
    pub const NONE: Self = Self {
        rate_in: None,
        rate_out: None,
        storm: None,
        macs_max: usize::MAX,
        loop_guard: false,
    };
}

impl Default for PortLimits {
    fn default() -> Self {
        Self::NONE
    }
}

/// Storm control of one port: a bucket of frames for each kind, or none.
#[derive(Debug, Clone, Default)]
pub struct Storm {
    /// Broadcast frames.
    pub broadcast: Option<Arc<TokenBucket>>,
    /// Multicast frames.
    pub multicast: Option<Arc<TokenBucket>>,
    /// Unicast frames to an unknown address.
    pub unknown: Option<Arc<TokenBucket>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_addresses_are_none() {
        assert_eq!(PortAddresses::new([]), PortAddresses::NONE);
        let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        assert_eq!(PortAddresses::new(own).as_slice(), own);
    }
}
