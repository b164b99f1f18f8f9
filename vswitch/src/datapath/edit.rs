//! Stage 8: pushes and pops VLAN tags as the egress port wants them.
//!
//! A frame is edited in place. Addresses and offload header move by the tag's length into the headroom,
//! or back; the payload stays, and the offload header's offsets are shifted. Without a trunk the stage
//! is skipped.

use fastpath::limits::VNET_LEN;
use fastpath::{Frame, Pool};
use wire::meta::Meta;
use wire::vlan::{self, TAG_LEN, Tag, Tci};
use wire::vnet::{Flags, Header};
use wire::{ChecksumState, EtherType};

use super::batch::FrameCtx;
use super::{Batch, DropReason, Snapshot, Tagging, Verdict};

/// Edits unicast frames. Tx edits a flood, once for all ports that want the same bytes.
pub(super) fn run(batch: &mut Batch, pool: &mut Pool, snapshot: &Snapshot) {
    if !snapshot.has_trunks() {
        return;
    }
    for ctx in &mut batch.frames {
        let Verdict::Unicast(destination) = ctx.verdict else { continue };
        let Some(port) = destination.port() else { continue };
        let wanted = snapshot.egress(port, ctx.dst.vlan(), ctx.meta.inner.is_some());
        let Some(wanted) = wanted.filter(|&wanted| wanted != tagging(ctx)) else { continue };
        if !retag(pool, &mut ctx.frame, ctx.dst.vlan(), wanted) {
            ctx.verdict = Verdict::Drop(DropReason::NoBuffer);
        }
    }
}

/// Whether a frame has its VLAN's tag. A priority tag does not count.
#[inline]
pub(super) fn tagging(ctx: &FrameCtx) -> Tagging {
    match ctx.meta.outer {
        Some(outer) if outer.vid() != 0 => Tagging::Tagged,
        _ => Tagging::Untagged,
    }
}

/// Pushes the VLAN's tag onto a frame without, or pops it. False, and nothing changed, where the buffer
/// is shared or has no headroom.
pub(super) fn retag(pool: &mut Pool, frame: &mut Frame, vlan: u16, wanted: Tagging) -> bool {
    match wanted {
        Tagging::Tagged if mark(pool, frame, vlan) => true,
        Tagging::Tagged => push(pool, frame, Tag { tpid: EtherType::VLAN, tci: Tci(vlan) }),
        Tagging::Untagged => pop(pool, frame),
    }
}

/// Writes the VLAN into a priority tag; false where there is none.
fn mark(pool: &mut Pool, frame: &Frame, vlan: u16) -> bool {
    let Some(ethernet) = pool.bytes_mut(frame).and_then(|bytes| bytes.get_mut(VNET_LEN..)) else {
        return false;
    };
    let tag = vlan::outer(ethernet);
    tag.is_some_and(|tag| vlan::set_tci(ethernet, Tci(tag.tci.0 | vlan)).is_ok())
}

/// Pops the outer tag of a frame that is routed; false where the buffer is shared.
#[cold]
pub(super) fn untag(ctx: &mut FrameCtx, pool: &mut Pool) -> bool {
    let is_off = retag(pool, &mut ctx.frame, 0, Tagging::Untagged);
    match Meta::parse(pool.ethernet(&ctx.frame)) {
        Ok(meta) if is_off => {
            ctx.meta = meta;
            true
        }
        _ => false,
    }
}

/// The transport checksum's state by the virtio-net header.
#[inline]
pub(super) fn checksum_state(vnet: &[u8]) -> ChecksumState {
    match vnet.first() {
        Some(&flags) if Flags(flags).contains(Flags::NEEDS_CSUM) => ChecksumState::Partial,
        _ => ChecksumState::Complete,
    }
}

fn push(pool: &mut Pool, frame: &mut Frame, tag: Tag) -> bool {
    if pool.bytes_mut(frame).is_none() || !frame.grow_front(TAG_LEN) {
        return false;
    }
    let Some(bytes) = pool.bytes_mut(frame) else { return false };
    bytes.copy_within(TAG_LEN..TAG_LEN + VNET_LEN, 0);
    shift_offsets(bytes, TAG_LEN as i16);
    vlan::push(&mut bytes[VNET_LEN..], TAG_LEN, tag).is_ok()
}

fn pop(pool: &mut Pool, frame: &mut Frame) -> bool {
    let Some(bytes) = pool.bytes_mut(frame) else { return false };
    if vlan::pop(&mut bytes[VNET_LEN..], 0).is_err() {
        return false;
    }
    shift_offsets(bytes, -(TAG_LEN as i16));
    bytes.copy_within(..VNET_LEN, TAG_LEN);
    frame.shrink_front(TAG_LEN)
}

/// An unknown offload header stays as it is: the kernel refuses it.
fn shift_offsets(bytes: &mut [u8], by: i16) {
    if let Ok(header) = Header::parse(bytes).and_then(|header| header.shifted(by)) {
        bytes[..VNET_LEN].copy_from_slice(&header.to_bytes());
    }
}
