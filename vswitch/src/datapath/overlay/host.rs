//! The host as an endpoint: at the tunnel port its MAC address is one of its node, since the gateway's is on every node.

use std::net::IpAddr;

use fastpath::Pool;
use fastpath::limits::VNET_LEN;
use wire::meta::{L3, Meta};
use wire::{MacAddr, ipv4, ipv6};

use super::Overlay;
use crate::datapath::batch::FrameCtx;
use crate::datapath::{Key, PortKind, Snapshot};

impl Overlay {
    /// Whether a frame for another node is the host's own, from an address of its own.
    pub(in crate::datapath) fn is_from_host(
        &self,
        ctx: &FrameCtx,
        snapshot: &Snapshot,
        pool: &Pool,
    ) -> bool {
        let is_host = || snapshot.port(ctx.port).is_some_and(|conf| conf.kind == PortKind::Host);
        let source = |ctx: &FrameCtx| addresses(&ctx.meta, pool.ethernet(&ctx.frame));
        self.host.is_some() && is_host() && source(ctx).is_some_and(|(from, _)| self.is_host(from))
    }

    /// Gives a frame of the host its MAC address on other nodes. False: somebody else holds the buffer.
    pub(super) fn leave_as_host(&self, ctx: &mut FrameCtx, pool: &mut Pool) -> bool {
        let Some(host) = &self.host else { return false };
        let Some(bytes) = source_mut(ctx, pool, 6) else { return false };
        bytes.copy_from_slice(&host.mac.0);
        ctx.meta.src = host.mac;
        true
    }

    /// Takes a frame of another node to the host's MAC address there: its destination becomes the gateway's, as the host's
    /// port has it. False: it is not for an address of the host.
    pub(in crate::datapath) fn enter_to_host(&self, ctx: &mut FrameCtx, pool: &mut Pool) -> bool {
        let to = addresses(&ctx.meta, pool.ethernet(&ctx.frame));
        if !to.is_some_and(|(_, to)| self.is_host(to)) {
            return false;
        }
        let Some(bytes) = source_mut(ctx, pool, 0) else { return false };
        bytes.copy_from_slice(&self.gateway.0);
        ctx.meta.dst = self.gateway;
        ctx.dst = Key::new(ctx.network, 0, self.gateway);
        true
    }

    /// The host's MAC address on other nodes, where an address is the host's.
    pub(in crate::datapath) fn host_mac(&self, address: IpAddr) -> Option<MacAddr> {
        let host = self.host.as_ref().filter(|host| host.addresses.contains(&address));
        host.map(|host| host.mac)
    }

    /// Whether a MAC address is the host's on other nodes.
    #[inline]
    pub(in crate::datapath) fn is_host_mac(&self, mac: MacAddr) -> bool {
        self.host.as_ref().is_some_and(|host| host.mac == mac)
    }

    fn is_host(&self, address: IpAddr) -> bool {
        self.host_mac(address).is_some()
    }
}

/// Six bytes of a frame from `at` on.
fn source_mut<'a>(ctx: &FrameCtx, pool: &'a mut Pool, at: usize) -> Option<&'a mut [u8]> {
    pool.bytes_mut(&ctx.frame)?.get_mut(VNET_LEN + at..VNET_LEN + at + 6)
}

/// Source and destination of an IP packet.
fn addresses(meta: &Meta, ethernet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let packet = meta.l3_bytes(ethernet);
    match meta.l3 {
        L3::Ipv4 => {
            let ip = ipv4::Packet::new_checked(packet).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
        L3::Ipv6 => {
            let ip = ipv6::Packet::new_checked(packet).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
        _ => None,
    }
}
