//! Addresses of a subnet: who has which.
//!
//! A pool hands out the next free address after the one that it handed out last (next-fit), or one that
//! is asked for. A released address is quarantined for [`ADDRESS_REUSE_DELAY`] before it is handed out to somebody who did not
//! ask for it: neighbours may still have the former owner's MAC address in their caches. Pure: time is
//! given to it.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::{Debug, Display};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::config::{Subnet4, Subnet6};

#[cfg(test)]
mod tests;

/// How long a released address rests. Neighbour caches check an entry after 15 to 45 s (RFC 4861
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

/// Why an address is not handed out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Somebody has it.
    #[error("address {0} is in use")]
    InUse(String),
    /// It belongs to another subnet.
    #[error("address {address} is outside the subnet {subnet}")]
    Outside {
        /// The address.
        address: String,
        /// The pool's subnet.
        subnet: String,
    },
    /// It belongs to the subnet, but is no container's.
    #[error("address {address} is the {what} of the subnet {subnet}")]
    Reserved {
        /// The address.
        address: String,
        /// What it is.
        what: &'static str,
        /// The pool's subnet.
        subnet: String,
    },
    /// There is none left.
    #[error(
        "the subnet {subnet} has no free address: {used} in use, {quarantined} released just now"
    )]
    Exhausted {
        /// The pool's subnet.
        subnet: String,
        /// Addresses in use.
        used: usize,
        /// Addresses that rest.
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
    /// Of an IPv4 subnet: all but network, gateway and broadcast address.
    pub(crate) fn v4(subnet: Subnet4) -> Self {
        let net = subnet.net();
        let broadcast = net.broadcast().to_number();
        let ends = (net.network().to_number(), broadcast, Some(broadcast));
        Self::new(subnet.to_string(), ends, subnet.gateway().to_number())
    }
}

impl Pool<Ipv6Addr> {
    /// Of an IPv6 subnet: all but the gateway and the routers' anycast address, which is the first
    /// (RFC 4291 section 2.6.1).
    pub(crate) fn v6(subnet: Subnet6) -> Self {
        let net = subnet.net();
        let ends = (net.network().to_number(), net.broadcast().to_number(), None);
        Self::new(subnet.to_string(), ends, subnet.gateway().to_number())
    }
}

impl<A: Address> Pool<A> {
    fn new(subnet: String, ends: (u128, u128, Option<u128>), gateway: u128) -> Self {
        let (network, end, broadcast) = ends;
        let first = gateway + 1;
        let last = broadcast.map_or(end, |broadcast| broadcast - 1);
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

    /// Hands out any address that is neither used nor resting.
    pub(crate) fn allocate(&mut self, now: Duration) -> Result<A, PoolError> {
        self.expire_quarantine(now);
        let quarantined: BTreeSet<u128> =
            self.quarantined.iter().map(|(number, _)| *number).collect();
        let mut candidate = self.next;
        // Each busy address is met once at most, so this is more than enough tries.
        for _ in 0..=self.used.len() + quarantined.len() {
            if !self.used.contains(&candidate) && !quarantined.contains(&candidate) {
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

    /// Hands out the address that is asked for, even if it is quarantined.
    pub(crate) fn allocate_exact(&mut self, address: A) -> Result<(), PoolError> {
        self.check(address)?;
        let number = address.to_number();
        if !self.used.insert(number) {
            return Err(PoolError::InUse(address.to_string()));
        }
        self.quarantined.retain(|(quarantined, _)| *quarantined != number);
        Ok(())
    }

    /// Takes back an address that somebody had.
    pub(crate) fn release(&mut self, address: A, now: Duration) {
        self.expire_quarantine(now);
        if self.used.remove(&address.to_number()) {
            self.quarantined.push_back((address.to_number(), now));
        }
    }

    /// Takes back an address that nobody got to use.
    pub(crate) fn release_unused(&mut self, address: A) {
        let number = address.to_number();
        if self.used.remove(&number) && self.next == self.after(number) {
            self.next = number;
        }
    }

    /// Where the search goes on: kept over a restart, so that addresses rest over it too.
    pub(crate) fn next(&self) -> A {
        A::from_number(self.next)
    }

    /// Goes on where a former pool stopped, if that lies in this subnet.
    pub(crate) fn resume_at(&mut self, next: A) {
        let number = next.to_number();
        if (self.first..=self.last).contains(&number) {
            self.next = number;
        }
    }

    fn check(&self, address: A) -> Result<(), PoolError> {
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

    /// Ends the rest of those that rested long enough.
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
