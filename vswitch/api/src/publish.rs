//! Published ports: DNAT from ports of the host to ports of a container.
//!
//! The text form is that of Docker's `-p`: `[ADDRESS:]HOST[-HOST]:CONTAINER[-CONTAINER]`, then `/tcp`,
//! `/udp` or `/sctp`; or the container's ports alone. Without host ports (`80`, `127.0.0.1::80`, `0:80`) the
//! switch picks free ones. Both ranges have one length. Without an address the ports are published at all
//! addresses of the host; `0.0.0.0` means all IPv4 addresses, `[::]` all IPv6 ones.

mod prefix;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use prefix::{Prefix, PrefixError};

/// The text form, for errors.
const FORM: &str = "[ADDRESS:]HOST[-HOST]:CONTAINER[-CONTAINER][/tcp|udp|sctp], such as 8080:80";

/// Text that is no publication.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be published: {problem}; write {FORM}")]
pub struct PortSpecError {
    text: String,
    problem: String,
}

/// Transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A range of ports: at least one, none of them zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// `count` ports from `first` on; `None` if they do not fit.
    #[must_use]
    pub fn from(first: u16, count: u32) -> Option<Self> {
        let last = u32::from(first).checked_add(count.checked_sub(1)?)?;
        (first > 0).then_some(Self { first, last: u16::try_from(last).ok()? })
    }

    /// The first port.
    #[must_use]
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The last port.
    #[must_use]
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Number of ports.
    #[must_use]
    pub fn count(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// True if the ranges have a port in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Ports of the host and the ports of the container that they lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortSpec {
    address: Option<IpAddr>,
    host: Option<PortRange>,
    container: PortRange,
    protocol: Protocol,
}

impl PortSpec {
    /// Address of the host; `None` for all. The unspecified address means all of its family.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Ports of the host; `None` if the switch is to pick them.
    #[must_use]
    pub const fn host(&self) -> Option<PortRange> {
        self.host
    }

    /// Ports of the container.
    #[must_use]
    pub const fn container(&self) -> PortRange {
        self.container
    }

    /// Transport protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The same with the host's ports from `first` on; `None` if they do not fit.
    #[must_use]
    pub fn at(&self, first: u16) -> Option<Self> {
        let host = PortRange::from(first, self.container.count())?;
        Some(Self { host: Some(host), ..*self })
    }

    /// True if both claim one port of the host. Ports that are not picked yet never conflict.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        let (Some(own), Some(others)) = (self.host, other.host) else { return false };
        self.protocol == other.protocol
            && own.overlaps(others)
            && addresses_meet(self.address, other.address)
    }

    /// True if this selects `published`, for `unpublish`: a missing host port matches any.
    #[must_use]
    pub fn matches(&self, published: &Self) -> bool {
        self.address == published.address
            && self.container == published.container
            && self.protocol == published.protocol
            && (self.host.is_none() || self.host == published.host)
    }
}

/// True if an address belongs to both; `None` is every address.
fn addresses_meet(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    let one_family = one.is_ipv4() == other.is_ipv4();
    one == other || (one_family && (one.is_unspecified() || other.is_unspecified()))
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            Some(IpAddr::V4(address)) => write!(f, "{address}:")?,
            Some(IpAddr::V6(address)) => write!(f, "[{address}]:")?,
            None => {}
        }
        match self.host {
            Some(host) => write!(f, "{host}:")?,
            None => f.write_str("0:")?,
        }
        write!(f, "{}/{}", self.container, self.protocol)
    }
}

impl FromStr for PortSpec {
    type Err = PortSpecError;

    fn from_str(text: &str) -> Result<Self, PortSpecError> {
        parse(text).map_err(|problem| PortSpecError { text: text.to_owned(), problem })
    }
}

fn parse(text: &str) -> Result<PortSpec, String> {
    let (rest, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((rest, protocol)) => (rest, parse_protocol(protocol)?),
    };
    let (address, rest) = split_address(rest)?;
    let (host, container) = match rest.split_once(':') {
        Some((host, container)) => (host, container),
        None if address.is_some() => {
            return Err(
                "after an address, both the host's and the container's port are needed".into()
            );
        }
        None => ("", rest),
    };
    let container = parse_range(container, "container")?;
    let host = match host {
        "" | "0" => None,
        ports => Some(parse_range(ports, "host")?),
    };
    match host {
        Some(host) if host.count() != container.count() => Err(format!(
            "{host} has {} ports of the host, and {container} has {} of the container: both need one \
             length",
            host.count(),
            container.count()
        )),
        _ => Ok(PortSpec { address, host, container, protocol }),
    }
}

fn parse_protocol(text: &str) -> Result<Protocol, String> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "sctp" => Ok(Protocol::Sctp),
        _ => Err(format!("{text:?} is none of the protocols tcp, udp and sctp")),
    }
}

/// The address, if there is one, and the text after its colon.
fn split_address(text: &str) -> Result<(Option<IpAddr>, &str), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        let address = address.parse().map_err(|_| format!("{address:?} is no IPv6 address"))?;
        let rest = rest.strip_prefix(':').ok_or("a colon is needed after the bracket")?;
        return Ok((Some(IpAddr::V6(address)), rest));
    }
    match text.split(':').count() {
        0..=2 => Ok((None, text)),
        3 => {
            let (address, rest) = text.split_once(':').unwrap_or((text, ""));
            let address = address.parse().map_err(|_| format!("{address:?} is no IPv4 address"))?;
            Ok((Some(IpAddr::V4(address)), rest))
        }
        _ => Err("an IPv6 address is written in brackets, as in [::1]:8080:80".into()),
    }
}

fn parse_range(text: &str, whose: &str) -> Result<PortRange, String> {
    let port = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{text:?} is no port of the {whose}: those go from 1 to 65535")),
    };
    let (first, last) = match text.split_once('-') {
        None => (port(text)?, port(text)?),
        Some((first, last)) => (port(first)?, port(last)?),
    };
    if first > last {
        return Err(format!("the range {text} ends before it begins"));
    }
    Ok(PortRange { first, last })
}

crate::words::text_in_json! { PortSpec }

/// A publication, in requests and responses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// The ports.
    pub ports: PortSpec,
    /// Sources that may connect; all if empty. The host itself always may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_from: Vec<Prefix>,
}

/// Selects a publication to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PublicationKey {
    /// Ports as requested, or as shown.
    pub ports: PortSpec,
}

#[cfg(test)]
mod tests;
