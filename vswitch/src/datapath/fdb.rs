//! The forwarding database: (network, VLAN, MAC address) -> destination.
//!
//! # Theory of operation
//!
//! Two-choice hashing into buckets of four: a bucket is one cache line, a lookup touches two at most.
//! The hash is keyed with a secret, so that nobody can choose addresses that collide.
//!
//! An entry carries the second in which it was last seen. Once it is older than its network's ageing
//! time, lookups ignore it; the sweep removes it later, a few buckets at a time.
//!
//! Where both buckets of a new address are full, an entry of the port with most entries is evicted, if
//! that is the newcomer's port or one with more: so a flooder evicts itself. A static entry evicts any
//! learnt one. Static entries never age, move or get evicted.
//!
//! A port at its quota learns nothing new, nor takes an address from another port. A network at its quota
//! learns only by evicting an entry of its own.
//!
//! Limits: [`FDB_SLOTS`], and the quotas of network and port ([`FdbQuota`]).

mod bucket;
mod export;
#[cfg(test)]
mod tests;
mod types;

use std::time::Duration;

use self::bucket::{Bucket, Entry};
pub use self::export::FdbImportError;
pub use self::types::{BucketPair, FdbQuota, FdbRow, Key, Learnt, Outcome};
use super::limits::{FDB_SLOTS, SWEEP_BUCKETS};
use super::{Destination, NetworkIndex, Snapshot};
use fastpath::PortIndex;
use vswitch_counters::FdbCounters;

/// One worker's forwarding database.
#[derive(Debug)]
pub struct Fdb {
    buckets: Vec<Bucket>,
    secrets: [u64; 2],
    len: usize,
    /// Static entries that were set; some may have been forgotten with their port.
    statics: usize,
    per_network: Vec<usize>,
    per_destination: Vec<usize>,
    cursor: usize,
    counters: FdbCounters,
}

impl Fdb {
    /// An empty table whose hash is keyed with `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            buckets: vec![Bucket::default(); FDB_SLOTS / Bucket::SLOTS],
            secrets: [spread(seed), spread(!seed) | 1],
            len: 0,
            statics: 0,
            per_network: Vec::new(),
            per_destination: Vec::new(),
            cursor: 0,
            counters: FdbCounters::default(),
        }
    }

    /// Entries, including static and aged ones.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Entries of each network, by its index.
    #[must_use]
    pub fn entries_per_network(&self) -> &[usize] {
        &self.per_network
    }

    /// Counters of entries evicted, and of static entries without a place.
    #[must_use]
    pub fn counters(&self) -> FdbCounters {
        self.counters
    }

    /// Buckets of a key; prefetches the first.
    #[inline]
    #[must_use]
    pub fn buckets_of(&self, key: Key) -> BucketPair {
        let pair = self.hash(key);
        fastpath::prefetch(&self.buckets[pair.first as usize]);
        pair
    }

    /// Destination of an address that was seen within the last `ageing_s` seconds.
    #[must_use]
    pub fn lookup(&self, key: Key, now_s: u32, ageing_s: u32) -> Option<Destination> {
        self.lookup_at(self.hash(key), key, now_s, ageing_s)
    }

    /// [`Fdb::lookup`] of a key whose buckets are known.
    #[inline]
    #[must_use]
    pub fn lookup_at(
        &self,
        pair: BucketPair,
        key: Key,
        now_s: u32,
        ageing_s: u32,
    ) -> Option<Destination> {
        let [first, second] = pair.indices();
        let found = self.buckets[first].find(key).or_else(|| self.buckets[second].find(key))?;
        found.is_fresh(now_s, ageing_s).then_some(found.destination)
    }

    /// Learns the destination of an address.
    pub fn learn(&mut self, learnt: Learnt, now_s: u32, ageing_s: u32, quota: FdbQuota) -> Outcome {
        self.learn_at(self.hash(learnt.key), learnt, now_s, ageing_s, quota)
    }

    /// [`Fdb::learn`] of a key whose buckets are known.
    #[inline]
    pub fn learn_at(
        &mut self,
        pair: BucketPair,
        learnt: Learnt,
        now_s: u32,
        ageing_s: u32,
        quota: FdbQuota,
    ) -> Outcome {
        for bucket in pair.indices() {
            if let Some(entry) = self.buckets[bucket].find(learnt.key) {
                if entry.destination == learnt.destination && entry.seen_s == now_s {
                    return Outcome::Known;
                }
                return self.renew(bucket, entry, learnt, now_s, quota.port);
            }
        }
        self.insert(pair.indices(), learnt, now_s, ageing_s, quota)
    }

    /// Learns an entry that another worker saw at `seen_s`, if the snapshot has its destination and the
    /// table nothing newer.
    pub fn learn_in(&mut self, snapshot: &Snapshot, learnt: Learnt, seen_s: u32) {
        let network = learnt.key.network;
        let Some(conf) =
            snapshot.network(network).filter(|_| snapshot.leads_to(learnt.destination, learnt.key))
        else {
            return;
        };
        let pair = self.hash(learnt.key);
        let known = pair.indices().into_iter().find_map(|b| self.buckets[b].find(learnt.key));
        if known.is_none_or(|entry| entry.seen_s <= seen_s) {
            let port = snapshot.macs_max(learnt.destination);
            let quota = FdbQuota { network: conf.conf.fdb_entries_max, port };
            self.learn_at(pair, learnt, seen_s, conf.ageing_s, quota);
        }
    }

    /// Removes all entries of a port, including static ones.
    pub fn forget_port(&mut self, port: PortIndex) {
        self.forget_destination(port.into());
    }

    /// Removes all entries of a port or VTEP, including static ones.
    pub fn forget_destination(&mut self, destination: Destination) {
        if self.entries_of(destination) > 0 {
            self.remove_where(0..self.buckets.len(), |entry| entry.destination == destination);
        }
    }

    /// Removes the learnt entries of a port.
    pub fn forget_learnt(&mut self, port: PortIndex) {
        let destination = port.into();
        if self.entries_of(destination) > 0 {
            let gone = |entry: &Entry| entry.destination == destination && !entry.is_static();
            self.remove_where(0..self.buckets.len(), gone);
        }
    }

    /// Removes aged entries from the next few buckets.
    pub fn sweep(&mut self, now_s: u32, snapshot: &Snapshot) {
        let start = self.cursor;
        let end = (start + SWEEP_BUCKETS).min(self.buckets.len());
        self.cursor = if end == self.buckets.len() { 0 } else { end };
        self.remove_where(start..end, |entry| {
            let ageing_s = snapshot.network(entry.key.network).map_or(0, |n| n.ageing_s);
            !entry.is_fresh(now_s, ageing_s)
        });
    }

    /// Replaces the static entries by those of a snapshot. False: some found no room.
    pub fn set_statics(&mut self, snapshot: &Snapshot) -> bool {
        let full_before = self.counters.fdb_statics_full;
        if self.statics > 0 {
            self.remove_where(0..self.buckets.len(), |entry| entry.is_static());
            self.statics = 0;
        }
        for (index, network) in snapshot.networks() {
            for set in &network.conf.statics {
                let key = Key::new(index, set.vlan, set.mac);
                let learnt = Learnt { key, destination: set.port.into() };
                match self.learn(learnt, Entry::STATIC, u32::MAX, FdbQuota::ALL) {
                    Outcome::Full => self.counters.fdb_statics_full += 1,
                    _ => self.statics += 1,
                }
            }
        }
        self.counters.fdb_statics_full == full_before
    }

    /// All entries that have not aged.
    #[must_use]
    pub fn rows(&self, now_s: u32, snapshot: &Snapshot) -> Vec<FdbRow> {
        let entries = self.buckets.iter().flat_map(Bucket::entries);
        let fresh = entries.filter(|entry| {
            let network = snapshot.network(entry.key.network);
            network.is_some_and(|network| entry.is_fresh(now_s, network.ageing_s))
        });
        fresh
            .map(|entry| FdbRow {
                network: entry.key.network,
                vlan: entry.key.vlan(),
                mac: entry.key.mac(),
                destination: entry.destination,
                age: Duration::from_secs(entry.age_s(now_s).into()),
                is_static: entry.is_static(),
            })
            .collect()
    }

    #[inline]
    fn hash(&self, key: Key) -> BucketPair {
        // Multiply and fold with a secret in each factor, so that nobody can choose colliding addresses.
        let [first, second] = self.secrets;
        let product =
            u128::from(key.address ^ first) * u128::from(second ^ u64::from(key.network.0) << 1);
        let hash = (product >> 64) as u64 ^ product as u64;
        let mask = self.buckets.len() - 1;
        BucketPair {
            first: (hash as usize & mask) as u32,
            second: ((hash >> 32) as usize & mask) as u32,
        }
    }

    /// Refreshes or moves an entry.
    fn renew(
        &mut self,
        bucket: usize,
        entry: Entry,
        learnt: Learnt,
        now_s: u32,
        port_max: usize,
    ) -> Outcome {
        if entry.is_static() && now_s != Entry::STATIC {
            return Outcome::Static;
        }
        if entry.destination != learnt.destination
            && self.entries_of(learnt.destination) >= port_max
        {
            return Outcome::PortFull;
        }
        self.buckets[bucket].update(learnt.key, learnt.destination, now_s);
        if entry.destination == learnt.destination {
            return Outcome::Refreshed;
        }
        self.count_destination(entry.destination, -1);
        self.count_destination(learnt.destination, 1);
        Outcome::Moved { from: entry.destination }
    }

    #[inline(never)]
    fn insert(
        &mut self,
        buckets: [usize; 2],
        learnt: Learnt,
        now_s: u32,
        ageing_s: u32,
        quota: FdbQuota,
    ) -> Outcome {
        if self.entries_of(learnt.destination) >= quota.port {
            return Outcome::PortFull;
        }
        let network = learnt.key.network;
        let used = self.per_network.get(usize::from(network.0)).copied().unwrap_or(0);
        let vacancy = if used >= quota.network {
            self.victim(buckets, learnt.destination, now_s, ageing_s, Some(network))
        } else {
            self.vacancy(buckets, learnt.destination, now_s, ageing_s)
        };
        let Some((bucket, slot)) = vacancy else { return Outcome::Full };
        if let Some(gone) = self.buckets[bucket].take(slot) {
            self.counters.fdb_evictions += 1;
            self.count(gone, -1);
        }
        let entry = Entry { key: learnt.key, destination: learnt.destination, seen_s: now_s };
        self.buckets[bucket].put(slot, entry);
        self.count(entry, 1);
        Outcome::New
    }

    /// An empty slot, or one whose entry may be evicted.
    fn vacancy(
        &self,
        buckets: [usize; 2],
        destination: Destination,
        now_s: u32,
        ageing_s: u32,
    ) -> Option<(usize, usize)> {
        let free = |bucket: usize| self.buckets[bucket].entries().count() < Bucket::SLOTS;
        let emptier = buckets.into_iter().min_by_key(|&b| self.buckets[b].entries().count());
        if let Some(bucket) = emptier.filter(|&bucket| free(bucket)) {
            return self.buckets[bucket].free_slot().map(|slot| (bucket, slot));
        }
        self.victim(buckets, destination, now_s, ageing_s, None)
    }

    /// An entry that may be evicted, of network `only` if there is one.
    fn victim(
        &self,
        buckets: [usize; 2],
        destination: Destination,
        now_s: u32,
        ageing_s: u32,
        only: Option<NetworkIndex>,
    ) -> Option<(usize, usize)> {
        let own = self.entries_of(destination);
        let candidates = buckets.into_iter().flat_map(|bucket| {
            let slots = (0..Bucket::SLOTS).filter_map(move |slot| {
                self.buckets[bucket].at(slot).map(|entry| (bucket, slot, entry))
            });
            slots.filter(move |(_, _, entry)| {
                !entry.is_static() && only.is_none_or(|network| entry.key.network == network)
            })
        });
        // An aged entry goes first, then the oldest one of the port that holds most.
        let (bucket, slot, victim) = candidates.max_by_key(|(_, _, entry)| {
            let aged = !entry.is_fresh(now_s, ageing_s);
            (aged, self.entries_of(entry.destination), entry.age_s(now_s))
        })?;
        let may_go = now_s == Entry::STATIC
            || !victim.is_fresh(now_s, ageing_s)
            || victim.destination == destination
            || self.entries_of(victim.destination) > own;
        may_go.then_some((bucket, slot))
    }

    /// Entries of a destination, including static and aged ones.
    #[must_use]
    pub fn entries_of(&self, destination: Destination) -> usize {
        self.per_destination.get(destination.row()).copied().unwrap_or(0)
    }

    fn remove_where(&mut self, range: std::ops::Range<usize>, gone: impl Fn(&Entry) -> bool) {
        for index in range {
            for slot in 0..Bucket::SLOTS {
                let bucket = &mut self.buckets[index];
                if bucket.at(slot).is_some_and(|entry| gone(&entry))
                    && let Some(entry) = bucket.take(slot)
                {
                    self.count(entry, -1);
                }
            }
        }
    }

    fn count(&mut self, entry: Entry, by: isize) {
        self.len = self.len.wrapping_add_signed(by);
        let network = usize::from(entry.key.network.0);
        if self.per_network.len() <= network {
            self.per_network.resize(network + 1, 0);
        }
        self.per_network[network] = self.per_network[network].wrapping_add_signed(by);
        self.count_destination(entry.destination, by);
    }

    fn count_destination(&mut self, destination: Destination, by: isize) {
        let row = destination.row();
        if self.per_destination.len() <= row {
            self.per_destination.resize(row + 1, 0);
        }
        self.per_destination[row] = self.per_destination[row].wrapping_add_signed(by);
    }
}

/// Spreads a seed over all bits (the finalizer of SplitMix64).
const fn spread(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
