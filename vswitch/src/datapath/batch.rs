//! The frames of one round, and what the stages have found out about them.

use fastpath::engine::Received;
use fastpath::{Frame, Pool, PortIndex};
use wire::meta::Meta;

use super::fdb::{BucketPair, Key};
use super::{Destination, DropReason, NetworkIndex};

/// What is to become of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Pending,
    /// To one destination.
    Unicast(Destination),
    /// To every port of its network but the one it came from.
    Flood,
    /// To the ports that listen to its group, and to routers.
    Group,
    /// To the ports of multicast routers; it was meant for the switch, too.
    Routers,
    /// Nowhere yet: the router keeps it until it knows its next hop.
    AwaitsNeighbour,
    /// Nowhere yet: a fragment, which the router keeps until the first of its packet has come.
    AwaitsFragment,
    /// Nowhere yet: a fragment, of which the router does not know yet which worker translates it.
    AwaitsAssignment,
    /// To another worker, which translates it, or, of a fragment, knows who does.
    Handoff {
        /// That worker.
        to: u8,
        /// It translates it.
        is_assigned: bool,
    },
    /// Nowhere.
    Drop(DropReason),
}

/// A frame on its journey. In this order, so that what is copied together lies aligned.
#[derive(Debug)]
#[repr(C)]
pub(super) struct FrameCtx {
    pub(super) frame: Frame,
    /// Ingress port.
    pub(super) port: PortIndex,
    /// Its network once it is admitted, else [`NetworkIndex::NONE`].
    pub(super) network: NetworkIndex,
    pub(super) verdict: Verdict,
    /// Bytes of IP packet in the longest segment that it will be cut into.
    pub(super) segment: u32,
    /// Its addresses as the forwarding database knows them, and where they lie in it, once it is
    /// admitted.
    pub(super) src: Key,
    pub(super) dst: Key,
    pub(super) src_buckets: BucketPair,
    pub(super) dst_buckets: BucketPair,
    /// What it is.
    pub(super) meta: Meta,
}

impl FrameCtx {
    /// Whether two frames came by one port into one network, so that a stage looks both up once.
    #[inline]
    pub(super) fn same_ingress(a: &Self, b: &Self) -> bool {
        a.port == b.port && a.network == b.network
    }

    /// Where its source MAC address lives.
    #[inline]
    pub(super) fn source(&self) -> Destination {
        self.port.into()
    }
}

/// The frames of one round. Reused, so that a round allocates nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// Frames that wait for the first stage.
    pub(super) incoming: Vec<Received>,
    /// Frames on their journey.
    pub(super) frames: Vec<FrameCtx>,
    /// Whether any of them that was admitted is for a group: the stages that are about groups have
    /// nothing to do otherwise.
    pub(super) has_groups: bool,
}

impl Batch {
    /// An empty batch with room for `frames`.
    #[must_use]
    pub fn with_capacity(frames: usize) -> Self {
        let (incoming, frames) = (Vec::with_capacity(frames), Vec::with_capacity(frames));
        Self { incoming, frames, has_groups: false }
    }

    /// Where an engine puts what it receives.
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

    /// Gives all frames back, as when a worker ends.
    pub fn discard(&mut self, pool: &mut Pool) {
        for received in self.incoming.drain(..) {
            pool.release(received.frame);
        }
    }
}
