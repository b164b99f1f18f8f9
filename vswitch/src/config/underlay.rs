//! The underlay of overlay networks: the host's address on it, and the node's name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::types::{NODE_NAME_LEN_MAX, ValueError};

/// The host's address that other nodes send to: unicast, and of a scope that needs no interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Underlay(IpAddr);

impl Underlay {
    /// The address.
    #[must_use]
    pub const fn get(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for Underlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Underlay {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let refuse = |reason| ValueError::Underlay { text: text.to_owned(), reason };
        let address: IpAddr = text.parse().map_err(|_| {
            refuse("write an address of this host, such as 192.0.2.1 or 2001:db8::1")
        })?;
        let address = address.to_canonical();
        match not_unicast(address) {
            Some(reason) => Err(refuse(reason)),
            None => Ok(Self(address)),
        }
    }
}

/// The UDP checksum of the outer header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VxlanChecksum {
    /// Computed; over IPv6 datagrams without one are not taken (RFC 6936).
    #[default]
    On,
    /// Zero, and taken in any case.
    Off,
}

impl fmt::Display for VxlanChecksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::On => "on",
            Self::Off => "off",
        })
    }
}

impl FromStr for VxlanChecksum {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(ValueError::VxlanChecksum(text.to_owned())),
        }
    }
}

/// Why no VTEP can have an address, where it cannot.
pub(crate) fn not_unicast(address: IpAddr) -> Option<&'static str> {
    let is_broadcast = address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
    match address {
        _ if address.is_unspecified() => Some("it stands for all addresses"),
        _ if address.is_multicast() || is_broadcast => Some("it is not unicast"),
        IpAddr::V6(address) if address.is_unicast_link_local() => {
            Some("it is link-local, so that it names no host without an interface")
        }
        _ => None,
    }
}

/// Name of a node: letters, digits, `-`, `.` and `_`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeName(String);

impl NodeName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NodeName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let begins = text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
        match begins && text.len() <= NODE_NAME_LEN_MAX && text.bytes().all(is_word) {
            true => Ok(Self(text.to_owned())),
            false => Err(ValueError::NodeName(text.to_owned())),
        }
    }
}
