//! The DNS service and its upstream servers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::types::ValueError;

/// Port of a server that is given without one.
const PORT: u16 = 53;

/// Who answers for names that are none of ours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Dns {
    /// The host's servers.
    #[default]
    Host,
    /// These servers.
    Servers(Vec<DnsServer>),
    /// There is no DNS service.
    Off,
}

impl fmt::Display for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::Off => f.write_str("off"),
            Self::Servers(servers) => {
                let servers: Vec<_> = servers.iter().map(DnsServer::to_string).collect();
                f.write_str(&servers.join(","))
            }
        }
    }
}

impl FromStr for Dns {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "host" => Ok(Self::Host),
            "off" => Ok(Self::Off),
            servers => {
                let servers = servers.split(',').map(|server| server.trim().parse());
                Ok(Self::Servers(servers.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// An upstream server: an address, and a port if that is not 53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsServer(SocketAddr);

impl DnsServer {
    /// The address.
    #[must_use]
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for DnsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.port() {
            PORT => self.0.ip().fmt(f),
            _ => self.0.fmt(f),
        }
    }
}

impl FromStr for DnsServer {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let address = text.parse::<IpAddr>().map(|address| (address, PORT).into());
        match address.or_else(|_| text.parse::<SocketAddr>()) {
            Ok(address) if address.port() != 0 && !address.ip().is_unspecified() => {
                Ok(Self(address))
            }
            _ => Err(ValueError::DnsServer(text.to_owned())),
        }
    }
}
