//! From which address and ports the inside appears, and what is published. Immutable; compiled by
//! control.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::owner::OwnerId;
use crate::tuple::Transport;

/// A range of ports that is handed to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The transport; not an echo.
    pub transport: Transport,
    /// The host's address that it is published at; all of them if there is none.
    pub address: Option<IpAddr>,
    /// The host's ports.
    pub ports: RangeInclusive<u16>,
    /// The container's IPv4 address.
    pub to_v4: Option<Ipv4Addr>,
    /// The container's IPv6 address.
    pub to_v6: Option<Ipv6Addr>,
    /// The container's port for the first of `ports`; the others follow.
    pub to_port: u16,
    /// The container.
    pub owner: OwnerId,
    /// Prefixes (address, length) of those who may connect; everybody if there are none.
    pub allow_from: Vec<(IpAddr, u8)>,
}

/// What translation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The address from which the inside appears (masquerade: the uplink's).
    pub external_v4: Option<Ipv4Addr>,
    /// The same of IPv6.
    pub external_v6: Option<Ipv6Addr>,
    /// The addresses of the host, at which ports are published.
    pub host_addrs: Vec<IpAddr>,
    /// The ports, and identifiers of echoes, from which it appears.
    pub ports: RangeInclusive<u16>,
    /// What is published.
    pub published: Vec<Published>,
    /// Most connections of an owner.
    pub quota: u32,
}
