//! Stage 2: parses each frame once.

use fastpath::engine::Received;
use fastpath::limits::VNET_LEN;
use wire::meta::{Meta, MetaError};
use wire::vnet::Header;

use super::batch::FrameCtx;
use super::fdb::{BucketPair, Key};
use super::{Batch, DropReason, FrameIo, NetworkIndex, Observer, Verdict};

/// Adds metadata and segment size to every received frame; drops frames without an Ethernet header.
pub(super) fn run(batch: &mut Batch, io: &mut FrameIo<'_, impl Observer>) {
    for Received { port, frame } in batch.incoming.drain(..) {
        let bytes = io.pool.bytes(&frame);
        let (vnet, ethernet) = bytes.split_at(VNET_LEN.min(bytes.len()));
        match Meta::parse(ethernet) {
            Ok(meta) => batch.frames.push(FrameCtx {
                frame,
                port,
                network: NetworkIndex::NONE,
                verdict: Verdict::Pending,
                segment: segment_len(vnet, ethernet.len(), &meta),
                src: Key::NONE,
                src_buckets: BucketPair::default(),
                dst: Key::NONE,
                dst_buckets: BucketPair::default(),
                meta,
                source: port.into(),
            }),
            Err(error) => io.drop_frame(port, frame, reason(error)),
        }
    }
}

#[cold]
pub(super) fn reason(error: MetaError) -> DropReason {
    match error {
        MetaError::Short { .. } => DropReason::Truncated,
        MetaError::TagCut { .. } => DropReason::VlanTruncated,
    }
}

/// Bytes behind the Ethernet header in the longest segment: a GSO frame is judged by its segments.
#[inline]
pub(super) fn segment_len(vnet: &[u8], frame_len: usize, meta: &Meta) -> u32 {
    let whole = frame_len.saturating_sub(usize::from(meta.l3_offset)) as u32;
    if vnet[1] == 0 {
        return whole;
    }
    match Header::parse(vnet) {
        Ok(header) if header.is_gso() => {
            // Without the transport header, whose length is only a hint of the sender: the MTU check has
            // slack for that.
            let headers = meta.l4_offset.saturating_sub(meta.l3_offset);
            whole.min(u32::from(header.gso_size) + u32::from(headers))
        }
        _ => whole,
    }
}
