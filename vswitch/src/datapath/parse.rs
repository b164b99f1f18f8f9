//! Room 2: bytes become metadata, once.

use fastpath::Pool;
use fastpath::limits::VNET_LEN;
use wire::MacAddr;
use wire::ethernet::EtherType;
use wire::meta::{L3, L4, Meta, MetaError};
use wire::vnet::Header;

use super::{Batch, DropReason, Verdict};

/// Metadata of a frame that was not parsed yet.
pub(super) const NOTHING: Meta = Meta {
    dst: MacAddr::ZERO,
    src: MacAddr::ZERO,
    outer: None,
    inner: None,
    ethertype: EtherType(0),
    l3_offset: 0,
    l4_offset: 0,
    l3_len: 0,
    l3: L3::Other,
    l4: L4::None,
    fragment: false,
};

/// Sets metadata and segment size, or drops what is no Ethernet frame.
pub(super) fn run(batch: &mut Batch, pool: &Pool) {
    for slot in &mut batch.slots {
        let bytes = pool.bytes(&slot.frame);
        let Some((vnet, ethernet)) = bytes.split_at_checked(VNET_LEN) else {
            slot.verdict = Verdict::Drop(DropReason::Truncated);
            continue;
        };
        match Meta::parse(ethernet) {
            Ok(meta) => {
                slot.segment = segment_len(vnet, ethernet.len(), &meta);
                slot.meta = meta;
            }
            Err(MetaError::Short { .. }) => slot.verdict = Verdict::Drop(DropReason::Truncated),
            Err(MetaError::TagCut { .. }) => slot.verdict = Verdict::Drop(DropReason::TagCut),
        }
    }
}

/// Bytes behind the Ethernet header, in the longest piece that the frame will be cut into. A GSO
/// frame is judged by its segments, not its length.
#[inline]
fn segment_len(vnet: &[u8], frame_len: usize, meta: &Meta) -> u32 {
    let whole = frame_len.saturating_sub(usize::from(meta.l3_offset)) as u32;
    if vnet[1] == 0 {
        return whole;
    }
    match Header::parse(vnet) {
        Ok(header) if header.is_gso() => {
            // The transport header is 20 bytes for TCP without options, 8 for UDP; `hdr_len` is a
            // hint of the sender and is not needed to tell a segment from a whole frame.
            let headers = meta.l4_offset.saturating_sub(meta.l3_offset);
            whole.min(u32::from(header.gso_size) + u32::from(headers))
        }
        _ => whole,
    }
}
