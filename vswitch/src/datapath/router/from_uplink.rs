//! Frames from the uplink.

use std::net::IpAddr;

use nat::{Kind, NatDrop, Realm, Translation, View};
use wire::icmp_error::IcmpSource;
use wire::meta::{L3, L4};

use super::UplinkLink;
use super::forward::{Delivery, ForwardCtx};
use super::unmapped::is_midstream;
use crate::datapath::batch::FrameCtx;
use crate::datapath::{DropReason, Verdict};

impl<'a> ForwardCtx<'a> {
    /// Sets the verdict of an uplink frame. Containers get frames of connections and published ports
    /// only; nothing is flooded or learnt.
    pub(super) fn route_uplink(&mut self, ctx: &mut FrameCtx, link: &'a UplinkLink) {
        let is_ip = matches!(ctx.meta.l3, L3::Ipv4 | L3::Ipv6);
        // The host's stack sends its own frames on the TAP, as on every link.
        let is_own = ctx.meta.src == link.tap_mac || ctx.meta.dst.is_multicast();
        if !is_ip || is_own {
            ctx.verdict = Verdict::Drop(DropReason::HostTraffic);
            return;
        }
        let view = nat::parse::view(&ctx.meta, self.ethernet(ctx));
        // Drop spoofed internal sources (BCP 38); nftables normally does this first.
        if self.snapshot.is_behind(link.port, view.src) {
            ctx.verdict = Verdict::Drop(DropReason::SpoofedInternal);
            return;
        }
        if !self.is_local(ctx, Realm::External, &view) {
            return;
        }
        let Some(translated) = self.translate(ctx, Realm::External, &view) else {
            return;
        };
        match &translated {
            Ok(Translation::Edit { edit, to: Realm::Internal(owner, _) }) => {
                self.deliver(ctx, link.icmp_source(view.dst), Delivery { edit, owner: *owner });
            }
            Ok(Translation::Edit { to: Realm::External, .. }) => {
                ctx.verdict = Verdict::Drop(DropReason::HostTraffic);
            }
            Ok(Translation::NotOurs) => {
                let is_icmp = matches!(ctx.meta.l4, L4::Icmpv4 | L4::Icmpv6);
                if matches!(view.kind, Kind::Other) && self.deliver_other(ctx, &view, link) {
                    return;
                }
                if is_icmp || matches!(view.kind, Kind::Tail(_)) {
                    ctx.verdict = Verdict::Drop(DropReason::HostTraffic);
                } else {
                    let why = DropReason::NatNoConnection;
                    self.refuse_unmapped(ctx, link, &view, why);
                }
            }
            // A SYN gets no answer: the container may be about to open the connection, too (RFC 5382, REQ-4).
            Err(refusal @ (NatDrop::NoConnection | NatDrop::Unsolicited))
                if is_midstream(&view) =>
            {
                self.refuse_unmapped(ctx, link, &view, (*refusal).into());
            }
            // External senders get no ICMP error.
            Err(refusal) => ctx.verdict = Verdict::Drop((*refusal).into()),
        }
    }

    /// Delivers what has no ports to the container that uses the protocol; false if it is nobody's.
    #[cold]
    fn deliver_other(&mut self, ctx: &mut FrameCtx, view: &View, link: &UplinkLink) -> bool {
        match ctx.meta.l4 {
            L4::Icmpv4 | L4::Icmpv6 => self.deliver_portless_error(ctx, view, link),
            _ => self.deliver_portless(ctx, view, link),
        }
    }
}

impl UplinkLink {
    /// The source of ICMP errors to the uplink: the address that the sender asked, so that they go the way of answers.
    pub(super) const fn icmp_source(&self, asked: IpAddr) -> IcmpSource<'static> {
        let (ipv4, ipv6) = match asked {
            IpAddr::V4(address) => (Some(address), None),
            IpAddr::V6(address) => (None, Some(address)),
        };
        IcmpSource { mac: self.device_mac, ipv4, ipv6, broadcasts: &[] }
    }
}
