//! Frames of protocols without ports; the table is [`super::portless`].

use std::net::IpAddr;

use nat::{Edit, Endpoint, NatDrop, OwnerId, View, Zone};
use wire::icmp_error::IcmpError;
use wire::meta::{L3, Meta};

use super::forward::{Adjacency, Delivery, ForwardCtx, Rejection};
use super::portless::{Handover, group_of};
use super::size::Fit;
use super::{Router, UplinkLink};
use crate::datapath::batch::FrameCtx;

impl ForwardCtx<'_> {
    /// Forwards a packet that has no ports to the uplink, or refuses it.
    #[cold]
    pub(super) fn forward_portless(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        router: &Router,
        (adj, fit): (&Adjacency, Fit),
    ) {
        let source = router.icmp_source();
        let Some(protocol) = protocol(&ctx.meta, self.ethernet(ctx)) else {
            return self.drop_refused(ctx, source, NatDrop::Protocol);
        };
        let policy = router.uplink.as_ref().map(|uplink| &uplink.policy);
        let external =
            policy.and_then(|it| it.source_to((Zone(ctx.network.0), view.src), view.dst));
        let Some(external) = external else {
            return self.drop_refused(ctx, source, NatDrop::NoAddress);
        };
        let flow = (view.dst, protocol);
        if !self.is_local_to(ctx, group_of(flow)) {
            return;
        }
        let taken = self.state.portless.take(self.now, flow, (ctx.port, view.src, external));
        match taken {
            Err(reason) => {
                return self.reject(ctx, source, Rejection::new(reason, IcmpError::Prohibited));
            }
            Ok(Handover::Claimed(_)) => {
                self.enqueue(ctx);
                return;
            }
            Ok(Handover::Done) => {}
        }
        let edit = edit(external, view.dst);
        self.state.counters.translated += 1;
        self.send(ctx, adj, Some(&edit), fit);
    }

    /// Delivers an answer without ports to its container; false if it is nobody's.
    #[cold]
    pub(super) fn deliver_portless(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        link: &UplinkLink,
    ) -> bool {
        let Some(protocol) = protocol(&ctx.meta, self.ethernet(ctx)) else { return false };
        let flow = (view.src, protocol);
        if !self.is_local_to(ctx, group_of(flow)) {
            return true;
        }
        let known = self.state.portless.answer(self.now, flow, view.dst);
        let Some((port, internal)) = known else { return false };
        let (edit, owner) = (edit(view.src, internal), OwnerId(port.get() as u32));
        self.deliver(ctx, link.icmp_source(view.dst), Delivery { edit: &edit, owner });
        true
    }
}

fn edit(src: IpAddr, dst: IpAddr) -> Edit {
    Edit { src: Endpoint::new(src, 0), dst: Endpoint::new(dst, 0), quoted: None }
}

/// The protocol of a packet that can be translated by address: without options and extension headers other than a
/// fragment's.
fn protocol(meta: &Meta, frame: &[u8]) -> Option<u8> {
    const FRAGMENT: u8 = 44;
    let packet = meta.l3_bytes(frame);
    let protocol = match meta.l3 {
        L3::Ipv4 if packet.first() == Some(&0x45) => *packet.get(9)?,
        L3::Ipv6 => match *packet.get(6)? {
            FRAGMENT => *packet.get(40)?,
            next => next,
        },
        _ => return None,
    };
    // ICMP, IGMP, TCP, UDP, DCCP, AH, ICMPv6, SCTP, UDP-Lite, and what is not a payload: extension headers, none.
    const OTHERS: [u8; 16] = [0, 1, 2, 6, 17, 33, 43, 44, 51, 58, 59, 60, 132, 135, 136, 139];
    (!OTHERS.contains(&protocol) && protocol < 140).then_some(protocol)
}
