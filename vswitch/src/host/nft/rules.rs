//! Description of the tables.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::forwards::{Forwards, Protocol};

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

/// Names of devices in sets of the `ip` and `ip6` tables.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct DeviceNames {
    /// Devices whose frames the switch takes itself.
    pub(super) switched: BTreeSet<String>,
    pub(super) bridges: BTreeSet<String>,
}

impl DeviceNames {
    /// Those that others lack.
    pub(super) fn beside(&self, other: &Self) -> Self {
        let lacking = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect();
        Self {
            switched: lacking(&self.switched, &other.switched),
            bridges: lacking(&self.bridges, &other.bridges),
        }
    }
}

impl Rules {
    pub(super) fn names(&self) -> DeviceNames {
        let switched = self.nat.switched.iter().chain(&self.devices).cloned();
        DeviceNames {
            switched: switched.collect(),
            bridges: self.devices.iter().cloned().collect(),
        }
    }
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
    pub(crate) published: Forwards,
    /// Remotes whose packets by a protocol without ports are a container's.
    pub(crate) portless: BTreeSet<(IpAddr, u8)>,
}

/// NAT by the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Nat {
    pub(crate) forwards: Forwards,
    /// With `--uplink kernel`: subnets to masquerade; the kernel then publishes ports to all hosts.
    /// Otherwise it translates only the host's own traffic.
    pub(crate) masquerade: Vec<IpNet>,
    /// Host ports, each with its gateway's addresses: the source of translated packets to its containers.
    pub(crate) gateways: Vec<(String, IpAddr)>,
    /// IPv4 and IPv6: the kernel forwards, so that it translates for devices that are no uplinks, too.
    pub(crate) for_others: [bool; 2],
    /// IPv4 and IPv6, where it does not: the port of the sockets that relay for these devices (`host::proxy::relayed`).
    pub(crate) relayed: [Option<u16>; 2],
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

impl IngressRedirect {
    /// Addresses of the host.
    pub(super) fn local(&self) -> BTreeSet<IpAddr> {
        let v4 = self.local4.iter().copied().map(IpAddr::V4);
        v4.chain(self.local6.iter().copied().map(IpAddr::V6)).collect()
    }

    /// Indexes of NICs and of their TAPs.
    pub(super) fn taps(&self) -> BTreeSet<(u32, u32)> {
        let links = self.links.iter();
        links.filter_map(|link| Some((link.device.as_ref()?.1, link.tap.1))).collect()
    }
}
