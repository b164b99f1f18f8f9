//! Egress of containers: uplink and SNAT source ports.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::types::{IfName, ValueError};

/// Fewest SNAT source ports.
const SNAT_PORTS_MIN: u16 = 64;

/// Lowest SNAT source port; those below are for services (RFC 6335 section 6).
const SNAT_FIRST_MIN: u16 = 1024;

/// Egress of containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Uplink {
    /// The device of the default route, with NAT in user space.
    #[default]
    Auto,
    /// This device, with NAT in user space.
    Device(IfName),
    /// The kernel's routing, with NAT in nftables.
    Kernel,
    /// None: the network is internal to this host.
    None,
}

impl Uplink {
    /// Whether the switch itself translates.
    #[must_use]
    pub const fn is_user_space(&self) -> bool {
        matches!(self, Self::Auto | Self::Device(_))
    }
}

impl fmt::Display for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Device(name) => name.fmt(f),
            Self::Kernel => f.write_str("kernel"),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Uplink {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "auto" => Ok(Self::Auto),
            "kernel" => Ok(Self::Kernel),
            "none" => Ok(Self::None),
            device => match device.parse() {
                Ok(name) => Ok(Self::Device(name)),
                Err(_) => Err(ValueError::Uplink(text.to_owned())),
            },
        }
    }
}

/// SNAT source ports, and identifiers of echo requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnatPorts(RangeInclusive<u16>);

impl SnatPorts {
    /// The ports.
    #[must_use]
    pub fn range(&self) -> RangeInclusive<u16> {
        self.0.clone()
    }
}

/// 20000-29999, below the ephemeral ports of the host and Kubernetes' NodePorts (30000-32767).
impl Default for SnatPorts {
    fn default() -> Self {
        Self(20_000..=29_999)
    }
}

impl fmt::Display for SnatPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

impl FromStr for SnatPorts {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let refuse = || ValueError::SnatPorts {
            text: text.to_owned(),
            fewest: SNAT_PORTS_MIN,
            first: SNAT_FIRST_MIN,
        };
        let (first, last) = text.split_once('-').ok_or_else(refuse)?;
        let port = |text: &str| text.trim().parse::<u16>().map_err(|_| refuse());
        let (first, last) = (port(first)?, port(last)?);
        if first < SNAT_FIRST_MIN || last < first || last - first < SNAT_PORTS_MIN - 1 {
            return Err(refuse());
        }
        Ok(Self(first..=last))
    }
}
