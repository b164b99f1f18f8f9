//! The frames of one round, and what the rooms have found out about them.

use fastpath::engine::Received;
use fastpath::{Frame, Pool, PortIndex};
use wire::meta::Meta;

use super::fdb::{Key, Place};
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
    /// Bytes of IP packet in the longest segment that it will be cut into.
    pub(super) segment: u32,
    /// Where its addresses lie in the forwarding database, once it is admitted.
    pub(super) src_place: Place,
    pub(super) dst_place: Place,
    /// What it is.
    pub(super) meta: Meta,
}

impl Slot {
    /// The VLAN id of the outer tag, 0 for none.
    #[inline]
    fn vlan(&self) -> u16 {
        self.meta.outer.map_or(0, |tci| tci.vid())
    }

    #[inline]
    pub(super) fn src_key(&self) -> Key {
        Key::new(self.network, self.vlan(), self.meta.src)
    }

    #[inline]
    pub(super) fn dst_key(&self) -> Key {
        Key::new(self.network, self.vlan(), self.meta.dst)
    }
}

/// The frames of one round. Reused, so that a round allocates nothing.
#[derive(Debug, Default)]
pub struct Batch {
    /// Frames that wait for the first room.
    pub(super) incoming: Vec<Received>,
    /// Frames on their journey.
    pub(super) slots: Vec<Slot>,
}

impl Batch {
    /// An empty batch with room for `frames`.
    #[must_use]
    pub fn with_capacity(frames: usize) -> Self {
        Self { incoming: Vec::with_capacity(frames), slots: Vec::with_capacity(frames) }
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
        self.incoming.len() + self.slots.len()
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
