//! The 48-bit MAC address.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::str::FromStr;

use crate::limits::EXCERPT_MAX;

#[cfg(feature = "serde")]
mod serde;
#[cfg(test)]
mod tests;

/// A 48-bit IEEE 802 MAC address, in transmission order.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// `00:00:00:00:00:00`: unset, as in the target of an ARP request.
    pub const ZERO: Self = Self([0; 6]);

    /// The group bit is set; broadcast is a multicast address too.
    #[inline]
    pub const fn is_multicast(self) -> bool {
        self.0[0] & 0x01 != 0
    }

    /// All ones.
    #[inline]
    pub const fn is_broadcast(self) -> bool {
        self.as_u64() == 0xffff_ffff_ffff
    }

    /// A valid source: not a group address, and not zero.
    #[inline]
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && self.as_u64() != 0
    }

    /// Locally administered (U/L bit), as generated addresses are.
    #[inline]
    pub const fn is_local(self) -> bool {
        self.0[0] & 0x02 != 0
    }

    /// The address as a 48-bit number, first byte highest: a key for hashing.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }

    /// The inverse of [`as_u64`](Self::as_u64). The upper 16 bits are ignored.
    #[inline]
    pub const fn from_u64(value: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
        Self([a, b, c, d, e, f])
    }

    /// The group address of an IPv4 multicast address: `01:00:5e` and the low 23 bits (RFC 1112 section 6.4).
    pub const fn from_ipv4_multicast(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address of an IPv6 multicast address: `33:33` and the low 32 bits (RFC 2464 section 7).
    pub const fn from_ipv6_multicast(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<[u8; 6]> for MacAddr {
    fn from(octets: [u8; 6]) -> Self {
        Self(octets)
    }
}

/// Accepts `aa:bb:cc:dd:ee:ff` and `aa-bb-cc-dd-ee-ff`, either case, two digits a group.
impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |reason| ParseMacError { text: Excerpt::new(text), reason };
        let separator = if text.contains('-') { '-' } else { ':' };
        let groups = text.split(separator).count();
        if groups != 6 {
            return Err(fail(MacErrorReason::Groups(groups)));
        }
        let mut octets = [0; 6];
        for (i, (octet, group)) in octets.iter_mut().zip(text.split(separator)).enumerate() {
            // from_str_radix alone would take "+f".
            let digits = group.len() == 2 && group.bytes().all(|b| b.is_ascii_hexdigit());
            *octet = match u8::from_str_radix(group, 16) {
                Ok(octet) if digits => octet,
                _ => return Err(fail(MacErrorReason::Group(i + 1))),
            };
        }
        Ok(Self(octets))
    }
}

/// An error in a MAC address's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not a MAC address: {reason}; write it as 02:00:5e:10:00:01")]
pub struct ParseMacError {
    /// The text, shortened.
    pub text: Excerpt,
    /// The fault.
    pub reason: MacErrorReason,
}

/// A fault in a MAC address's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacErrorReason {
    /// The number of groups, not 6.
    #[error("it has {0} groups, not 6")]
    Groups(usize),
    /// The index, from 1, of a group that is not two hexadecimal digits.
    #[error("group {0} is not two hexadecimal digits")]
    Group(usize),
}

/// The start of an invalid text: at most [`EXCERPT_MAX`] bytes, without allocation. Displays quoted and
/// escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; EXCERPT_MAX],
    len: u8,
    cut: bool,
}

impl Excerpt {
    fn new(text: &str) -> Self {
        let mut end = text.len().min(EXCERPT_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let mut bytes = [0; EXCERPT_MAX];
        bytes[..end].copy_from_slice(&text.as_bytes()[..end]);
        Self { bytes, len: end as u8, cut: end < text.len() }
    }

    /// The text or its start.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{}", self.as_str(), if self.cut { "..." } else { "" })
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
