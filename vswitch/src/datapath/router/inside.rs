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
use nat::OwnerId;
use wire::MacAddr;
use wire::icmp_error::IcmpSource;
use wire::meta::{L3, L4, Meta};
use wire::ndp::{Message, NdpOption};
use wire::{arp, frames};

use super::Router;
use super::forward::ForwardCtx;
use super::occupancy::PortOccupancy;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::{
    INSIDE_ASK_AFTER, INSIDE_ASK_EVERY, INSIDE_NEIGHBOURS_MAX, INSIDE_NEIGHBOURS_PER_PORT_MAX,
};
use crate::datapath::{Key, Verdict};

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

impl ForwardCtx<'_> {
    /// Other hosts may be behind the port of this frame.
    #[inline]
    pub(super) fn is_shared(&self, ctx: &FrameCtx) -> bool {
        self.snapshot.port(ctx.port).is_some_and(|it| it.is_shared)
    }

    /// Notes the source of a routed packet from a shared port, which this worker translates.
    #[inline(never)]
    pub(super) fn hear_source(&mut self, ctx: &FrameCtx, address: IpAddr) {
        self.state.inside.hear(self.now, (ctx.port, address), ctx.meta.src);
    }

    /// Notes an ARP message or an advertisement to the gateway from a shared port, at the worker that translates for
    /// the port; elsewhere sets the handoff verdict.
    #[inline(never)]
    pub(super) fn hear_neighbour(&mut self, ctx: &mut FrameCtx) {
        let Some((address, mac)) = announced(&ctx.meta, self.ethernet(ctx)) else { return };
        if self.is_local_to_port(ctx) {
            self.state.inside.hear(self.now, (ctx.port, address), mac);
        }
    }

    /// Notes an ARP message or an advertisement to all, such as a gratuitous one, where this worker translates for
    /// the port. It stays where it was read, since it is flooded there.
    #[inline(never)]
    pub(super) fn hear_announcement(&mut self, ctx: &FrameCtx) {
        let spec = self.state.nat.shard_spec();
        let is_local = spec.worker_of(OwnerId(ctx.port.get() as u32)) == spec.worker();
        // What was answered has the answer in its buffer.
        let is_answered = matches!(ctx.verdict, Verdict::Unicast(_) | Verdict::Drop(_));
        if is_local
            && !is_answered
            && let Some((address, mac)) = announced(&ctx.meta, self.ethernet(ctx))
        {
            self.state.inside.hear(self.now, (ctx.port, address), mac);
        }
    }

    /// The MAC address behind a shared port that gets packets for an address. Asks for it where that is due.
    #[inline(never)]
    pub(super) fn mac_inside(
        &mut self,
        (port, own): (PortIndex, MacAddr),
        address: IpAddr,
        router: &Router,
    ) -> MacAddr {
        let (mac, asks) = self.state.inside.find(self.now, (port, address));
        if asks {
            let IcmpSource { ipv4, ipv6, mac: gateway, .. } = router.icmp_source();
            match address {
                IpAddr::V4(address) => {
                    let ask = ipv4.map(|own| frames::arp_request(gateway, own, address));
                    self.ask(port, router, ask.as_ref().map(|frame| &frame[..]));
                }
                IpAddr::V6(address) => {
                    let ask = ipv6.map(|own| frames::neighbor_solicit(gateway, own, address));
                    self.ask(port, router, ask.as_ref().map(|frame| &frame[..]));
                }
            }
        }
        mac.unwrap_or(own)
    }

    fn ask(&mut self, port: PortIndex, router: &Router, question: Option<&[u8]>) {
        let Some(question) = question else { return };
        let Ok(meta) = Meta::parse(question) else { return };
        let Some(frame) = self.pool.alloc_with(question) else { return };
        self.stats.counters.generated += 1;
        let network = router.key.network();
        let ctx = FrameCtx {
            frame,
            port,
            network,
            verdict: Verdict::Unicast(port.into()),
            segment: meta.l3_len,
            src: Key::NONE,
            dst: Key::new(network, 0, meta.dst),
            src_buckets: Default::default(),
            dst_buckets: Default::default(),
            meta,
        };
        self.state.emitted.push(ctx);
    }
}

/// The address that an ARP message or a neighbour advertisement gives out, with its MAC address.
fn announced(meta: &Meta, frame: &[u8]) -> Option<(IpAddr, MacAddr)> {
    if meta.l3 == L3::Arp {
        let arp = arp::Repr::parse(&arp::Packet::new_checked(meta.l3_bytes(frame)).ok()?);
        let is_known = !arp.sender_ip.is_unspecified();
        return is_known.then_some((arp.sender_ip.into(), arp.sender_mac));
    }
    let is_nd = meta.l4 == L4::Icmpv6 && !meta.fragment;
    let (message, options) = Message::parse(meta.l4_bytes(frame)).ok().filter(|_| is_nd)?;
    let Message::NeighborAdvert { target, .. } = message else { return None };
    let given = options.filter_map(Result::ok).find_map(|option| match option {
        NdpOption::TargetLinkLayer(mac) => Some(mac),
        _ => None,
    });
    Some((target.into(), given.unwrap_or(meta.src)))
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
