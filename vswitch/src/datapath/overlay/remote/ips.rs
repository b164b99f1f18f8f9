//! A map from IP addresses in sorted shards, of which clones share those that did not change.

use std::net::IpAddr;
use std::sync::Arc;

/// Shards of the map.
const SHARDS: usize = 256;

/// Entries of one shard, sorted by address: IPv4 as `::ffff:a.b.c.d`.
type Shard<V> = Arc<Vec<(u128, V)>>;

/// A map from IP addresses.
#[derive(Debug, Clone)]
pub(in crate::datapath::overlay) struct IpTable<V>(Arc<[Shard<V>]>);

impl<V> Default for IpTable<V> {
    fn default() -> Self {
        let none = Arc::new(Vec::new());
        Self((0..SHARDS).map(|_| Arc::clone(&none)).collect())
    }
}

impl<V: Copy> IpTable<V> {
    /// The value of an address.
    #[inline]
    pub(in crate::datapath::overlay) fn get(&self, ip: IpAddr) -> Option<V> {
        let key = key(ip);
        let shard = &self.0[shard(key)];
        let at = shard.binary_search_by_key(&key, |&(key, _)| key).ok()?;
        Some(shard[at].1)
    }

    /// Sets the value of an address; returns the former one.
    pub(in crate::datapath::overlay) fn insert(&mut self, ip: IpAddr, value: V) -> Option<V> {
        let key = key(ip);
        let shard = Arc::make_mut(&mut Arc::make_mut(&mut self.0)[shard(key)]);
        match shard.binary_search_by_key(&key, |&(key, _)| key) {
            Ok(at) => Some(std::mem::replace(&mut shard[at].1, value)),
            Err(at) => {
                shard.insert(at, (key, value));
                None
            }
        }
    }

    /// Removes an address.
    pub(super) fn remove(&mut self, ip: IpAddr) {
        let key = key(ip);
        if let Ok(at) = self.0[shard(key)].binary_search_by_key(&key, |&(key, _)| key) {
            Arc::make_mut(&mut Arc::make_mut(&mut self.0)[shard(key)]).remove(at);
        }
    }
}

/// Shards in common are equal at once.
impl<V: PartialEq> PartialEq for IpTable<V> {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().zip(&*other.0).all(|(a, b)| Arc::ptr_eq(a, b) || a == b)
    }
}

impl<V: Eq> Eq for IpTable<V> {}

#[inline]
fn key(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// Multiplies and takes the highest bits (Fibonacci hashing): the table has no keys of strangers, since only
/// control writes it.
#[inline]
const fn shard(key: u128) -> usize {
    let word = (key >> 64) as u64 ^ key as u64;
    (word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as usize
}
