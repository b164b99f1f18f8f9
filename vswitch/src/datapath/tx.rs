//! Stage 9: frames leave for their ports, or for the pool.

use fastpath::{Frame, PortIndex};

use super::batch::FrameCtx;
use super::overlay::encapsulate::{self, Replication};
use super::{
    Batch, DestinationKind, DropReason, Egress, FrameIo, Groups, Observer, Snapshot, Tagging,
    Verdict, edit,
};

#[cfg(test)]
mod tests;

/// Sends or drops every frame of the batch.
pub(super) fn run(
    batch: &mut Batch,
    snapshot: &Snapshot,
    groups: &Groups,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    for ctx in batch.frames.drain(..) {
        match ctx.verdict {
            Verdict::Unicast(destination) => match destination.kind() {
                DestinationKind::Port(port) => egress.send(io, port, ctx.frame),
                DestinationKind::Tunnel(vtep) => encapsulate::send(ctx, vtep, snapshot, io, egress),
            },
            Verdict::Flood | Verdict::FloodPorts | Verdict::Group | Verdict::Routers => {
                flood(ctx, snapshot, groups, io, egress);
            }
            Verdict::Consumed => consume(ctx.frame, io),
            Verdict::Drop(reason) => {
                if let DestinationKind::Tunnel(vtep) = ctx.source.kind() {
                    io.stats.vtep_mut(vtep).drops += 1;
                }
                io.drop_frame(ctx.port, ctx.frame, reason);
            }
            // Lookup decides every frame, and the router has taken its queued frames out.
            Verdict::Pending
            | Verdict::AwaitsNeighbour
            | Verdict::AwaitsFragment
            | Verdict::AwaitsAssignment
            | Verdict::Handoff { .. } => {
                debug_assert!(false, "tx got a frame without a destination: {:?}", ctx.verdict);
                io.drop_frame(ctx.port, ctx.frame, DropReason::Undecided);
            }
        }
    }
}

/// Floods a frame. Ports that get the same bytes share a buffer; only if some want a tag and others
/// none, the frame is copied once.
fn flood(
    ctx: FrameCtx,
    snapshot: &Snapshot,
    groups: &Groups,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let (from, vlan, double) = (ctx.port, ctx.dst.vlan(), ctx.meta.inner.is_some());
    let network = snapshot.network(ctx.network);
    let isolates = network.is_some_and(|network| network.has_isolated);
    let members = network.map(|network| &network.members);
    let (key, none) = (ctx.dst, &[][..]);
    // Access ports of the VLAN, and ports whose tagging must be looked up.
    let (access, mixed, routers) = match ctx.verdict {
        Verdict::Group => (none, groups.listeners(ctx.dst), groups.takers(ctx.dst)),
        Verdict::Routers => (none, none, groups.routers(ctx.dst)),
        _ => (
            members.map_or(none, |members| members.access(vlan)),
            members.map_or(none, |members| members.trunks()),
            none,
        ),
    };
    let targets = |wanted| {
        let access = if wanted == Tagging::Untagged { access } else { none };
        let routers = routers.iter().filter(move |port| !mixed.contains(port));
        let leaves = move |&port: &PortIndex| {
            snapshot.reaches(port, key) && snapshot.egress(port, vlan, double) == Some(wanted)
        };
        let reached = move |port| !isolates || snapshot.may_talk(from, port);
        let mixed = mixed.iter().chain(routers).copied().filter(leaves);
        access.iter().copied().chain(mixed).filter(move |&port| port != from && reached(port))
    };
    let replication = Replication::new(&ctx, snapshot, groups);
    let is_replicated = replication.is_some_and(|it| it.send(&ctx, io, egress));
    let has = edit::tagging(&ctx);
    let wanted = has.other();
    if targets(wanted).next().is_none() {
        if targets(has).next().is_some() {
            fan_out(ctx.frame, from, targets(has), io, egress);
        } else if is_replicated {
            // The copy of one VTEP stands for it.
            io.stats.counters.flood_copies -= 1;
            io.pool.release(ctx.frame);
        } else {
            drop_undelivered(ctx, io);
        }
        return;
    }
    let (mut frame, original) = if targets(has).next().is_none() {
        (ctx.frame, None)
    } else {
        io.stats.counters.flood_copies += 1;
        let Some(copy) = io.pool.copy(&ctx.frame) else {
            io.drop_copy(from, &ctx.frame, DropReason::NoBuffer);
            return fan_out(ctx.frame, from, targets(has), io, egress);
        };
        (copy, Some(ctx.frame))
    };
    if edit::retag(io.pool, &mut frame, vlan, wanted) {
        fan_out(frame, from, targets(wanted), io, egress);
    } else {
        io.drop_frame(from, frame, DropReason::NoBuffer);
    }
    if let Some(frame) = original {
        fan_out(frame, from, targets(has), io, egress);
    }
}

/// Ends a frame that the switch has read.
fn consume(frame: Frame, io: &mut FrameIo<'_, impl Observer>) {
    io.stats.counters.consumed += 1;
    io.pool.release(frame);
}

/// Ends a flood that no port gets.
fn drop_undelivered(ctx: FrameCtx, io: &mut FrameIo<'_, impl Observer>) {
    match ctx.verdict {
        // The switch has read the report.
        Verdict::Routers => consume(ctx.frame, io),
        Verdict::Group => io.drop_frame(ctx.port, ctx.frame, DropReason::NoListener),
        _ => io.drop_frame(ctx.port, ctx.frame, DropReason::NoOtherPort),
    }
}

/// A frame that the switch sends of its own accord.
pub(super) struct Original<'a> {
    /// Ethernet frame without a tag.
    pub(super) frame: &'a [u8],
    pub(super) vlan: u16,
    /// Whether it leaves with the VLAN's tag.
    pub(super) wanted: Tagging,
}

/// Sends a frame of the switch's own to ports. Without a buffer it is not sent.
pub(super) fn originate(
    original: Original<'_>,
    targets: impl Iterator<Item = PortIndex>,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let mut targets = targets.peekable();
    let Some(&first) = targets.peek() else { return };
    let Some(mut frame) = io.pool.alloc_with(original.frame) else { return };
    let Original { vlan, wanted, .. } = original;
    if wanted == Tagging::Tagged && !edit::retag(io.pool, &mut frame, vlan, wanted) {
        return io.pool.release(frame);
    }
    io.stats.counters.generated += 1;
    fan_out(frame, first, targets, io, egress);
}

/// Sends one buffer to all targets: each gets a holder, the last one the original. A port without a
/// holder is counted. Ports that the engine does not have, yet or any more, are left out.
fn fan_out(
    frame: Frame,
    from: PortIndex,
    targets: impl Iterator<Item = PortIndex>,
    io: &mut FrameIo<'_, impl Observer>,
    egress: &mut (impl Egress + ?Sized),
) {
    let mut last = None;
    for next in targets {
        if !egress.is_open(next) {
            continue;
        }
        let Some(target) = last.replace(next) else { continue };
        io.stats.counters.flood_copies += 1;
        match io.pool.share(&frame) {
            Some(copy) => egress.send(io, target, copy),
            // Cannot happen while a pool allows a holder for every port.
            None => io.drop_copy(from, &frame, DropReason::NoBuffer),
        }
    }
    match last {
        Some(target) => egress.send(io, target, frame),
        None => io.drop_frame(from, frame, DropReason::NoOtherPort),
    }
}
