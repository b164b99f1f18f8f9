//! Stage 8: bytes are changed to what the port that a frame leaves by wants: VLAN tags.
//!
//! A frame is changed in place. A tag goes in or out between the addresses and the EtherType, so the 12
//! bytes of addresses and the offload header in front of them move by the tag's length into the
//! headroom, or back; the payload stays where it is, and the offload header's offsets move along. A
//! network without a trunk has nothing to change, and does not come here.

use fastpath::limits::VNET_LEN;
use fastpath::{Frame, Pool};
use wire::EtherType;
use wire::vlan::{self, TAG_LEN, Tag, Tci};
use wire::vnet::Header;

use super::batch::FrameCtx;
use super::{Batch, DropReason, Snapshot, Tagging, Verdict};

/// Edits what goes to one port. What is flooded is edited as it is sent, once for all ports alike.
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

/// Whether a frame has its VLAN's tag. One that only marks a priority is none.
#[inline]
pub(super) fn tagging(ctx: &FrameCtx) -> Tagging {
    match ctx.meta.outer {
        Some(outer) if outer.vid() != 0 => Tagging::Tagged,
        _ => Tagging::Untagged,
    }
}

/// Gives a frame that lacks it its VLAN's tag, or takes the tag off. False, and nothing changed, where
/// the buffer has another holder or no headroom.
pub(super) fn retag(pool: &mut Pool, frame: &mut Frame, vlan: u16, wanted: Tagging) -> bool {
    match wanted {
        Tagging::Tagged if mark(pool, frame, vlan) => true,
        Tagging::Tagged => push(pool, frame, Tag { tpid: EtherType::VLAN, tci: Tci(vlan) }),
        Tagging::Untagged => pop(pool, frame),
    }
}

/// Writes the VLAN into a tag that marked a priority only; false where there is none.
fn mark(pool: &mut Pool, frame: &Frame, vlan: u16) -> bool {
    let Some(ethernet) = pool.bytes_mut(frame).and_then(|bytes| bytes.get_mut(VNET_LEN..)) else {
        return false;
    };
    let tag = vlan::outer(ethernet);
    tag.is_some_and(|tag| vlan::set_tci(ethernet, Tci(tag.tci.0 | vlan)).is_ok())
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

/// A header of a kind that we do not know stays as it is: the kernel refuses it.
fn shift_offsets(bytes: &mut [u8], by: i16) {
    if let Ok(header) = Header::parse(bytes).and_then(|header| header.shifted(by)) {
        bytes[..VNET_LEN].copy_from_slice(&header.to_bytes());
    }
}
