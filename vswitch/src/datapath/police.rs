//! Rate limits in both directions and storm control: frames beyond the rate are dropped.
//!
//! Policing, not shaping: no queue. Each limit of a port is a [`TokenBucket`] that all workers
//! share. Frames are counted as they would be on a wire: a GSO frame as its segments, each with its
//! headers (without preamble and FCS), since that is what it becomes where offloads end.
//!
//! | limit | stage | counts | what does not fit |
//! |---|---|---|---|
//! | rate in | before learn | bytes from the port | `rate-limit-in`, at that port |
//! | storm | after lookup | frames that go to many | `storm-*`, at that port |
//! | rate out | tx | bytes to the port | `rate-limit-out`, at the port they were meant for |
//!
//! A flood that goes to other nodes costs a token for every so many of them
//! ([`STORM_COPIES`], [`STORM_MULTICAST_COPIES`]), since each gets a copy of its own.
//!
//! A run of frames of one port takes from a bucket once. Ports without a limit, and snapshots in which
//! no port has one, are decided outside the loops.

#[cfg(test)]
mod tests;

use fastpath::limits::VNET_LEN;
use fastpath::{Frame, Nanos, Pool, PortIndex};
use wire::vnet::{GsoType, Header};

use super::batch::FrameCtx;
use super::limits::{STORM_COPIES, STORM_MULTICAST_COPIES};
use super::loops::LoopTable;
use super::overlay::encapsulate::Replication;
use super::{Batch, DropReason, Egress, FrameIo, Groups, Observer, Snapshot, TokenBucket, Verdict};

/// Polices received frames.
pub(super) fn ingress(now: Nanos, batch: &mut Batch, pool: &Pool, snapshot: &Snapshot) {
    if !snapshot.limited().rate_in {
        return;
    }
    for run in batch.frames.chunk_by_mut(|a, b| a.port == b.port) {
        let Some(bucket) = &snapshot.limits(run[0].port).rate_in else { continue };
        police(bucket, now, run, DropReason::RateLimitIn, |ctx| match ctx.verdict {
            Verdict::Drop(_) => 0,
            _ => on_wire(pool.bytes(&ctx.frame)).bytes,
        });
    }
}

/// Polices frames to several ports.
pub(super) fn storm(
    now: Nanos,
    batch: &mut Batch,
    pool: &Pool,
    snapshot: &Snapshot,
    groups: &Groups,
) {
    if !snapshot.limited().storm {
        return;
    }
    for run in batch.frames.chunk_by_mut(|a, b| a.port == b.port) {
        let Some(storm) = &snapshot.limits(run[0].port).storm else { continue };
        if run.iter().all(|ctx| kind(ctx).is_none()) {
            continue;
        }
        let buckets = [
            (Kind::Broadcast, &storm.broadcast, DropReason::StormBroadcast),
            (Kind::Multicast, &storm.multicast, DropReason::StormMulticast),
            (Kind::Unknown, &storm.unknown, DropReason::StormUnknown),
        ];
        for (wanted, bucket, reason) in buckets {
            let Some(bucket) = bucket else { continue };
            police(bucket, now, run, reason, |ctx| {
                if kind(ctx) != Some(wanted) {
                    return 0;
                }
                let nodes = Replication::new(ctx, snapshot, groups).map_or(0, |it| it.copies());
                on_wire(pool.bytes(&ctx.frame)).frames * wanted.tokens(nodes)
            });
        }
    }
}

/// Kind of a frame to several ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Broadcast,
    Multicast,
    Unknown,
}

impl Kind {
    /// Tokens of a frame that so many other nodes get.
    fn tokens(self, nodes: usize) -> u64 {
        let copies = if self == Self::Multicast { STORM_MULTICAST_COPIES } else { STORM_COPIES };
        nodes.div_ceil(copies).max(1) as u64
    }
}

#[inline]
fn kind(ctx: &FrameCtx) -> Option<Kind> {
    match ctx.verdict {
        // To one port, whatever the address: an ARP answer of the switch, for instance.
        Verdict::Drop(_) | Verdict::Unicast(_) => None,
        _ if ctx.dst.is_multicast() => {
            let to_all = ctx.meta.dst.is_broadcast();
            Some(if to_all { Kind::Broadcast } else { Kind::Multicast })
        }
        Verdict::Flood => Some(Kind::Unknown),
        _ => None,
    }
}

/// Takes the frames of a run out of a bucket, once; drops those that do not fit. A frame that costs
/// nothing is not concerned.
fn police(
    bucket: &TokenBucket,
    now: Nanos,
    run: &mut [FrameCtx],
    reason: DropReason,
    cost: impl Fn(&FrameCtx) -> u64,
) {
    let total: u64 = run.iter().map(&cost).sum();
    if total == 0 {
        return;
    }
    let fits = |left: &mut u64, cost: u64| {
        let fits = cost <= *left;
        *left -= if fits { cost } else { 0 };
        fits
    };
    let available = bucket.take(now, |available| {
        if total <= available {
            return total;
        }
        let mut left = available;
        for ctx in run.iter() {
            fits(&mut left, cost(ctx));
        }
        available - left
    });
    if total <= available {
        return;
    }
    let mut left = available;
    for ctx in run {
        if !fits(&mut left, cost(ctx)) {
            ctx.verdict = Verdict::Drop(reason);
        }
    }
}

/// Egress with rate limits and blocked ports.
pub(super) struct PolicedEgress<'a, E: ?Sized> {
    pub(super) now: Nanos,
    pub(super) snapshot: &'a Snapshot,
    pub(super) loop_table: &'a LoopTable,
    pub(super) inner: &'a mut E,
}

impl<E: Egress + ?Sized> Egress for PolicedEgress<'_, E> {
    #[inline]
    fn is_open(&self, port: PortIndex) -> bool {
        self.inner.is_open(port)
    }

    fn send<O: Observer>(&mut self, io: &mut FrameIo<'_, O>, port: PortIndex, frame: Frame) {
        let reason = if self.loop_table.is_blocked(port, self.now) {
            DropReason::LoopBlocked
        } else {
            match &self.snapshot.limits(port).rate_out {
                Some(bucket) if !bucket.pass(self.now, on_wire(io.pool.bytes(&frame)).bytes) => {
                    DropReason::RateLimitOut
                }
                _ => return self.inner.send(io, port, frame),
            }
        };
        io.drop_at_egress(port, frame, reason);
    }
}

/// Frames and bytes of a frame on a wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OnWire {
    frames: u64,
    bytes: u64,
}

/// Cost of a frame, given with its virtio-net header.
#[inline]
fn on_wire(bytes: &[u8]) -> OnWire {
    let len = bytes.len().saturating_sub(VNET_LEN) as u64;
    match bytes.get(1) {
        None | Some(0) => OnWire { frames: 1, bytes: len },
        Some(_) => segmented(bytes, len),
    }
}

/// Costs of a GSO frame, by its offload header. A forged header (packet(7), `PACKET_VNET_HDR`) costs what
/// its segments would cost on a wire.
fn segmented(bytes: &[u8], len: u64) -> OnWire {
    let whole = OnWire { frames: 1, bytes: len };
    let Ok(header) = Header::parse(bytes) else { return whole };
    let transport = usize::from(header.csum_start);
    let transport_len = match header.gso_type {
        GsoType::None => return whole,
        GsoType::TcpV4 | GsoType::TcpV6 => {
            let offset = bytes.get(VNET_LEN + transport + TCP_OFFSET_AT).copied().unwrap_or(0);
            usize::from(offset >> 4) * 4
        }
        GsoType::Udp | GsoType::UdpL4 => UDP_LEN,
    };
    let headers = ((transport + transport_len) as u64).min(len);
    let segments = (len - headers).div_ceil(u64::from(header.gso_size.max(1))).max(1);
    OnWire { frames: segments, bytes: len + (segments - 1) * headers }
}

/// Where the data offset lies in a TCP header (RFC 9293, section 3.1).
const TCP_OFFSET_AT: usize = 12;

/// Length of a UDP header.
const UDP_LEN: usize = 8;
