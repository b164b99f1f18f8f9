//! Segments and fragments of a packet longer than the MTU.

use fastpath::limits::VNET_LEN;
use fastpath::{Frame, Pool};
use wire::checksum;
use wire::fragmenter::fragment_ipv4;
use wire::meta::Meta;
use wire::vnet::{Flags, Header};

use super::size::Fit;
use crate::datapath::batch::FrameCtx;
use crate::datapath::{DropReason, Stats, Verdict};

/// Cuts frames to the MTU.
pub(in crate::datapath) struct Resizer<'a> {
    pub(in crate::datapath) pool: &'a mut Pool,
    pub(in crate::datapath) stats: &'a mut Stats,
    /// The packet that is being fragmented.
    pub(in crate::datapath) scratch: &'a mut Vec<u8>,
    /// Fragments but the first, for the later stages.
    pub(in crate::datapath) emitted: &'a mut Vec<FrameCtx>,
}

impl Resizer<'_> {
    /// Cuts a frame with its final addresses to the MTU.
    #[cold]
    pub(in crate::datapath) fn fit_to_mtu(&mut self, ctx: &mut FrameCtx, fit: Fit, mtu: u32) {
        let done = match fit {
            Fit::Resegmented(size) => self.resegment(ctx, size),
            Fit::Fragmented => self.fragment(ctx, mtu),
            Fit::Whole | Fit::TooBig => Ok(()),
        };
        if let Err(reason) = done {
            ctx.verdict = Verdict::Drop(reason);
        }
    }

    /// Sets the segment size in the offload header.
    fn resegment(&mut self, ctx: &FrameCtx, size: u16) -> Result<(), DropReason> {
        let bytes = self.pool.bytes_mut(&ctx.frame).ok_or(DropReason::NoBuffer)?;
        let header = Header::parse(bytes).map_err(|_| DropReason::Malformed)?;
        bytes[..VNET_LEN].copy_from_slice(&Header { gso_size: size, ..header }.to_bytes());
        Ok(())
    }

    /// Cuts a packet: its buffer holds the first fragment, the others follow the batch. The checksum covers
    /// the whole packet and is completed first.
    fn fragment(&mut self, ctx: &mut FrameCtx, mtu: u32) -> Result<(), DropReason> {
        let bytes = self.pool.bytes_mut(&ctx.frame).ok_or(DropReason::NoBuffer)?;
        let header = Header::parse(bytes).map_err(|_| DropReason::Malformed)?;
        let ethernet = &mut bytes[VNET_LEN..];
        if header.flags.contains(Flags::NEEDS_CSUM) {
            checksum::complete_partial(ethernet, header.csum_start, header.csum_offset)
                .map_err(|_| DropReason::Malformed)?;
        }
        let mut whole = std::mem::take(self.scratch);
        whole.clear();
        whole.extend_from_slice(ethernet);
        let done = self.write_all(ctx, &whole, mtu);
        *self.scratch = whole;
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
            self.emitted.push(FrameCtx { frame, segment, meta, ..*ctx });
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
