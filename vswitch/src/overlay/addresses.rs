//! Addresses of own blocks: which are given out.
//!
//! A block's owner gives out addresses from its beginning, next-fit; whoever borrows from another's block takes them from
//! its end, so that the two seldom meet. A released address rests for
//! [`ADDRESS_REUSE_DELAY`](super::limits::ADDRESS_REUSE_DELAY).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use vswitch_registry::record::{BLOCK_ADDRESSES, Network};

use super::limits::ADDRESS_REUSE_DELAY;
use super::local::LocalKey;

/// Reserved and resting addresses.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    reserved: BTreeSet<LocalKey>,
    /// Addresses that are not given out before a time.
    resting: BTreeMap<LocalKey, Duration>,
    /// Where the search goes on, by network and block.
    next: BTreeMap<(String, IpNet), u32>,
}

impl Addresses {
    pub(crate) fn reserve(&mut self, key: LocalKey) {
        self.resting.remove(&key);
        self.reserved.insert(key);
    }

    /// Takes a reservation back that nobody has used.
    pub(crate) fn cancel(&mut self, key: &LocalKey) {
        self.reserved.remove(key);
    }

    pub(crate) fn release(&mut self, network: String, address: IpAddr, now: Duration) {
        let key = (network, address);
        if self.reserved.remove(&key) {
            self.rest(key, now);
        }
    }

    /// A network is gone: its addresses are nobody's.
    pub(crate) fn forget_network(&mut self, network: &str) {
        self.reserved.retain(|(name, _)| name != network);
        self.resting.retain(|(name, _), _| name != network);
        self.next.retain(|(name, _), _| name != network);
    }

    /// The registry says that another node has an address.
    pub(crate) fn taken(&mut self, network: String, address: IpAddr, now: Duration) {
        let key = (network, address);
        self.reserved.remove(&key);
        self.rest(key, now);
    }

    fn rest(&mut self, key: LocalKey, now: Duration) {
        self.resting.retain(|_, until| *until > now);
        self.resting.insert(key, now + ADDRESS_REUSE_DELAY);
    }

    pub(crate) fn is_reserved(&self, key: &LocalKey) -> bool {
        self.reserved.contains(key)
    }

    /// A free address of a block within a subnet. Borrowed ones come from the block's end.
    pub(crate) fn find(
        &mut self,
        network: &Network,
        subnet: IpNet,
        block: IpNet,
        is_borrowed: bool,
        now: Duration,
        is_taken: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        let slot = (network.name.clone(), block);
        let start = if is_borrowed { 0 } else { self.next.get(&slot).copied().unwrap_or(0) };
        let nth = |n: u32| match is_borrowed {
            true => BLOCK_ADDRESSES - 1 - n,
            false => (start + n) % BLOCK_ADDRESSES,
        };
        let found = (0..BLOCK_ADDRESSES).map(nth).find(|n| {
            let address = address_at(block, *n);
            let key = (network.name.clone(), address);
            subnet.contains(&address)
                && unusable(network, address).is_none()
                && !self.reserved.contains(&key)
                && self.resting.get(&key).is_none_or(|until| *until <= now)
                && !is_taken(address)
        })?;
        if !is_borrowed {
            self.next.insert(slot, (found + 1) % BLOCK_ADDRESSES);
        }
        Some(address_at(block, found))
    }
}

fn address_at(block: IpNet, n: u32) -> IpAddr {
    match block.network() {
        IpAddr::V4(base) => Ipv4Addr::from_bits(base.to_bits() | n).into(),
        IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits() | u128::from(n)).into(),
    }
}

/// The gateway of a network's subnet: the option `gateway` of the network where it lies in the subnet, else the first
/// host address. It is the same on every node.
#[must_use]
pub fn gateway_of(network: &Network, subnet: IpNet) -> IpAddr {
    let options = ["gateway", "gateway6"].iter().filter_map(|name| network.options.get(*name));
    let addresses = options.filter_map(|text| text.parse::<IpAddr>().ok());
    let mut chosen = addresses.filter(|address| subnet.contains(address));
    chosen.next().unwrap_or_else(|| match subnet.network() {
        IpAddr::V4(base) => Ipv4Addr::from_bits(base.to_bits() | 1).into(),
        IpAddr::V6(base) => Ipv6Addr::from_bits(base.to_bits() | 1).into(),
    })
}

/// Why no endpoint can have an address of a network.
pub(crate) fn unusable(network: &Network, address: IpAddr) -> Option<&'static str> {
    let subnet = network.subnets.iter().find(|subnet| subnet.contains(&address));
    match subnet {
        None => Some("it is in none of the network's subnets"),
        Some(subnet) if gateway_of(network, *subnet) == address => Some("it is the gateway"),
        // RFC 4291, 2.6.1: the routers' anycast address.
        Some(subnet) if subnet.network() == address => Some("it is the subnet's own"),
        Some(IpNet::V4(subnet)) if IpAddr::V4(subnet.broadcast()) == address => {
            Some("it is the broadcast address")
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
