//! Endpoints on other nodes by MAC address and by IP address.
//!
//! The table is a part of the snapshot, so a change publishes a new one. It is divided into shards by hash;
//! a change copies one shard, and the others are shared with the table before.

use std::net::IpAddr;
use std::sync::Arc;

use wire::MacAddr;

use super::super::destination::VtepIndex;

#[cfg(test)]
mod tests;

/// Shards: 100,000 endpoints make 400 a shard.
const SHARDS: usize = 256;

/// An endpoint on another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote {
    /// Its MAC address.
    pub mac: MacAddr,
    /// The node's VTEP.
    pub vtep: VtepIndex,
}

/// Endpoints on other nodes. Clones share all shards.
#[derive(Debug, Clone, Default)]
pub struct RemoteTable {
    by_mac: Shards<u64, VtepIndex>,
    by_ip: Shards<u128, MacAddr>,
}

/// Entries of one shard, sorted by key.
type Shard<K, V> = Arc<Vec<(K, V)>>;

/// A map of [`SHARDS`] shards.
#[derive(Debug, Clone)]
struct Shards<K, V>(Arc<[Shard<K, V>]>);

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let none = Arc::new(Vec::new());
        Self((0..SHARDS).map(|_| Arc::clone(&none)).collect())
    }
}

trait Hashed: Copy + Ord {
    fn shard(self) -> usize;
}

/// Multiplies and takes the highest bits (Fibonacci hashing): the table has no keys of strangers, since only
/// control writes it.
impl Hashed for u64 {
    #[inline]
    fn shard(self) -> usize {
        (self.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
    }
}

impl Hashed for u128 {
    #[inline]
    fn shard(self) -> usize {
        ((self >> 64) as u64 ^ self as u64).shard()
    }
}

impl<K: Hashed, V: Copy> Shards<K, V> {
    #[inline]
    fn get(&self, key: K) -> Option<V> {
        let shard = &self.0[key.shard()];
        let at = shard.binary_search_by_key(&key, |&(key, _)| key).ok()?;
        Some(shard[at].1)
    }

    fn insert(&mut self, key: K, value: V) -> Option<V> {
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.0)[key.shard()]);
        match shard.binary_search_by_key(&key, |&(key, _)| key) {
            Ok(at) => Some(std::mem::replace(&mut shard[at].1, value)),
            Err(at) => {
                shard.insert(at, (key, value));
                None
            }
        }
    }

    fn remove(&mut self, key: K) -> Option<V> {
        let at = self.0[key.shard()].binary_search_by_key(&key, |&(key, _)| key).ok()?;
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.0)[key.shard()]);
        Some(shard.remove(at).1)
    }

    fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.0.iter().flat_map(|shard| shard.iter().copied())
    }

    /// Whether both are the same, which shards in common say at once.
    fn is(&self, other: &Self) -> bool
    where
        V: PartialEq,
    {
        self.0.iter().zip(&*other.0).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
    }
}

impl RemoteTable {
    /// The VTEP of the node that has a MAC address.
    #[inline]
    #[must_use]
    pub fn by_mac(&self, mac: MacAddr) -> Option<VtepIndex> {
        self.by_mac.get(mac.as_u64())
    }

    /// The MAC address of an endpoint.
    #[inline]
    #[must_use]
    pub fn by_ip(&self, ip: IpAddr) -> Option<MacAddr> {
        self.by_ip.get(ip_key(ip))
    }

    /// Adds an endpoint, or moves it to another VTEP.
    pub fn insert(&mut self, remote: Remote) {
        self.by_mac.insert(remote.mac.as_u64(), remote.vtep);
    }

    /// Adds an address of an endpoint, or gives it to another one.
    pub fn insert_ip(&mut self, ip: IpAddr, mac: MacAddr) {
        self.by_ip.insert(ip_key(ip), mac);
    }

    /// Removes an endpoint; its addresses are removed by [`RemoteTable::remove_ip`].
    pub fn remove(&mut self, mac: MacAddr) {
        self.by_mac.remove(mac.as_u64());
    }

    /// Removes an address.
    pub fn remove_ip(&mut self, ip: IpAddr) {
        self.by_ip.remove(ip_key(ip));
    }

    /// All endpoints.
    pub fn iter(&self) -> impl Iterator<Item = Remote> {
        self.by_mac.iter().map(|(mac, vtep)| Remote { mac: MacAddr::from_u64(mac), vtep })
    }
}

impl PartialEq for RemoteTable {
    fn eq(&self, other: &Self) -> bool {
        self.by_mac.is(&other.by_mac) && self.by_ip.is(&other.by_ip)
    }
}

impl Eq for RemoteTable {}

#[inline]
fn ip_key(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}
