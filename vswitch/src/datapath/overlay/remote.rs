//! Endpoints on other nodes by MAC address and by IP address.
//!
//! The table is a part of the snapshot, so a change publishes a new one. It is divided into shards by hash;
//! a change copies one shard, and the others are shared with the table before. Each frame looks a MAC address up: one
//! word an entry, in one cache line as a rule, however many endpoints there are.

use std::net::IpAddr;
use std::sync::Arc;

use wire::MacAddr;

use crate::datapath::destination::VtepIndex;

pub(super) use ips::IpTable;
pub(in crate::datapath) use macs::MacTable;

mod ips;
mod macs;
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
#[derive(Debug, Clone)]
pub struct RemoteTable {
    by_mac: Arc<[Arc<MacTable>]>,
    by_ip: IpTable<MacAddr>,
}

impl Default for RemoteTable {
    fn default() -> Self {
        let none = Arc::new(MacTable::default());
        let by_mac = (0..SHARDS).map(|_| Arc::clone(&none)).collect();
        Self { by_mac, by_ip: IpTable::default() }
    }
}

impl RemoteTable {
    #[inline]
    fn shard(&self, mac: MacAddr) -> &MacTable {
        &self.by_mac[shard(mac)]
    }

    fn shard_mut(&mut self, mac: MacAddr) -> &mut MacTable {
        Arc::make_mut(&mut Arc::make_mut(&mut self.by_mac)[shard(mac)])
    }

    /// The VTEP of the node that has a MAC address.
    #[inline]
    #[must_use]
    pub fn by_mac(&self, mac: MacAddr) -> Option<VtepIndex> {
        self.shard(mac).get(mac).map(VtepIndex)
    }

    /// Prefetches what [`RemoteTable::by_mac`] will read.
    #[inline]
    pub(in crate::datapath) fn prefetch(&self, mac: MacAddr) {
        self.shard(mac).prefetch(mac);
    }

    /// The MAC address of an endpoint.
    #[inline]
    #[must_use]
    pub fn by_ip(&self, ip: IpAddr) -> Option<MacAddr> {
        self.by_ip.get(ip)
    }

    /// Adds an endpoint, or moves it to another VTEP.
    pub fn insert(&mut self, remote: Remote) {
        self.shard_mut(remote.mac).insert(remote.mac, remote.vtep.0 & !VtepIndex::MAX);
    }

    /// Adds an address of an endpoint, or gives it to another one.
    pub fn insert_ip(&mut self, ip: IpAddr, mac: MacAddr) {
        self.by_ip.insert(ip, mac);
    }

    /// Removes an endpoint; its addresses are removed by [`RemoteTable::remove_ip`].
    pub fn remove(&mut self, mac: MacAddr) {
        if self.by_mac(mac).is_some() {
            self.shard_mut(mac).remove(mac);
        }
    }

    /// Removes an address.
    pub fn remove_ip(&mut self, ip: IpAddr) {
        self.by_ip.remove(ip);
    }

    /// All endpoints.
    pub fn iter(&self) -> impl Iterator<Item = Remote> {
        let entries = self.by_mac.iter().flat_map(|shard| shard.iter());
        entries.map(|(mac, vtep)| Remote { mac, vtep: VtepIndex(vtep) })
    }

    /// Number of endpoints.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_mac.iter().map(|shard| shard.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Shards in common are equal at once.
impl PartialEq for RemoteTable {
    fn eq(&self, other: &Self) -> bool {
        let mut shards = self.by_mac.iter().zip(&*other.by_mac);
        shards.all(|(a, b)| Arc::ptr_eq(a, b) || a == b) && self.by_ip == other.by_ip
    }
}

impl Eq for RemoteTable {}

#[inline]
const fn shard(mac: MacAddr) -> usize {
    (macs::spread(mac) >> 56) as usize
}
