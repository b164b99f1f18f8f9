//! MAC addresses with a number each: open addressing, one word an entry.

use wire::MacAddr;

/// A vacant slot: no entry has all bits, since VTEPs lie below 0x8000.
const VACANT: u64 = u64::MAX;

/// Least number of slots.
const SLOTS_MIN: usize = 8;

/// A map from MAC addresses to numbers, at most half full. Nobody but control writes it, so the hash has no secret.
#[derive(Debug, Clone, Default)]
pub(in crate::datapath) struct MacTable {
    /// MAC address << 16 | number; a power of two of them, or none.
    slots: Vec<u64>,
    len: usize,
}

/// Spreads a MAC address (Fibonacci hashing); the highest bits are the best.
#[inline]
pub(super) const fn spread(mac: MacAddr) -> u64 {
    mac.as_u64().wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl MacTable {
    /// The first slot of an address. A shard has used the highest eight bits.
    #[inline]
    const fn first(&self, mac: MacAddr) -> usize {
        (spread(mac) >> 24) as usize & (self.slots.len() - 1)
    }

    /// The number of an address.
    #[inline]
    pub(in crate::datapath) fn get(&self, mac: MacAddr) -> Option<u16> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.first(mac);
        loop {
            let entry = self.slots[at];
            if entry >> 16 == mac.as_u64() && entry != VACANT {
                return Some(entry as u16);
            }
            if entry == VACANT {
                return None;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Prefetches what [`MacTable::get`] will read.
    #[inline]
    pub(super) fn prefetch(&self, mac: MacAddr) {
        if !self.slots.is_empty() {
            fastpath::prefetch(&self.slots[self.first(mac)]);
        }
    }

    /// Sets the number of an address, below 0x8000. Returns the former one.
    pub(in crate::datapath) fn insert(&mut self, mac: MacAddr, number: u16) -> Option<u16> {
        if 2 * (self.len + 1) > self.slots.len() {
            self.rebuild(None, 2 * self.slots.len());
        }
        let mut at = self.first(mac);
        while self.slots[at] != VACANT && self.slots[at] >> 16 != mac.as_u64() {
            at = (at + 1) & (self.slots.len() - 1);
        }
        let former = std::mem::replace(&mut self.slots[at], mac.as_u64() << 16 | u64::from(number));
        self.len += usize::from(former == VACANT);
        (former != VACANT).then_some(former as u16)
    }

    /// Removes an address.
    pub(super) fn remove(&mut self, mac: MacAddr) {
        if self.get(mac).is_some() {
            self.rebuild(Some(mac), self.slots.len());
        }
    }

    /// Addresses with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MacAddr, u16)> {
        let entries = self.slots.iter().filter(|&&entry| entry != VACANT);
        entries.map(|&entry| (MacAddr::from_u64(entry >> 16), entry as u16))
    }

    /// Number of addresses.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    fn rebuild(&mut self, without: Option<MacAddr>, slots: usize) {
        let former = std::mem::take(self);
        self.slots = vec![VACANT; slots.max(SLOTS_MIN)];
        for (mac, number) in former.iter().filter(|&(mac, _)| Some(mac) != without) {
            self.insert(mac, number);
        }
    }
}

/// Equal by what they hold, not by how they came to it.
impl PartialEq for MacTable {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().all(|(mac, number)| other.get(mac) == Some(number))
    }
}

impl FromIterator<MacAddr> for MacTable {
    fn from_iter<T: IntoIterator<Item = MacAddr>>(macs: T) -> Self {
        let mut table = Self::default();
        for mac in macs {
            table.insert(mac, 0);
        }
        table
    }
}
