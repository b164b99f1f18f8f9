//! Addresses of both families in 16 bytes: IPv4 as IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2).
//! A mapped address in a packet becomes the unspecified address, so that the two never collide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Address {
    pub(crate) high: u64,
    pub(crate) low: u64,
}

/// Prefix of a mapped IPv4 address, in the lower half.
const MAPPED: u64 = 0xffff;

impl Address {
    #[inline]
    pub(crate) const fn is_v4(self) -> bool {
        self.high == 0 && self.low >> 32 == MAPPED
    }

    #[inline]
    pub(crate) fn ip(self) -> IpAddr {
        if self.is_v4() {
            IpAddr::V4(Ipv4Addr::from_bits(self.low as u32))
        } else {
            IpAddr::V6(Ipv6Addr::from_bits(u128::from(self.high) << 64 | u128::from(self.low)))
        }
    }
}

impl From<IpAddr> for Address {
    #[inline]
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self { high: 0, low: MAPPED << 32 | u64::from(ip.to_bits()) },
            IpAddr::V6(ip) => {
                let bits = ip.to_bits();
                let address = Self { high: (bits >> 64) as u64, low: bits as u64 };
                if address.is_v4() { Self::default() } else { address }
            }
        }
    }
}

/// A valid source address of one host (RFC 1122 section 3.2.1.3, RFC 6890).
pub(crate) fn may_send(ip: IpAddr) -> bool {
    let is_bound_to_link = matches!(ip, IpAddr::V4(ip) if ip.is_link_local());
    may_receive(ip) && !is_bound_to_link && !is_reserved(ip)
}

/// A unicast address that a router forwards to.
pub(crate) fn may_receive(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            !ip.is_loopback() && !ip.is_multicast() && !ip.is_broadcast() && ip.octets()[0] != 0
        }
        IpAddr::V6(ip) => {
            !ip.is_loopback()
                && !ip.is_multicast()
                && !ip.is_unspecified()
                && !ip.is_unicast_link_local()
                && ip.to_ipv4_mapped().is_none()
        }
    }
}

/// 240.0.0.0/4, reserved.
fn is_reserved(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] >= 240)
}
