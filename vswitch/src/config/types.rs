//! Types of configuration values, parsed from the text of a flag or of the file.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use fastpath::limits::WORKERS_MAX;
use ipnet::{Ipv4Net, Ipv6Net};

use crate::datapath::limits::{AGEING_S, FDB_ENTRIES_PER_NETWORK, FDB_SLOTS, UPLINKS_MAX};

/// Longest interface name: `IFNAMSIZ` without the final zero.
pub const IFNAME_LEN_MAX: usize = 15;

/// Longest name of a node.
pub const NODE_NAME_LEN_MAX: usize = 64;

/// An error of a value, with the value and the accepted form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The kernel would refuse the interface name, or it has another meaning.
    #[error("{name:?} is not an interface name: {reason}")]
    IfName {
        /// The name.
        name: String,
        /// The reason.
        reason: &'static str,
    },
    /// The text is no list of processors.
    #[error(
        "{text:?} is no list of processors: write numbers from 0 to {most} and ranges, each processor \
         once, such as 2 or 1,4-6"
    )]
    Cpus {
        /// The text.
        text: String,
        /// The highest processor number.
        most: usize,
    },
    /// The subnet is malformed or unusable.
    #[error("{text:?} cannot be the {family} subnet: {reason}")]
    Subnet {
        /// The text.
        text: String,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// The reason.
        reason: String,
    },
    /// The text is no number, or out of range.
    #[error("{text:?} is not {what}: it must be {min} to {max}")]
    Range {
        /// The text.
        text: String,
        /// The kind of value.
        what: &'static str,
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
    },
    /// The path is unusable.
    #[error("{} cannot be the {what}: {reason}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Its use.
        what: &'static str,
        /// The reason.
        reason: String,
    },
    /// The text is no fault that cut-through may start with.
    /// The text is no multicast mode.
    #[error("{0:?} is neither `snoop` nor `flood`")]
    Multicast(String),
    /// The text is neither on nor off.
    #[error("{0:?} is neither `on` nor `off`")]
    VxlanChecksum(String),
    /// The text is no address for metrics.
    #[error(
        "{0:?} cannot be the address of the metrics: write ADDR:PORT with a port from 1 to 65535, such as \
         127.0.0.1:9101, [::1]:9101, or :9101 for loopback"
    )]
    Metrics(String),
    /// The text is no DNS server.
    #[error(
        "{0:?} cannot be a DNS server: write ADDR or ADDR:PORT, such as 192.0.2.1, 192.0.2.1:5353 or \
         [2001:db8::1]:5353"
    )]
    DnsServer(String),
    /// The text is no address of an underlay.
    #[error("{text:?} cannot be the underlay: {reason}")]
    Underlay {
        /// The text.
        text: String,
        /// The reason.
        reason: &'static str,
    },
    /// The text is no name of a node.
    #[error(
        "{0:?} cannot be the name of a node: write up to {NODE_NAME_LEN_MAX} letters, digits, `-`, `.` and `_`, \
         beginning with a letter or digit"
    )]
    NodeName(String),
    /// The text is no uplink.
    #[error(
        "{0:?} cannot be the uplink: write `auto` (all devices that lead out), names of devices with commas \
         between them (at most {UPLINKS_MAX}), `kernel` or `none`"
    )]
    Uplink(String),
    /// The text is no pattern of device names.
    #[error("{0:?} is no pattern of device names: write one such as eth1 or veth*")]
    Glob(String),
    /// The text is no SNAT source-port range.
    #[error(
        "{text:?} cannot be the SNAT source-port range: write FIRST-LAST, with at least \
         {fewest} ports from {first} on, such as 20000-29999"
    )]
    SnatPorts {
        /// The text.
        text: String,
        /// The fewest ports.
        fewest: u16,
        /// The lowest port.
        first: u16,
    },
}

/// The name of a network interface, valid for Linux.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IfName(String);

impl IfName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `br0`.
impl Default for IfName {
    fn default() -> Self {
        Self("br0".into())
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As `dev_valid_name` of the kernel, without the names that `/proc/sys/net` uses for something else.
impl FromStr for IfName {
    type Err = ValueError;

    fn from_str(name: &str) -> Result<Self, ValueError> {
        let reason = match name {
            "" => Some("it is empty"),
            _ if name.len() > IFNAME_LEN_MAX => Some("it is longer than 15 bytes"),
            "." | ".." | "lo" | "all" | "default" => Some("it is reserved"),
            _ if !name.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Some("it has other than printable ASCII characters")
            }
            _ if name.contains(['/', ':', '%']) => Some("it has one of the characters / : %"),
            _ => None,
        };
        match reason {
            Some(reason) => Err(ValueError::IfName { name: name.to_owned(), reason }),
            None => Ok(Self(name.to_owned())),
        }
    }
}

/// A subnet of a family, with the accepted prefix lengths and a test of addresses that hosts cannot have.
macro_rules! subnet {
    ($(#[$doc:meta])* $name:ident($net:ty, $address:ty), $family:literal, $example:literal,
        $lengths:expr, $is_special:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name($net);

        impl $name {
            /// The subnet.
            #[must_use]
            pub const fn net(self) -> $net {
                self.0
            }

            /// The gateway's address: the first one.
            #[must_use]
            pub fn gateway(self) -> $address {
                <$address>::from_bits(self.0.network().to_bits() + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                let refuse =
                    |reason| ValueError::Subnet { text: text.to_owned(), family: $family, reason };
                let net: $net = text.parse().map_err(|_| refuse(format!("write it as {}", $example)))?;
                let (lengths, is_special) = ($lengths, $is_special);
                if !lengths.contains(&net.prefix_len()) {
                    let (min, max) = (lengths.start(), lengths.end());
                    return Err(refuse(format!("the prefix length must be {min} to {max}")));
                }
                if net.trunc() != net {
                    return Err(refuse(format!("it has host bits set; the subnet is {}", net.trunc())));
                }
                if is_special(net.addr()) {
                    return Err(refuse("it is not for ordinary hosts".to_owned()));
                }
                Ok(Self(net))
            }
        }
    };
}

subnet! {
    /// An IPv4 subnet for containers: /8 to /29, which fits a gateway and containers.
    Subnet4(Ipv4Net, Ipv4Addr), "IPv4", "10.99.0.0/16", 8..=29, |address: Ipv4Addr| {
        let first = address.octets()[0];
        first == 0 || first >= 224 || address.is_loopback() || address.is_link_local()
    }
}
subnet! {
    /// An IPv6 subnet for containers: /64 to /112.
    Subnet6(Ipv6Net, Ipv6Addr), "IPv6", "fd00:99::/64", 64..=112, |address: Ipv6Addr| {
        address.segments()[0] == 0 || address.is_multicast() || address.is_unicast_link_local()
    }
}

/// 10.99.0.0/16.
impl Default for Subnet4 {
    fn default() -> Self {
        Self(Ipv4Net::new_assert(Ipv4Addr::new(10, 99, 0, 0), 16))
    }
}

impl Subnet6 {
    /// A /64 of a unique local prefix (RFC 4193): `fd` and 40 random bits, subnet 0.
    #[must_use]
    pub fn unique_local(random: u64) -> Self {
        let bits = (0xfd_u128 << 120) | (u128::from(random & 0xff_ffff_ffff) << 80);
        Self(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), 64))
    }
}

/// A number with a range. The text form is the plain number.
macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident($inner:ty), $what:literal, $min:expr, $max:expr, $default:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name($inner);

        impl $name {
            /// Smallest value.
            pub const MIN: Self = Self($min);
            /// Largest value.
            pub const MAX: Self = Self($max);

            /// The number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                match text.parse::<$inner>() {
                    Ok(value) if (Self::MIN.0..=Self::MAX.0).contains(&value) => Ok(Self(value)),
                    _ => Err(ValueError::Range {
                        text: text.to_owned(),
                        what: $what,
                        min: Self::MIN.0 as u64,
                        max: Self::MAX.0 as u64,
                    }),
                }
            }
        }
    };
}

ranged! {
    /// Largest IP packet of a network, in bytes. From 1280, below which a link may not carry IPv6
    /// (RFC 8200 section 5), to 65521, the most that the kernel allows on a TAP (65535 less the
    /// Ethernet header).
    Mtu(u32), "an MTU", 1280, 65_521, 1500
}
ranged! {
    /// Number of datapath worker threads; a TAP has one queue for each.
    Workers(usize), "a number of workers", 1, WORKERS_MAX, default_workers()
}
ranged! {
    /// Seconds until a learnt MAC address expires; upper bound and default are those of IEEE 802.1D, the lower
    /// bound is for tests.
    Ageing(u64), "an ageing time in seconds", 1, 1_000_000, AGEING_S
}
ranged! {
    /// Most MAC addresses that a network may learn.
    FdbLimit(usize), "a number of FDB entries", 16, FDB_SLOTS, FDB_ENTRIES_PER_NETWORK
}

ranged! {
    /// UDP port of VXLAN; the default is that of IANA (RFC 7348 section 5).
    VxlanPort(u16), "a UDP port", 1, u16::MAX, wire::vxlan::PORT
}

impl Ageing {
    /// As a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

/// One on up to three cores, then half of the cores up to four: the containers need the others.
fn default_workers() -> usize {
    match std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
        0..=3 => 1,
        cores => (cores / 2).min(4),
    }
}

/// Multicast mode: the receivers of a group's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Multicast {
    /// Listeners by IGMP and MLD.
    #[default]
    Snoop,
    /// All ports.
    Flood,
}

impl fmt::Display for Multicast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snoop => "snoop",
            Self::Flood => "flood",
        })
    }
}

impl FromStr for Multicast {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "snoop" => Ok(Self::Snoop),
            "flood" => Ok(Self::Flood),
            _ => Err(ValueError::Multicast(text.to_owned())),
        }
    }
}
