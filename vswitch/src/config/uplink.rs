//! Egress of containers: uplink and SNAT source ports.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::glob::Glob;
use super::types::{IfName, ValueError};
use crate::datapath::limits::UPLINKS_MAX;

/// Fewest SNAT source ports.
const SNAT_PORTS_MIN: u16 = 64;

/// Lowest SNAT source port; those below are for services (RFC 6335 section 6).
const SNAT_FIRST_MIN: u16 = 1024;

/// Egress of containers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Uplink {
    /// All devices of the host that lead out, with NAT in user space.
    #[default]
    Auto,
    /// These devices, with NAT in user space.
    Devices(Vec<IfName>),
    /// The kernel's routing, with NAT in nftables.
    Kernel,
    /// None: the network is internal to this host.
    None,
}

impl Uplink {
    /// Whether the switch itself translates.
    #[must_use]
    pub const fn is_user_space(&self) -> bool {
        matches!(self, Self::Auto | Self::Devices(_))
    }
}

impl fmt::Display for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Devices(names) => write_list(names, f),
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
            devices => {
                let names = devices.split(',').map(|name| name.trim().parse());
                let names: Vec<IfName> = names
                    .collect::<Result<_, _>>()
                    .map_err(|_| ValueError::Uplink(text.to_owned()))?;
                let is_twice = (1..names.len()).any(|at| names[..at].contains(&names[at]));
                let is_word = |name: &IfName| WORDS.contains(&name.as_str());
                if is_twice || names.iter().any(is_word) || names.len() > UPLINKS_MAX {
                    return Err(ValueError::Uplink(text.to_owned()));
                }
                Ok(Self::Devices(names))
            }
        }
    }
}

/// Words that are no names of devices among others.
const WORDS: [&str; 3] = ["auto", "kernel", "none"];

/// Devices that are no uplinks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UplinkExclude(Vec<Glob>);

impl UplinkExclude {
    /// The patterns of their names.
    #[must_use]
    pub fn globs(&self) -> &[Glob] {
        &self.0
    }
}

/// Patterns from several options.
impl FromIterator<Glob> for UplinkExclude {
    fn from_iter<T: IntoIterator<Item = Glob>>(globs: T) -> Self {
        Self(globs.into_iter().collect())
    }
}

impl fmt::Display for UplinkExclude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(&self.0, f)
    }
}

impl FromStr for UplinkExclude {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let globs = text.split(',').map(|glob| glob.trim().parse());
        Ok(Self(globs.collect::<Result<_, _>>()?))
    }
}

fn write_list<T: fmt::Display>(items: &[T], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
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
