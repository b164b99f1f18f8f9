//! Neighbours that ports requested, and how long each is refreshed.
//!
//! There are [`NEIGH_REFRESH_MAX`] in all and [`NEIGH_REFRESH_PER_PORT_MAX`] of one port: a port that scans evicts
//! its own. When the table is full, a port with few entries evicts one of the port with most.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use fastpath::PortIndex;

use crate::host::limits::{
    NEIGH_REFRESH_MAX, NEIGH_REFRESH_PER_PORT_MAX, NEIGH_REFRESH_ROUNDS_MAX,
};

/// A neighbour: the device that it is at, and its address.
pub(super) type Hop = (String, IpAddr);

/// A requested neighbour.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Port of the first request.
    port: PortIndex,
    /// Refreshes left.
    rounds: u32,
}

/// Requested neighbours.
#[derive(Debug, Default)]
pub(super) struct NeighRefresh(BTreeMap<Hop, Entry>);

impl NeighRefresh {
    /// Adds the request of a port; false when the table is full.
    pub(super) fn request(&mut self, hop: Hop, port: PortIndex) -> bool {
        if let Some(entry) = self.0.get_mut(&hop) {
            entry.rounds = NEIGH_REFRESH_ROUNDS_MAX;
            return true;
        }
        if !self.evict_for(port) {
            return false;
        }
        self.0.insert(hop, Entry { port, rounds: NEIGH_REFRESH_ROUNDS_MAX });
        true
    }

    /// Ends a round: removes entries without refreshes left.
    pub(super) fn age(&mut self) {
        self.0.retain(|_, entry| {
            entry.rounds = entry.rounds.saturating_sub(1);
            entry.rounds > 0
        });
    }

    pub(super) fn hops(&self) -> impl Iterator<Item = Hop> {
        self.0.keys().cloned()
    }

    /// Those with the latest requests, so many at most.
    pub(super) fn latest(&self, max: usize) -> Vec<Hop> {
        let mut latest: Vec<_> = self.0.iter().map(|(hop, it)| (it.rounds, hop.clone())).collect();
        latest.sort_unstable_by_key(|&(rounds, _)| std::cmp::Reverse(rounds));
        latest.into_iter().take(max).map(|(_, hop)| hop).collect()
    }

    fn evict_for(&mut self, port: PortIndex) -> bool {
        let mut counts: HashMap<PortIndex, usize> = HashMap::new();
        self.0.values().for_each(|entry| *counts.entry(entry.port).or_default() += 1);
        let own = counts.get(&port).copied().unwrap_or_default();
        let victim = if own >= NEIGH_REFRESH_PER_PORT_MAX {
            Some(port)
        } else if self.0.len() < NEIGH_REFRESH_MAX {
            return true;
        } else {
            let most = counts.into_iter().max_by_key(|&(port, count)| (count, port));
            most.filter(|&(_, count)| count > own + 1).map(|(port, _)| port)
        };
        // The victim's entry with the oldest request.
        let theirs = self.0.iter().filter(|(_, entry)| Some(entry.port) == victim);
        let oldest = theirs.min_by_key(|(_, entry)| entry.rounds).map(|(hop, _)| hop.clone());
        oldest.is_some_and(|hop| self.0.remove(&hop).is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: usize) -> Hop {
        ("eth0".into(), Ipv4Addr::from(0xc000_0200 + n as u32).into())
    }

    fn of(refresh: &NeighRefresh, port: u16) -> usize {
        refresh.0.values().filter(|entry| entry.port == PortIndex(port)).count()
    }

    #[test]
    fn who_scans_displaces_its_own() {
        let mut refresh = NeighRefresh::default();
        for n in 0..2 * NEIGH_REFRESH_PER_PORT_MAX {
            assert!(refresh.request(address(n), PortIndex(2)));
        }
        assert_eq!(of(&refresh, 2), NEIGH_REFRESH_PER_PORT_MAX);
        // An entry counts for the port of its first request.
        let last = address(2 * NEIGH_REFRESH_PER_PORT_MAX - 1);
        assert!(refresh.request(last, PortIndex(3)));
        assert_eq!(of(&refresh, 3), 0);
    }

    #[test]
    fn many_who_scan_leave_room_for_the_others() {
        let scanners = NEIGH_REFRESH_MAX / NEIGH_REFRESH_PER_PORT_MAX;
        let mut refresh = NeighRefresh::default();
        for n in 0..2 * NEIGH_REFRESH_MAX {
            refresh.request(address(n), PortIndex((n % scanners) as u16));
        }
        assert_eq!(refresh.0.len(), NEIGH_REFRESH_MAX);
        for n in 0..10 {
            assert!(refresh.request(address(100_000 + n), PortIndex(50)), "{n}");
        }
        assert_eq!((of(&refresh, 50), refresh.0.len()), (10, NEIGH_REFRESH_MAX));
        for _ in 0..NEIGH_REFRESH_ROUNDS_MAX {
            refresh.age();
        }
        assert_eq!(refresh.hops().count(), 0);
    }
}
