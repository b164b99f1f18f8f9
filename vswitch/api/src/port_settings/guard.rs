//! Source guard of a port: the addresses that its container may send from.
//!
//! The guard is on by default. The container then sends from its own MAC and IP addresses, in ARP and
//! neighbour discovery too, and is neither router nor DHCP server. A list narrows the guard to some of the
//! port's addresses; other addresses, such as those behind a bridge in the container, need it off.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Text that is no guard setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is neither `on`, `off`, nor some of the port's addresses with commas between them")]
pub struct GuardError(String);

/// Source guard. As text: `on`, `off`, or addresses with commas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Guard {
    /// All addresses of the port, and no others.
    #[default]
    On,
    /// Any address.
    Off,
    /// Some addresses of the port, and no others. At least one.
    Only(Vec<IpAddr>),
}

impl Guard {
    /// Addresses of [`Guard::Only`].
    #[must_use]
    pub fn named(&self) -> &[IpAddr] {
        match self {
            Self::On | Self::Off => &[],
            Self::Only(addresses) => addresses,
        }
    }

    /// True if the container may send from `own`, an address of its port.
    #[must_use]
    pub fn allows(&self, own: IpAddr) -> bool {
        match self {
            Self::On | Self::Off => true,
            Self::Only(addresses) => addresses.contains(&own),
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::On => f.write_str("on"),
            Self::Off => f.write_str("off"),
            Self::Only(addresses) => {
                let texts: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                f.write_str(&texts.join(","))
            }
        }
    }
}

impl FromStr for Guard {
    type Err = GuardError;

    fn from_str(text: &str) -> Result<Self, GuardError> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => {
                let addresses = text.split(',').map(|address| address.trim().parse());
                let addresses: Result<Vec<_>, _> = addresses.collect();
                addresses.map(Self::Only).map_err(|_| GuardError(format!("{text:?}")))
            }
        }
    }
}

crate::words::text_in_json! { Guard }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_there_and_back() {
        for text in ["on", "off", "10.99.0.2", "10.99.0.2,fd00::2"] {
            let guard: Guard = text.parse().unwrap();
            assert_eq!(guard.to_string(), text);
            let json = serde_json::to_value(&guard).unwrap();
            assert_eq!(serde_json::from_value::<Guard>(json).unwrap(), guard);
        }
        for text in ["", "yes", "10.99.0", "10.99.0.2,", "10.99.0.0/16"] {
            let error = text.parse::<Guard>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn narrowed_it_allows_what_it_names() {
        let guard: Guard = "10.99.0.2".parse().unwrap();
        assert!(guard.allows("10.99.0.2".parse().unwrap()));
        assert!(!guard.allows("fd00::2".parse().unwrap()));
        assert!(Guard::On.allows("fd00::2".parse().unwrap()));
        assert!(Guard::On.named().is_empty() && guard.named().len() == 1);
    }
}
