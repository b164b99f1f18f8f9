//! The NAT policy as control states it: SNAT addresses and ports, published ports, the quota.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::owner::OwnerId;
use crate::sources::Sources;
use crate::tuple::Transport;
use crate::zone::Zone;

/// A range of the host's ports that leads to a container (DNAT).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The transport; not an echo.
    pub transport: Transport,
    /// The address of the host; none for all of them, the unspecified address for all of its family.
    pub address: Option<IpAddr>,
    /// The host's ports.
    pub ports: RangeInclusive<u16>,
    /// The zone of the container's addresses.
    pub zone: Zone,
    /// The container's IPv4 address.
    pub to_v4: Option<Ipv4Addr>,
    /// The container's IPv6 address.
    pub to_v6: Option<Ipv6Addr>,
    /// The container's port for the first of `ports`; the others follow.
    pub to_port: u16,
    /// The container.
    pub owner: OwnerId,
    /// Prefixes (address, length) that may connect; all if there are none.
    pub allow_from: Vec<(IpAddr, u8)>,
}

/// The policy. [`CompiledPolicy`](crate::CompiledPolicy) is its form for lookups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The IPv4 source address of connections between containers by an address of the host, and of those that
    /// `sources` has no route for.
    pub external_v4: Option<Ipv4Addr>,
    /// Their IPv6 source address.
    pub external_v6: Option<Ipv6Addr>,
    /// The source addresses of connections with the world, for containers of each zone.
    pub sources: Vec<(Zone, Arc<Sources>)>,
    /// The host's addresses, at which ports are published.
    pub host_addrs: Vec<IpAddr>,
    /// The SNAT source ports, and identifiers of echoes.
    pub ports: RangeInclusive<u16>,
    /// Published ports.
    pub published: Vec<Published>,
    /// Connections that one owner may have.
    pub quota: u32,
}

impl Default for Policy {
    /// Translates nothing.
    fn default() -> Self {
        Self {
            external_v4: None,
            external_v6: None,
            sources: Vec::new(),
            host_addrs: Vec::new(),
            ports: RangeInclusive::new(1, 0),
            published: Vec::new(),
            quota: 0,
        }
    }
}
