//! Neighbours behind unguarded ports: which MAC address has an address there.
//!
//! A guarded port has one MAC address. Without the guard there may be others behind it: a macvlan, a bridge or a virtual
//! machine in the container, or hosts that the container routes for. A packet from outside goes to the MAC address
//! that was heard last with its address: as the source of a routed packet, or in an ARP or ND message. Where none was
//! heard for [`INSIDE_ASK_AFTER`], the router asks on the port, and sends to the last one, else to the port's own
//! MAC address, meanwhile: a container that forwards has all of them.
//!
//! Limits: [`INSIDE_NEIGHBOURS_MAX`] rows, [`INSIDE_NEIGHBOURS_PER_PORT_MAX`] of one port, whose oldest row goes when
//! it hears more; a full table evicts the oldest of the port with most. A port's rows come from its own frames
//! alone, so it cannot lead away the frames of others.

use std::collections::HashMap;
use std::net::IpAddr;

use fastpath::{Nanos, PortIndex};
use wire::MacAddr;

use super::occupancy::PortOccupancy;
use crate::datapath::limits::{
    INSIDE_ASK_AFTER, INSIDE_ASK_EVERY, INSIDE_NEIGHBOURS_MAX, INSIDE_NEIGHBOURS_PER_PORT_MAX,
};

/// An address behind a port.
type Inside = (PortIndex, IpAddr);

#[derive(Debug, Clone, Copy)]
struct Row {
    /// `None`: asked for, not heard yet.
    mac: Option<MacAddr>,
    heard: Nanos,
    asked: Option<Nanos>,
}

/// The neighbours behind all unguarded ports that this worker translates for.
#[derive(Debug)]
pub(super) struct InsideNeighbours {
    rows: HashMap<Inside, Row>,
    occupancy: PortOccupancy,
}

impl InsideNeighbours {
    pub(super) fn new() -> Self {
        Self {
            rows: HashMap::with_capacity(INSIDE_NEIGHBOURS_MAX + 1),
            occupancy: PortOccupancy::new(INSIDE_NEIGHBOURS_MAX),
        }
    }

    /// Notes that an address was heard from a MAC address.
    pub(super) fn hear(&mut self, now: Nanos, inside: Inside, mac: MacAddr) {
        let row = self.row(now, inside);
        (row.mac, row.heard) = (Some(mac), now);
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
        let occupancy = &mut self.occupancy;
        self.rows.retain(|(at, _), _| {
            if *at == port {
                occupancy.remove(port);
            }
            *at != port
        });
    }

    fn row(&mut self, now: Nanos, inside: Inside) -> &mut Row {
        if !self.rows.contains_key(&inside) {
            self.evict_for(inside.0);
            self.occupancy.add(inside.0);
        }
        self.rows.entry(inside).or_insert(Row { mac: None, heard: now, asked: None })
    }

    fn evict_for(&mut self, port: PortIndex) {
        let victim = if self.occupancy.count(port) >= INSIDE_NEIGHBOURS_PER_PORT_MAX {
            port
        } else if self.rows.len() >= INSIDE_NEIGHBOURS_MAX {
            self.occupancy.fullest_above(port).unwrap_or(port)
        } else {
            return;
        };
        let theirs = self.rows.iter().filter(|((at, _), _)| *at == victim);
        let oldest = theirs.min_by_key(|(inside, row)| (row.heard, **inside)).map(|(it, _)| *it);
        // Where the full table has none of its port, any goes.
        let oldest = oldest.or_else(|| self.rows.keys().next().copied());
        if let Some(oldest) = oldest {
            self.rows.remove(&oldest);
            self.occupancy.remove(oldest.0);
        }
    }
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

    #[test]
    fn a_port_that_invents_addresses_keeps_its_share() {
        let mut known = InsideNeighbours::new();
        known.hear(NOW, inside(9, 0), mac(9));
        for n in 0..2 * INSIDE_NEIGHBOURS_MAX {
            known.hear(NOW.after(std::time::Duration::from_nanos(n as u64)), inside(1, n), mac(n));
        }
        assert_eq!(known.rows.len(), 1 + INSIDE_NEIGHBOURS_PER_PORT_MAX);
        for port in 2..=8 {
            for n in 0..INSIDE_NEIGHBOURS_PER_PORT_MAX {
                known.hear(NOW, inside(port, n), mac(n));
            }
        }
        assert_eq!(known.rows.len(), INSIDE_NEIGHBOURS_MAX);
        assert_eq!(known.find(NOW, inside(9, 0)).0, Some(mac(9)));
    }
}
