//! Hears and asks which MAC address behind an unguarded port has an address; the table is [`super::inside`].

use std::net::IpAddr;

use fastpath::PortIndex;
use wire::icmp_error::IcmpSource;
use wire::meta::{L3, L4, Meta};
use wire::ndp::{Message, NdpOption};
use wire::{MacAddr, arp, frames};

use super::Router;
use super::forward::ForwardCtx;
use crate::datapath::batch::FrameCtx;
use crate::datapath::{Key, Verdict};

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

    /// Notes an ARP message or an advertisement to the gateway from a shared port, for all workers.
    #[inline(never)]
    pub(super) fn hear_neighbour(&mut self, ctx: &FrameCtx) {
        if let Some((address, mac)) = announced(&ctx.meta, self.ethernet(ctx)) {
            self.state.inside.hear_and_tell(self.now, (ctx.port, address), mac);
        }
    }

    /// The same of a message to all, such as a gratuitous one.
    #[inline(never)]
    pub(super) fn hear_announcement(&mut self, ctx: &FrameCtx) {
        // What was answered has the answer in its buffer.
        if !matches!(ctx.verdict, Verdict::Unicast(_) | Verdict::Drop(_)) {
            self.hear_neighbour(ctx);
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
            source: port.into(),
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
