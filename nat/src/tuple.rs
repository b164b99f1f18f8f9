//! Addresses and ports of a packet.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The transports that are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6 echo: the identifier counts as both ports (RFC 5508 section 3.1).
    Echo,
    /// SCTP.
    Sctp,
}

/// An address with its port, or with the identifier of an echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
}

impl Endpoint {
    /// An address with its port.
    #[must_use]
    pub const fn new(address: IpAddr, port: u16) -> Self {
        Self { address, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// A packet's addresses and ports. Both addresses are of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// The transport.
    pub transport: Transport,
    /// The source.
    pub src: Endpoint,
    /// The destination.
    pub dst: Endpoint,
}

impl Tuple {
    /// The tuple of the reply.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self { transport: self.transport, src: self.dst, dst: self.src }
    }
}
