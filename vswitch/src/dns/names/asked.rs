//! Types of questions.

use std::net::IpAddr;

/// The type of records that a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// The name of an address.
    Ptr,
    /// Everything that there is.
    Any,
    /// A type that names of ours never have.
    Other,
}

impl Asked {
    /// Whether IPv4 addresses answer it.
    pub(super) fn is_ipv4(self) -> bool {
        matches!(self, Self::A | Self::Any)
    }

    /// Whether IPv6 addresses answer it.
    pub(super) fn is_ipv6(self) -> bool {
        matches!(self, Self::Aaaa | Self::Any)
    }

    /// Whether an address answers it.
    pub(super) fn has(self, address: &IpAddr) -> bool {
        if address.is_ipv4() { self.is_ipv4() } else { self.is_ipv6() }
    }
}
