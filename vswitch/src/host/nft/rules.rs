//! Description of the tables.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;
pub(crate) use vswitch_api::publish::Protocol;

/// The number of a transport in an IP header.
pub(in crate::host) fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

/// A block of SNAT ports of a protocol, at all addresses.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PortBlock {
    pub(crate) protocol: Protocol,
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl PortBlock {
    pub(crate) fn ports(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

/// Published ports of the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Published {
    /// Address of the host; the unspecified one means all of its family, none all of both families.
    pub(crate) address: Option<IpAddr>,
    pub(crate) protocol: Protocol,
    pub(crate) ports: RangeInclusive<u16>,
}

/// DNAT of published ports: `ports[n]` to port `to_port + n` of an address of either family. The proxy of ::1 relays by both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Forward {
    pub(crate) published: Published,
    pub(crate) to4: Option<Ipv4Addr>,
    pub(crate) to6: Option<Ipv6Addr>,
    /// The container's first port.
    pub(crate) to_port: u16,
    /// Only some senders may connect; the switch knows which.
    pub(crate) is_limited: bool,
}

/// An uplink: a NIC and its TAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedirectLink {
    /// Name and index of the NIC; none while it does not exist.
    pub(crate) device: Option<(String, u32)>,
    /// Name and index of the uplink TAP.
    pub(crate) tap: (String, u32),
}

/// Redirection between NICs and the uplink TAPs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IngressRedirect {
    pub(crate) links: Vec<RedirectLink>,
    /// Addresses of the host that containers are reached by.
    pub(crate) local4: Vec<Ipv4Addr>,
    pub(crate) local6: Vec<Ipv6Addr>,
    /// Subnets of containers: frames to them are dropped.
    pub(crate) subnets: Vec<IpNet>,
    /// The SNAT range: the blocks below are of it, and all of it are echo identifiers.
    pub(crate) snat_ports: RangeInclusive<u16>,
    /// Blocks whose ports are ours now.
    pub(crate) snat_blocks: BTreeSet<PortBlock>,
    pub(crate) published: Vec<Published>,
    /// Remotes whose packets by a protocol without ports are a container's.
    pub(crate) portless: Vec<(IpAddr, u8)>,
}

/// NAT by the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Nat {
    pub(crate) forwards: Vec<Forward>,
    /// With `--uplink kernel`: subnets to masquerade; the kernel then publishes ports to all hosts.
    /// Otherwise it translates only the host's own traffic.
    pub(crate) masquerade: Vec<IpNet>,
    /// Host ports, each with its gateway's addresses: the source of translated packets to its containers.
    pub(crate) gateways: Vec<(String, IpAddr)>,
    /// IPv4 and IPv6: the kernel forwards, so that it translates for devices that are no uplinks, too.
    pub(crate) for_others: [bool; 2],
    /// Devices whose frames the switch takes itself: uplinks, host ports.
    pub(crate) switched: Vec<String>,
    /// The kernel has to track what the host sends, by IPv4 and IPv6: containers ask for flows without ports, and the
    /// host's own come first (`host::own_flows`).
    pub(crate) tracks_host: [bool; 2],
}

/// Containers at one host port may open connections to those at another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AllowedForward {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// All tables of a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Name of the switch's bridge, after which the tables are named.
    pub(crate) bridge: String,
    /// All devices of host ports, which must exist.
    pub(crate) devices: Vec<String>,
    /// What the kernel may forward between them, beside replies.
    pub(crate) allowed: Vec<AllowedForward>,
    pub(crate) redirect: Option<IngressRedirect>,
    pub(crate) nat: Nat,
}

/// An interval of ports, at one address or at all of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Interval {
    pub(super) address: Option<IpAddr>,
    pub(super) protocol: u8,
    pub(super) first: u16,
    pub(super) last: u16,
}

impl Published {
    /// Its ports for a family, if it has any.
    pub(super) fn interval(&self, v6: bool) -> Option<Interval> {
        if self.ports.is_empty() || self.address.is_some_and(|address| address.is_ipv6() != v6) {
            return None;
        }
        Some(Interval {
            address: self.address.filter(|address| !address.is_unspecified()),
            protocol: protocol_number(self.protocol),
            first: *self.ports.start(),
            last: *self.ports.end(),
        })
    }
}

impl IngressRedirect {
    /// Whether any port is published at a single address of a family.
    pub(super) fn has_single_addresses(&self, v6: bool) -> bool {
        let mut intervals = self.published.iter().filter_map(|one| one.interval(v6));
        intervals.any(|interval| interval.address.is_some())
    }

    /// Whether any port is published at all addresses of a family.
    pub(super) fn has_all_addresses(&self, v6: bool) -> bool {
        let mut intervals = self.published.iter().filter_map(|one| one.interval(v6));
        intervals.any(|interval| interval.address.is_none())
    }

    /// NICs that exist.
    pub(super) fn devices(&self) -> usize {
        self.links.iter().filter(|link| link.device.is_some()).count()
    }

    /// Addresses of the host, of a family.
    pub(super) fn local(&self, v6: bool) -> BTreeSet<IpAddr> {
        match v6 {
            false => self.local4.iter().copied().map(IpAddr::V4).collect(),
            true => self.local6.iter().copied().map(IpAddr::V6).collect(),
        }
    }
}
