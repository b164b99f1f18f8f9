//! The frames of one round, and what the rooms have found out about them.

use fastpath::engine::Received;
use fastpath::{Frame, Pool, PortIndex};
use wire::meta::Meta;

use super::{DropReason, NetworkIndex};

/// What is to become of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not decided yet.
    Pending,
    /// To one port.
    Unicast(PortIndex),
    /// To every port of its network but the one it came from.
    Flood,
    /// Nowhere.
    Drop(DropReason),
}

/// A frame on its journey.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) frame: Frame,
    /// Where it came in.
    pub(super) port: PortIndex,
    /// Its network, once it is admitted.
    pub(super) network: NetworkIndex,
    pub(super) verdict: Verdict,
    /// What it is; meaningless where the verdict is to drop.
    pub(super) meta: Meta,
    /// Bytes of IP packet in the longest segment that it will be cut into.
    pub(super) segment: u32,
}

impl Slot {
    /// The VLAN id of the outer tag, 0 for none.
    #[inline]
    pub(super) fn vlan(&self) -> u16 {
        self.meta.outer.map_or(0, |tci| tci.vid())
    }
}

/// The frames of one round. Reused, so that a round allocates nothing.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) slots: Vec<Slot>,
}

impl Batch {
    /// An empty batch with room for `frames`.
    #[must_use]
    pub fn with_capacity(frames: usize) -> Self {
        Self { slots: Vec::with_capacity(frames) }
    }

    /// Adds a frame that came in on a port.
    #[inline]
    pub fn push(&mut self, port: PortIndex, frame: Frame) {
        self.slots.push(Slot {
            frame,
            port,
            network: NetworkIndex::default(),
            verdict: Verdict::Pending,
            meta: super::parse::NOTHING,
            segment: 0,
        });
    }

    /// Takes over everything that an engine has received.
    #[inline]
    pub fn fill(&mut self, received: &mut Vec<Received>) {
        for Received { port, frame } in received.drain(..) {
            self.push(port, frame);
        }
    }

    /// Frames in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Gives all frames back, as when a worker ends.
    pub fn discard(&mut self, pool: &mut Pool) {
        for slot in self.slots.drain(..) {
            pool.release(slot.frame);
        }
    }
}
