//! Pools of addresses.
//!
//! A pool allocates the next free address after the last one (next-fit), or a requested one. A released
//! address is quarantined for [`ADDRESS_REUSE_DELAY`], unless a request names it: neighbours may still cache
//! the former owner's MAC address. Pure: time is an argument.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::{Debug, Display};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::config::{Subnet4, Subnet6};

#[cfg(test)]
mod tests;

/// Quarantine of a released address. Neighbour caches check an entry after 15 to 45 s (RFC 4861
/// section 10, and Linux for ARP).
pub(crate) const ADDRESS_REUSE_DELAY: Duration = Duration::from_secs(45);

/// An address as a number.
pub(crate) trait Address: Copy + Eq + Display + Debug {
    fn to_number(self) -> u128;
    /// The inverse; of a number that is too large, the lower bits.
    fn from_number(number: u128) -> Self;
}

impl Address for Ipv4Addr {
    fn to_number(self) -> u128 {
        self.to_bits().into()
    }

    fn from_number(number: u128) -> Self {
        Self::from_bits((number & u128::from(u32::MAX)) as u32)
    }
}

impl Address for Ipv6Addr {
    fn to_number(self) -> u128 {
        self.to_bits()
    }

    fn from_number(number: u128) -> Self {
        Self::from_bits(number)
    }
}

/// An error of a pool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// The address is allocated.
    #[error("address {0} is in use")]
    InUse(String),
    /// The address belongs to another subnet.
    #[error("address {address} is outside the subnet {subnet}")]
    Outside {
        /// The address.
        address: String,
        /// The pool's subnet.
        subnet: String,
    },
    /// The address has another use in the subnet.
    #[error("address {address} is the {what} of the subnet {subnet}")]
    Reserved {
        /// The address.
        address: String,
        /// Its use.
        what: &'static str,
        /// The pool's subnet.
        subnet: String,
    },
    /// No address is free.
    #[error(
        "the subnet {subnet} has no free address: {used} in use, {quarantined} released just now"
    )]
    Exhausted {
        /// The pool's subnet.
        subnet: String,
        /// Addresses in use.
        used: usize,
        /// Addresses in quarantine.
        quarantined: usize,
    },
}

/// The addresses of one subnet.
#[derive(Debug, Clone)]
pub(crate) struct Pool<A> {
    subnet: String,
    network: u128,
    broadcast: Option<u128>,
    end: u128,
    gateway: u128,
    first: u128,
    last: u128,
    next: u128,
    used: BTreeSet<u128>,
    quarantined: VecDeque<(u128, Duration)>,
    kind: std::marker::PhantomData<A>,
}

impl Pool<Ipv4Addr> {
    /// The pool of an IPv4 subnet: all but network, gateway and broadcast address. Addresses that nobody
    /// asks for come from the range.
    pub(crate) fn v4(subnet: Subnet4, gateway: Ipv4Addr, range: Option<Ipv4Net>) -> Self {
        let net = subnet.net();
        let broadcast = net.broadcast().to_number();
        let ends = (net.network().to_number(), broadcast, Some(broadcast));
        let range = range.map(|range| (range.network().to_number(), range.broadcast().to_number()));
        Self::new(subnet.to_string(), ends, gateway.to_number(), range)
    }
}

impl Pool<Ipv6Addr> {
    /// The pool of an IPv6 subnet: all but the gateway and the first address, the routers' anycast address
    /// (RFC 4291 section 2.6.1). Addresses that nobody asks for come from the range.
    pub(crate) fn v6(subnet: Subnet6, gateway: Ipv6Addr, range: Option<Ipv6Net>) -> Self {
        let net = subnet.net();
        let ends = (net.network().to_number(), net.broadcast().to_number(), None);
        let range = range.map(|range| (range.network().to_number(), range.broadcast().to_number()));
        Self::new(subnet.to_string(), ends, gateway.to_number(), range)
    }
}

impl<A: Address> Pool<A> {
    fn new(
        subnet: String,
        ends: (u128, u128, Option<u128>),
        gateway: u128,
        range: Option<(u128, u128)>,
    ) -> Self {
        let (network, end, broadcast) = ends;
        let last = broadcast.map_or(end, |broadcast| broadcast - 1);
        let (range_first, range_last) = range.unwrap_or((network, end));
        let (mut first, mut last) = ((network + 1).max(range_first), last.min(range_last));
        // The search skips a gateway in the middle.
        first += u128::from(first == gateway);
        last -= u128::from(last == gateway);
        Self {
            subnet,
            network,
            broadcast,
            end,
            gateway,
            first,
            last,
            next: first,
            used: BTreeSet::new(),
            quarantined: VecDeque::new(),
            kind: std::marker::PhantomData,
        }
    }

    /// Whether it has no address to choose.
    pub(crate) fn is_empty(&self) -> bool {
        self.first > self.last
    }

    /// Allocates any address that is neither used nor in quarantine.
    pub(crate) fn allocate(&mut self, now: Duration) -> Result<A, PoolError> {
        self.expire_quarantine(now);
        let quarantined: BTreeSet<u128> =
            self.quarantined.iter().map(|(number, _)| *number).collect();
        let mut candidate = self.next;
        // The loop meets each busy address once at most.
        for _ in 0..=self.used.len() + quarantined.len() + 1 {
            let is_busy = candidate == self.gateway
                || self.used.contains(&candidate)
                || quarantined.contains(&candidate);
            if !is_busy && self.first <= self.last {
                self.used.insert(candidate);
                self.next = self.after(candidate);
                return Ok(A::from_number(candidate));
            }
            candidate = self.after(candidate);
        }
        Err(PoolError::Exhausted {
            subnet: self.subnet.clone(),
            used: self.used.len(),
            quarantined: quarantined.len(),
        })
    }

    /// Allocates the requested address, even from quarantine.
    pub(crate) fn allocate_exact(&mut self, address: A) -> Result<(), PoolError> {
        self.check(address)?;
        let number = address.to_number();
        if !self.used.insert(number) {
            return Err(PoolError::InUse(address.to_string()));
        }
        self.quarantined.retain(|(quarantined, _)| *quarantined != number);
        Ok(())
    }

    /// Releases an address into quarantine.
    pub(crate) fn release(&mut self, address: A, now: Duration) {
        self.expire_quarantine(now);
        if self.used.remove(&address.to_number()) {
            self.quarantined.push_back((address.to_number(), now));
        }
    }

    /// Releases an address that no frame carried.
    pub(crate) fn release_unused(&mut self, address: A) {
        let number = address.to_number();
        if self.used.remove(&number) && self.next == self.after(number) {
            self.next = number;
        }
    }

    /// The cursor of the search; kept over a restart, so that quarantine survives it.
    pub(crate) fn next(&self) -> A {
        A::from_number(self.next)
    }

    /// Sets the cursor of a former pool, if it lies in this subnet.
    pub(crate) fn resume_at(&mut self, next: A) {
        let number = next.to_number();
        if (self.first..=self.last).contains(&number) {
            self.next = number;
        }
    }

    /// Refuses an address that it can never allocate.
    pub(crate) fn check(&self, address: A) -> Result<(), PoolError> {
        let number = address.to_number();
        let subnet = self.subnet.clone();
        if !(self.network..=self.end).contains(&number) {
            return Err(PoolError::Outside { address: address.to_string(), subnet });
        }
        let what = if number == self.network {
            "network address"
        } else if number == self.gateway {
            "gateway"
        } else if Some(number) == self.broadcast {
            "broadcast address"
        } else {
            return Ok(());
        };
        Err(PoolError::Reserved { address: address.to_string(), what, subnet })
    }

    fn after(&self, number: u128) -> u128 {
        if number >= self.last { self.first } else { number + 1 }
    }

    /// Ends elapsed quarantines.
    fn expire_quarantine(&mut self, now: Duration) {
        while self
            .quarantined
            .front()
            .is_some_and(|(_, since)| now.saturating_sub(*since) >= ADDRESS_REUSE_DELAY)
        {
            self.quarantined.pop_front();
        }
    }
}
