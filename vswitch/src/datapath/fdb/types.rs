//! Keys, rows and results of the forwarding database.

use std::time::Duration;

use wire::MacAddr;

use crate::datapath::{Destination, NetworkIndex};

/// Key of an entry: network, VLAN and MAC address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// MAC address in the upper 48 bits, VLAN id in the lower 12.
    pub(super) address: u64,
    pub(super) network: NetworkIndex,
}

impl Key {
    /// No address: the key of a frame that was not admitted.
    pub(in crate::datapath) const NONE: Self = Self { address: 0, network: NetworkIndex(0) };

    /// A key; `vlan` is 0 for untagged.
    #[inline]
    #[must_use]
    pub const fn new(network: NetworkIndex, vlan: u16, mac: MacAddr) -> Self {
        Self { address: mac.as_u64() << 16 | (vlan & 0xfff) as u64, network }
    }

    /// Whether the MAC address is a group's.
    #[inline]
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        self.address & 1 << 56 != 0
    }

    /// The MAC address.
    #[must_use]
    pub const fn mac(self) -> MacAddr {
        MacAddr::from_u64(self.address >> 16)
    }

    /// The VLAN id.
    #[must_use]
    pub const fn vlan(self) -> u16 {
        self.address as u16 & 0xfff
    }

    /// The network.
    #[must_use]
    pub const fn network(self) -> NetworkIndex {
        self.network
    }
}

/// The two buckets of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BucketPair {
    pub(super) first: u32,
    pub(super) second: u32,
}

impl BucketPair {
    #[inline]
    pub(super) const fn indices(self) -> [usize; 2] {
        [self.first as usize, self.second as usize]
    }

    /// A hash of the key that no sender can foresee.
    pub(in crate::datapath) const fn spread(self) -> usize {
        self.first as usize
    }
}

/// An address and its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Learnt {
    /// Which address.
    pub key: Key,
    /// Where it lives.
    pub destination: Destination,
}

/// Result of learning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing to change.
    Known,
    /// The entry was a second old or more.
    Refreshed,
    /// It was not there.
    New,
    /// It was on another port.
    Moved {
        /// The former one.
        from: Destination,
    },
    /// The entry is static.
    Static,
    /// Both buckets, or the network's quota, are full: not learnt.
    Full,
    /// The port is at its quota: not learnt.
    PortFull,
}

/// Entries that may be learnt, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdbQuota {
    /// In the network.
    pub network: usize,
    /// On the port.
    pub port: usize,
}

impl FdbQuota {
    /// As many as fit.
    pub const ALL: Self = Self { network: usize::MAX, port: usize::MAX };
}

/// A row as control shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FdbRow {
    /// Network.
    pub network: NetworkIndex,
    /// VLAN id, 0 for untagged.
    pub vlan: u16,
    /// MAC address.
    pub mac: MacAddr,
    /// Where it lives.
    pub destination: Destination,
    /// How long ago it was seen.
    pub age: Duration,
    /// Set by hand.
    pub is_static: bool,
}
