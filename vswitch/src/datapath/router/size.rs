//! MTU check of routed packets.
//!
//! The segment size decides for a GSO frame. IPv4 without DF is fragmented; a TCP GSO frame gets a
//! smaller `gso_size` instead. Other packets above the MTU are dropped with an ICMP error.

use fastpath::limits::VNET_LEN;
use fastpath::{Frame, Pool};
use wire::fragmenter::fragment_ipv4;
use wire::meta::{L3, L4, Meta};
use wire::vnet::{Flags, GsoType, Header};
use wire::{checksum, ipv4, ipv6, tcp, udp};

use super::forward::ForwardCtx;
use crate::datapath::batch::FrameCtx;
use crate::datapath::{DropReason, Verdict};

/// The result of the MTU check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Unchanged.
    Whole,
    /// With a smaller GSO size, in bytes.
    Resegmented(u16),
    /// As fragments.
    Fragmented,
    /// Dropped.
    TooBig,
}

/// The smallest GSO size, in bytes.
const SEGMENT_MIN: u32 = 8;

/// Checks a packet against the MTU.
#[inline]
pub(super) fn fit(pool: &Pool, ctx: &FrameCtx, mtu: u32) -> Fit {
    if ctx.meta.l3_len <= mtu { Fit::Whole } else { fit_long(pool, ctx, mtu) }
}

#[inline(never)]
fn fit_long(pool: &Pool, ctx: &FrameCtx, mtu: u32) -> Fit {
    let (meta, ethernet) = (&ctx.meta, pool.ethernet(&ctx.frame));
    let ip = ipv4::Packet::new_checked(meta.l3_bytes(ethernet)).ok();
    let may_cut = meta.l3 == L3::Ipv4 && ip.is_some_and(|ip| !ip.dont_fragment());
    let Ok(header) = Header::parse(pool.bytes(&ctx.frame)) else { return Fit::TooBig };
    if !header.is_gso() {
        return if may_cut { Fit::Fragmented } else { Fit::TooBig };
    }
    let headers = headers_len(meta, ethernet);
    if headers + u32::from(header.gso_size) <= mtu {
        return Fit::Whole;
    }
    let payload = mtu.saturating_sub(headers);
    match header.gso_type {
        GsoType::TcpV4 if may_cut && payload >= SEGMENT_MIN => Fit::Resegmented(payload as u16),
        _ => Fit::TooBig,
    }
}

/// Header bytes of each segment, from the IP header on.
fn headers_len(meta: &Meta, ethernet: &[u8]) -> u32 {
    let ip = u32::from(meta.l4_offset.saturating_sub(meta.l3_offset));
    let transport = match meta.l4 {
        L4::Tcp => {
            tcp::Packet::new_checked(meta.l4_bytes(ethernet)).map_or(0, |it| it.header_len())
        }
        L4::Udp => udp::HEADER_LEN,
        _ => 0,
    };
    ip + transport as u32
}

/// The TTL or hop limit allows another hop.
#[inline]
pub(super) fn has_hops(meta: &Meta, ethernet: &[u8]) -> bool {
    let packet = meta.l3_bytes(ethernet);
    match meta.l3 {
        L3::Ipv4 => ipv4::Packet::new_quoted(packet).is_ok_and(|ip| ip.ttl() > 1),
        _ => ipv6::Packet::new_quoted(packet).is_ok_and(|ip| ip.hop_limit() > 1),
    }
}

impl ForwardCtx<'_> {
    /// Resegments or fragments a frame, after its rewrite.
    #[cold]
    pub(super) fn fit_to_mtu(&mut self, ctx: &mut FrameCtx, fit: Fit, mtu: u32) {
        let done = match fit {
            Fit::Resegmented(size) => self.resegment(ctx, size),
            Fit::Fragmented => self.fragment(ctx, mtu),
            Fit::Whole | Fit::TooBig => Ok(()),
        };
        if let Err(reason) = done {
            ctx.verdict = Verdict::Drop(reason);
        }
    }

    /// Sets the GSO size.
    fn resegment(&mut self, ctx: &FrameCtx, size: u16) -> Result<(), DropReason> {
        let bytes = self.pool.bytes_mut(&ctx.frame).ok_or(DropReason::NoBuffer)?;
        let header = Header::parse(bytes).map_err(|_| DropReason::Malformed)?;
        bytes[..VNET_LEN].copy_from_slice(&Header { gso_size: size, ..header }.to_bytes());
        Ok(())
    }

    /// Replaces the packet by its first fragment, and emits the others after the batch. The checksum
    /// covers the whole packet, so it is completed first.
    fn fragment(&mut self, ctx: &mut FrameCtx, mtu: u32) -> Result<(), DropReason> {
        let bytes = self.pool.bytes_mut(&ctx.frame).ok_or(DropReason::NoBuffer)?;
        let header = Header::parse(bytes).map_err(|_| DropReason::Malformed)?;
        let ethernet = &mut bytes[VNET_LEN..];
        if header.flags.contains(Flags::NEEDS_CSUM) {
            checksum::complete_partial(ethernet, header.csum_start, header.csum_offset)
                .map_err(|_| DropReason::Malformed)?;
        }
        let mut whole = std::mem::take(&mut self.state.scratch);
        whole.clear();
        whole.extend_from_slice(ethernet);
        let done = self.write_all(ctx, &whole, mtu);
        self.state.scratch = whole;
        done
    }

    fn write_all(&mut self, ctx: &mut FrameCtx, whole: &[u8], mtu: u32) -> Result<(), DropReason> {
        let mut fragments =
            fragment_ipv4(&ctx.meta, whole, mtu).map_err(|_| DropReason::Malformed)?;
        let first = fragments.next_len().ok_or(DropReason::Malformed)?;
        let write = |buffer: &mut [u8]| fragments.write_next(buffer);
        ctx.meta = self.write_fragment(&mut ctx.frame, first, write)?;
        ctx.segment = ctx.meta.l3_len;
        while let Some(len) = fragments.next_len() {
            let mut frame = self.pool.alloc().ok_or(DropReason::NoBuffer)?;
            let written = self.write_fragment(&mut frame, len, |to| fragments.write_next(to));
            let Ok(meta) = written else {
                self.pool.release(frame);
                return written.map(drop);
            };
            self.stats.counters.generated += 1;
            let segment = meta.l3_len;
            self.state.emitted.push(FrameCtx { frame, segment, meta, ..*ctx });
        }
        Ok(())
    }

    fn write_fragment(
        &mut self,
        frame: &mut Frame,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Result<Meta, DropReason> {
        frame.set_len(VNET_LEN + len);
        let bytes = self.pool.bytes_mut(frame).ok_or(DropReason::NoBuffer)?;
        bytes[..VNET_LEN].fill(0);
        let fragment = &mut bytes[VNET_LEN..];
        write(fragment).ok_or(DropReason::NoBuffer)?;
        Meta::parse(fragment).map_err(|_| DropReason::Malformed)
    }
}
