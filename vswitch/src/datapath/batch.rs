//! The frames of one round with their metadata and verdicts.

use fastpath::engine::Received;
use fastpath::{Frame, Pool, PortIndex};
use wire::meta::Meta;

use super::fdb::{BucketPair, Key};
use super::{Destination, DropReason, NetworkIndex};

/// Decision about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Pending,
    /// To one destination.
    Unicast(Destination),
    /// To every port of its network but the one it came from, and to the VTEPs.
    Flood,
    /// The same without the VTEPs: a question for the gateway, which each node has.
    FloodPorts,
    /// To the ports that listen to its group, and to multicast routers.
    Group,
    /// A report: to the ports of multicast routers; the switch has read it, too.
    Routers,
    /// Queued by the router until the next hop's MAC address is known.
    AwaitsNeighbour,
    /// A fragment, queued by the router until the first of its packet has come.
    AwaitsFragment,
    /// A fragment, queued until it is known which worker translates its packet.
    AwaitsAssignment,
    /// Handed off to the worker that translates it, or that tracks the fragments of its packet.
    Handoff {
        /// The worker.
        to: u8,
        /// Whether that worker translates it.
        is_assigned: bool,
    },
    /// Read by the switch itself.
    Consumed,
    /// Dropped.
    Drop(DropReason),
}

/// A frame with its metadata. The order of the fields keeps copies aligned.
#[derive(Debug)]
#[repr(C)]
pub(super) struct FrameCtx {
    pub(super) frame: Frame,
    /// Ingress port.
    pub(super) port: PortIndex,
    /// Its network once it is admitted, else [`NetworkIndex::NONE`].
    pub(super) network: NetworkIndex,
    pub(super) verdict: Verdict,
    /// Bytes of IP packet in its longest segment.
    pub(super) segment: u32,
    /// FDB keys and buckets of its addresses, once it is admitted.
    pub(super) src: Key,
    pub(super) dst: Key,
    pub(super) src_buckets: BucketPair,
    pub(super) dst_buckets: BucketPair,
    /// Headers, offsets, VLAN tags.
    pub(super) meta: Meta,
    /// Its ingress port, or the VTEP that sent it: where its source MAC address lives.
    pub(super) source: Destination,
}

/// What [`FrameCtx`] takes on the way through the stages, in bytes.
const _: () = assert!(size_of::<FrameCtx>() == 112, "the source lies in padding");

impl FrameCtx {
    /// Whether two frames came from one port or VTEP into one network, so that a stage looks both up once.
    #[inline]
    pub(super) fn same_ingress(a: &Self, b: &Self) -> bool {
        a.source == b.source && a.network == b.network
    }

    /// A frame of the switch for its sender, of the untagged domain.
    pub(super) fn answer(&self, frame: Frame, meta: Meta) -> Self {
        Self {
            frame,
            verdict: Verdict::Unicast(self.source),
            segment: meta.l3_len,
            src: Key::NONE,
            dst: Key::new(self.network, 0, meta.dst),
            meta,
            ..*self
        }
    }

    /// Whether it came from another node.
    #[inline]
    pub(super) const fn is_from_tunnel(&self) -> bool {
        self.source.is_tunnel()
    }
}

/// The frames of one round. Reused, so that a round allocates nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// Frames before the first stage.
    pub(super) incoming: Vec<Received>,
    /// Frames between stages.
    pub(super) frames: Vec<FrameCtx>,
    /// Whether any admitted frame is multicast; stages for multicast are skipped otherwise.
    pub(super) has_groups: bool,
}

impl Batch {
    /// An empty batch with capacity for `frames`.
    #[must_use]
    pub fn with_capacity(frames: usize) -> Self {
        let (incoming, frames) = (Vec::with_capacity(frames), Vec::with_capacity(frames));
        Self { incoming, frames, has_groups: false }
    }

    /// The list to which an engine appends received frames.
    #[inline]
    pub fn incoming(&mut self) -> &mut Vec<Received> {
        &mut self.incoming
    }

    /// Adds a frame as if it came in on a port.
    pub fn push(&mut self, port: PortIndex, frame: Frame) {
        self.incoming.push(Received { port, frame });
    }

    /// Frames in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.incoming.len() + self.frames.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Releases all frames, as when a worker ends.
    pub fn discard(&mut self, pool: &mut Pool) {
        for received in self.incoming.drain(..) {
            pool.release(received.frame);
        }
    }
}
