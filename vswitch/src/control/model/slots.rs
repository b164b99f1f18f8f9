//! The allocator of port slots, over all networks and uplinks.
//!
//! Allocation is next-fit: a late event about a closed port does not meet its successor.

use std::collections::BTreeMap;

use fastpath::PortIndex;

use super::{EndpointKey, NetworkName};
use crate::control::error::ControlError;

/// The owner of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SlotOwner {
    /// The host port of a network.
    Host(NetworkName),
    /// The TAP of the uplink of this device.
    Uplink(String),
    /// The service port.
    Service,
    /// The tunnel port.
    Tunnel,
    Endpoint(EndpointKey),
}

/// All slots that the workers have.
#[derive(Debug)]
pub(super) struct Slots {
    owners: BTreeMap<PortIndex, SlotOwner>,
    next: usize,
    /// Number of slots.
    end: usize,
}

impl Slots {
    pub(super) fn new(end: usize) -> Self {
        Self { owners: BTreeMap::new(), next: 0, end }
    }

    /// The free slot after the one that was given last.
    pub(super) fn find_free(&self) -> Result<PortIndex, ControlError> {
        let slots = (self.next..self.end).chain(0..self.next.min(self.end));
        let mut free = slots.filter_map(PortIndex::new);
        free.find(|slot| !self.owners.contains_key(slot)).ok_or_else(|| {
            let is_shared = |owner: &&SlotOwner| !matches!(owner, SlotOwner::Endpoint(_));
            let shared = self.owners.values().filter(is_shared).count();
            ControlError::PortsMax(self.end.saturating_sub(shared))
        })
    }

    pub(super) fn insert(&mut self, slot: PortIndex, owner: SlotOwner) {
        self.owners.insert(slot, owner);
        self.next = slot.get() + 1;
    }

    /// Notes that the owner of a slot has another name.
    pub(super) fn reassign(&mut self, slot: PortIndex, owner: SlotOwner) {
        self.owners.insert(slot, owner);
    }

    pub(super) fn allocate(&mut self, owner: SlotOwner) -> Result<PortIndex, ControlError> {
        let slot = self.find_free()?;
        self.insert(slot, owner);
        Ok(slot)
    }

    pub(super) fn release(&mut self, slot: PortIndex) {
        self.owners.remove(&slot);
    }

    pub(super) fn owner(&self, slot: PortIndex) -> Option<&SlotOwner> {
        self.owners.get(&slot)
    }
}
