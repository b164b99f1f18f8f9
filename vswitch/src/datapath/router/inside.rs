//! Neighbours behind unguarded ports: which MAC address has an address there.
//!
//! A guarded port has one MAC address. Without the guard there may be others behind it: a macvlan, a bridge or a virtual
//! machine in the container, or hosts that the container routes for. A packet from outside goes to the MAC address
//! that was heard last with its address: as the source of a routed packet, or in an ARP or ND message. Where none was
//! heard for [`INSIDE_ASK_AFTER`], the router asks on the port, and sends to the last one, else to the port's own
//! MAC address, meanwhile: a container that forwards has all of them.
//!
//! The table is a cache: an address has its place in one of [`INSIDE_NEIGHBOURS_MAX`] / [`WAYS`] buckets. A new row in a
//! full bucket takes the oldest one of the port with most rows there, of its own port among equals. So a port
//! that invents addresses keeps its share, a frame costs [`WAYS`] comparisons at most, and a port's rows come from its own
//! frames alone: it cannot lead away the frames of others.
//!
//! Each worker has a table. The sources of packets are heard where they are translated; what ARP and ND say is told to all
//! workers, since any of them may have asked.

use std::cmp::Reverse;
use std::net::IpAddr;

use fastpath::{Nanos, PortIndex};
use wire::MacAddr;

use crate::datapath::limits::{
    INSIDE_ASK_AFTER, INSIDE_ASK_EVERY, INSIDE_NEIGHBOURS_MAX, INSIDE_TOLD_MAX,
};

/// Rows of a bucket.
const WAYS: usize = 8;

const BUCKETS: usize = INSIDE_NEIGHBOURS_MAX / WAYS;

/// An address behind a port.
type Inside = (PortIndex, IpAddr);

/// An address behind a port, with the MAC address and the time at which it was heard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeardInside {
    inside: Inside,
    mac: MacAddr,
    heard: Nanos,
}

impl HeardInside {
    pub(crate) fn port(&self) -> PortIndex {
        self.inside.0
    }
}

#[derive(Debug, Clone, Copy)]
struct Row {
    inside: Inside,
    /// `None`: asked for, not heard yet.
    mac: Option<MacAddr>,
    heard: Nanos,
    asked: Option<Nanos>,
}

/// The neighbours behind all unguarded ports, as this worker knows them.
#[derive(Debug)]
pub(super) struct InsideNeighbours {
    buckets: Vec<[Option<Row>; WAYS]>,
    /// For the other workers.
    told: Vec<HeardInside>,
}

impl InsideNeighbours {
    pub(super) fn new() -> Self {
        let told = Vec::with_capacity(INSIDE_TOLD_MAX);
        Self { buckets: vec![[None; WAYS]; BUCKETS], told }
    }

    /// Notes that an address was heard from a MAC address.
    pub(super) fn hear(&mut self, now: Nanos, inside: Inside, mac: MacAddr) {
        let row = self.row(now, inside);
        (row.mac, row.heard) = (Some(mac), now);
    }

    /// The same, and tells the other workers.
    pub(super) fn hear_and_tell(&mut self, now: Nanos, inside: Inside, mac: MacAddr) {
        self.hear(now, inside, mac);
        // Who asked for one that is left out asks again.
        if self.told.len() < INSIDE_TOLD_MAX {
            self.told.push(HeardInside { inside, mac, heard: now });
        }
    }

    /// What the other workers are to hear.
    pub(super) fn take_told(&mut self) -> impl Iterator<Item = HeardInside> + '_ {
        self.told.drain(..)
    }

    /// Notes what another worker has heard, unless this one has heard it later.
    pub(super) fn hear_from_other(&mut self, told: HeardInside) {
        let HeardInside { inside, mac, heard } = told;
        let row = self.row(heard, inside);
        if row.mac.is_none() || row.heard <= heard {
            (row.mac, row.heard) = (Some(mac), heard);
        }
    }

    /// Whether an address was heard from a port.
    pub(super) fn is_known(&self, inside: Inside) -> bool {
        let rows = self.buckets[bucket_of(inside)].iter().flatten();
        rows.into_iter().any(|row| row.inside == inside && row.mac.is_some())
    }

    /// The MAC address of an address, if it was heard, and whether to ask for it now.
    pub(super) fn find(&mut self, now: Nanos, inside: Inside) -> (Option<MacAddr>, bool) {
        let row = self.row(now, inside);
        let is_fresh = row.mac.is_some() && now - row.heard < INSIDE_ASK_AFTER;
        let asks = !is_fresh && row.asked.is_none_or(|asked| now - asked >= INSIDE_ASK_EVERY);
        if asks {
            row.asked = Some(now);
        }
        (row.mac, asks)
    }

    pub(super) fn forget_port(&mut self, port: PortIndex) {
        let rows = self.buckets.iter_mut().flatten();
        rows.for_each(|row| *row = row.filter(|row| row.inside.0 != port));
        self.told.retain(|told| told.inside.0 != port);
    }

    fn row(&mut self, now: Nanos, inside: Inside) -> &mut Row {
        let bucket = &mut self.buckets[bucket_of(inside)];
        let is_its = |row: &Option<Row>| row.is_some_and(|row| row.inside == inside);
        let at = bucket.iter().position(is_its).unwrap_or_else(|| {
            let at = place_in(bucket, inside.0);
            bucket[at] = None;
            at
        });
        bucket[at].get_or_insert(Row { inside, mac: None, heard: now, asked: None })
    }
}

/// Where a bucket takes a new row of a port.
fn place_in(bucket: &[Option<Row>; WAYS], port: PortIndex) -> usize {
    if let Some(free) = bucket.iter().position(Option::is_none) {
        return free;
    }
    let count = |of: PortIndex| {
        let own = bucket.iter().flatten().filter(|row| row.inside.0 == of).count();
        own + usize::from(of == port)
    };
    let rank = |row: &Row| (count(row.inside.0), row.inside.0 == port, Reverse(row.heard));
    let rows = bucket.iter().enumerate().filter_map(|(at, row)| Some((at, rank(row.as_ref()?))));
    rows.max_by_key(|&(_, rank)| rank).map_or(0, |(at, _)| at)
}

fn bucket_of((port, address): Inside) -> usize {
    let bits = match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64 ^ address.to_bits() as u64,
    };
    // Fibonacci hashing: whoever finds collisions has a share of the bucket all the same.
    let hash = (bits ^ (port.get() as u64) << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (hash >> 32) as usize % BUCKETS
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Nanos = Nanos(1_000_000_000_000);

    fn inside(port: u16, n: usize) -> Inside {
        (PortIndex(port), std::net::Ipv4Addr::from(0x0a00_0000 + n as u32).into())
    }

    fn mac(n: usize) -> MacAddr {
        MacAddr::from_u64(0x0200_0000_0000 + n as u64)
    }

    #[test]
    fn who_was_heard_last_has_the_address_and_is_asked_when_long_silent() {
        let mut known = InsideNeighbours::new();
        assert_eq!(known.find(NOW, inside(1, 1)), (None, true));
        assert_eq!(known.find(NOW, inside(1, 1)), (None, false), "asked just now");
        known.hear(NOW, inside(1, 1), mac(1));
        known.hear(NOW, inside(1, 1), mac(2));
        assert_eq!(known.find(NOW, inside(1, 1)), (Some(mac(2)), false));
        assert_eq!(known.find(NOW, inside(2, 1)).0, None, "of another port");
        let later = NOW.after(INSIDE_ASK_AFTER);
        assert_eq!(known.find(later, inside(1, 1)), (Some(mac(2)), true));
        assert_eq!(known.find(later, inside(1, 1)), (Some(mac(2)), false));
        known.forget_port(PortIndex(1));
        assert_eq!(known.find(later, inside(1, 1)), (None, true));
    }

    fn rows(known: &InsideNeighbours, port: u16) -> usize {
        let rows = known.buckets.iter().flatten().flatten();
        rows.filter(|row| row.inside.0 == PortIndex(port)).count()
    }

    #[test]
    fn a_port_that_invents_addresses_keeps_its_share() {
        let mut known = InsideNeighbours::new();
        known.hear(NOW, inside(9, 0), mac(9));
        for n in 0..8 * INSIDE_NEIGHBOURS_MAX {
            known.hear(NOW.after(std::time::Duration::from_nanos(n as u64)), inside(1, n), mac(n));
        }
        assert_eq!((rows(&known, 9), rows(&known, 1)), (1, INSIDE_NEIGHBOURS_MAX - 1));
        for n in 0..INSIDE_NEIGHBOURS_MAX / 4 {
            known.hear(NOW, inside(2, n), mac(n));
        }
        let others = rows(&known, 2);
        assert!(others > INSIDE_NEIGHBOURS_MAX / 5, "{others}");
        for n in 0..8 * INSIDE_NEIGHBOURS_MAX {
            known.hear(NOW.after(std::time::Duration::from_secs(1)), inside(1, n), mac(n));
        }
        assert_eq!(rows(&known, 2), others, "rows within the share of a port stay");
        assert_eq!(known.find(NOW, inside(9, 0)).0, Some(mac(9)));
    }

    #[test]
    fn other_workers_hear_what_is_told_unless_they_know_better() {
        let [mut known, mut other] = [InsideNeighbours::new(), InsideNeighbours::new()];
        known.hear(NOW, inside(1, 1), mac(1));
        known.hear_and_tell(NOW, inside(1, 2), mac(2));
        let told: Vec<_> = known.take_told().collect();
        assert_eq!(told.len(), 1);
        assert_eq!(other.find(NOW, inside(1, 2)), (None, true));
        other.hear_from_other(told[0]);
        assert_eq!(other.find(NOW, inside(1, 2)), (Some(mac(2)), false));
        other.hear(NOW.after(INSIDE_ASK_EVERY), inside(1, 2), mac(3));
        other.hear_from_other(told[0]);
        assert!(other.is_known(inside(1, 2)) && !other.is_known(inside(1, 1)));
        assert_eq!(other.find(NOW, inside(1, 2)).0, Some(mac(3)));
        for n in 0..2 * INSIDE_TOLD_MAX {
            known.hear_and_tell(NOW, inside(1, n), mac(n));
        }
        assert_eq!(known.take_told().count(), INSIDE_TOLD_MAX);
    }
}
