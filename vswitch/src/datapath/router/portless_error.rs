//! ICMP errors about packets of protocols without ports, such as "packet too big" for a tunnel.
//!
//! The error quotes the packet as it left: the container gets it with its own address, as destination and in the quote.
//! An IPv4 quote with options is not read.

use std::net::IpAddr;

use fastpath::limits::VNET_LEN;
use nat::{OwnerId, View};
use wire::meta::{L4, Meta};
use wire::{ChecksumState, icmpv4, icmpv6, ipv4, ipv6};

use super::UplinkLink;
use super::forward::ForwardCtx;
use super::portless::{Portless, group_of};
use crate::datapath::batch::FrameCtx;
use crate::datapath::{DropReason, Verdict, edit};

impl ForwardCtx<'_> {
    /// Delivers an error about a container's packet; false if it is about nobody's.
    #[cold]
    pub(super) fn deliver_portless_error(
        &mut self,
        ctx: &mut FrameCtx,
        view: &View,
        link: &UplinkLink,
    ) -> bool {
        let Some((flow, source)) = quoted(&ctx.meta, self.ethernet(ctx)) else { return false };
        if source != view.dst {
            return false;
        }
        if !self.is_local_to(ctx, group_of(flow)) {
            return true;
        }
        let Some((port, internal)) = self.state.portless.owner(self.now, flow, source) else {
            return false;
        };
        let owner = OwnerId(port.get() as u32);
        let Some((_, adj)) = self.adjacency_of(owner, internal) else { return false };
        let fit = match self.check_forward(ctx, &adj) {
            Ok(fit) => fit,
            Err(why) => {
                self.reject(ctx, link.icmp_source(view.dst), why);
                return true;
            }
        };
        let Some(bytes) = self.pool.bytes_mut(&ctx.frame).filter(|it| it.len() > VNET_LEN) else {
            ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
            return true;
        };
        let (vnet, ethernet) = bytes.split_at_mut(VNET_LEN);
        if rewrite(&ctx.meta, ethernet, internal, edit::checksum_state(vnet)).is_none() {
            return false;
        }
        self.state.counters.translated += 1;
        self.send(ctx, &adj, None, fit);
        true
    }
}

/// The flow of the packet that an error quotes, and the packet's source.
fn quoted(meta: &Meta, frame: &[u8]) -> Option<(Portless, IpAddr)> {
    let message = meta.l4_bytes(frame);
    match meta.l4 {
        L4::Icmpv4 => {
            let icmp = icmpv4::Packet::new_checked(message).ok()?;
            let quote = Some(icmp.payload()).filter(|it| it.first() == Some(&0x45))?;
            let ip = ipv4::Packet::new_quoted(quote).ok()?;
            let is_error = icmp.icmp_type().is_error();
            is_error.then(|| ((ip.dst().into(), ip.protocol().0), ip.src().into()))
        }
        L4::Icmpv6 => {
            let icmp = icmpv6::Packet::new_checked(message).ok()?;
            let ip = ipv6::Packet::new_quoted(icmp.payload()).ok()?;
            let is_error = icmp.icmp_type().is_error();
            is_error.then(|| ((ip.dst().into(), ip.next_header().0), ip.src().into()))
        }
        _ => None,
    }
}

/// Writes the container's address as destination, and as source of the quote.
fn rewrite(meta: &Meta, frame: &mut [u8], internal: IpAddr, state: ChecksumState) -> Option<()> {
    match internal {
        IpAddr::V4(internal) => {
            ipv4::Packet::new_quoted(meta.l3_bytes_mut(frame)).ok()?.rewrite_dst(internal);
            let mut icmp = icmpv4::Packet::new_checked(meta.l4_bytes_mut(frame)).ok()?;
            // The quoted header's own checksum makes up for the change.
            ipv4::Packet::new_quoted(icmp.payload_mut()).ok()?.rewrite_src(internal);
        }
        IpAddr::V6(internal) => {
            let outer =
                ipv6::Packet::new_quoted(meta.l3_bytes_mut(frame)).ok()?.rewrite_dst(internal);
            let mut icmp = icmpv6::Packet::new_checked(meta.l4_bytes_mut(frame)).ok()?;
            let inner = ipv6::Packet::new_quoted(icmp.payload_mut()).ok()?.rewrite_src(internal);
            icmp.update_for_address(outer, state);
            icmp.update_for_port(inner, state);
        }
    }
    Some(())
}
