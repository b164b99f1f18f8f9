//! Where metrics are served over TCP.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use super::types::ValueError;

/// An address and a port, not 0. A port alone means loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsAddr(SocketAddr);

impl MetricsAddr {
    /// The address.
    #[must_use]
    pub const fn get(self) -> SocketAddr {
        self.0
    }
}

impl fmt::Display for MetricsAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for MetricsAddr {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let port = text.strip_prefix(':').unwrap_or(text);
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        let address = match port.parse() {
            Ok(port) if is_port => Some((Ipv4Addr::LOCALHOST, port).into()),
            _ => text.parse::<SocketAddr>().ok(),
        };
        match address {
            Some(address) if address.port() != 0 => Ok(Self(address)),
            _ => Err(ValueError::Metrics(text.to_owned())),
        }
    }
}
