//! Hosts on the uplink's link that packets go to directly: which of them are in use.
//!
//! The kernel does not count frames that nftables forwards as use of a neighbour. So control hears of each one in use
//! once in [`ON_LINK_USE_S`], and has the kernel ask whether it is still there. Gateways need no such list: control
//! knows them by their routes.
//!
//! The table is a cache of [`ON_LINK_USES`] slots. Addresses that share a slot are told more often, which the
//! resolver bounds.

use std::net::IpAddr;

use fastpath::Nanos;

use crate::datapath::limits::{ON_LINK_USE_S, ON_LINK_USES};

/// Addresses that were used lately, as hashes with the time.
#[derive(Debug)]
pub(super) struct OnLinkUses([u64; ON_LINK_USES]);

impl OnLinkUses {
    pub(super) const fn new() -> Self {
        Self([0; ON_LINK_USES])
    }

    /// Notes a use; true for the first one in a while.
    #[inline]
    pub(super) fn note(&mut self, now: Nanos, address: IpAddr) -> bool {
        // Fibonacci hashing. Addresses of one slot replace each other, and are told more often.
        let bits = match address {
            IpAddr::V4(address) => u64::from(address.to_bits()),
            IpAddr::V6(address) => (address.to_bits() >> 64) as u64 ^ address.to_bits() as u64,
        };
        let period = u64::from(now.seconds() / ON_LINK_USE_S) + 1;
        let hash = bits.wrapping_add(period << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let slot = (bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % ON_LINK_USES;
        std::mem::replace(&mut self.0[slot], hash) != hash
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_host_in_use_is_told_once_in_a_period() {
        let (now, mut uses) = (Nanos(1_600_000_000_000), OnLinkUses::new());
        let v4 = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
        let v6: IpAddr = "2001:db8::7".parse().unwrap();
        for address in [v4, v6] {
            assert!(uses.note(now, address));
            assert!(!uses.note(now.after(Duration::from_secs(1)), address));
            let later = now.after(Duration::from_secs(u64::from(ON_LINK_USE_S)));
            assert!(uses.note(later, address));
            assert!(!uses.note(later, address));
        }
    }
}
