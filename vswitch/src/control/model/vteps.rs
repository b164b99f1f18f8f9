//! Slots of VTEPs, which all networks share.
//!
//! States of a slot: *free* -> *taken*, while networks have the VTEP -> *unused*, until no worker knows it -> *free*. An
//! address that comes back meanwhile takes its former slot again. Allocation is next-fit, as that of ports: a late entry
//! of a forwarding database does not meet the successor.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::control::OverlayError;
use crate::control::limits::VTEPS_MAX;
use crate::datapath::VtepIndex;

/// A VTEP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vtep {
    /// Where it receives.
    pub(crate) address: SocketAddr,
    /// Largest IP packet that the path to it carries on the underlay, once it is known.
    pub(crate) path_mtu: Option<u32>,
    /// Networks that have it, and those of them for which it is a static peer.
    users: usize,
    static_users: usize,
}

impl Vtep {
    /// Whether MAC addresses are learnt from its frames.
    pub(crate) const fn is_learning(&self) -> bool {
        self.static_users > 0
    }
}

/// All slots.
#[derive(Debug, Default)]
pub(super) struct Vteps {
    slots: Vec<Option<Vtep>>,
    by_address: BTreeMap<SocketAddr, VtepIndex>,
    next: usize,
}

impl Vteps {
    /// Takes the slot of an address for a further network.
    pub(super) fn acquire(
        &mut self,
        address: SocketAddr,
        is_static: bool,
    ) -> Result<VtepIndex, OverlayError> {
        let index = match self.by_address.get(&address) {
            Some(&index) => index,
            None => self.allocate(address)?,
        };
        if let Some(vtep) = self.slots[usize::from(index.0)].as_mut() {
            vtep.users += 1;
            vtep.static_users += usize::from(is_static);
        }
        Ok(index)
    }

    /// Gives the slot of an address back for one network. Returns it if it was the last.
    pub(super) fn release(&mut self, address: SocketAddr, is_static: bool) -> Option<VtepIndex> {
        let index = *self.by_address.get(&address)?;
        let vtep = self.slots[usize::from(index.0)].as_mut()?;
        vtep.users = vtep.users.saturating_sub(1);
        vtep.static_users = vtep.static_users.saturating_sub(usize::from(is_static));
        (vtep.users == 0).then_some(index)
    }

    /// Frees a slot, unless a network has it again.
    pub(super) fn free(&mut self, index: VtepIndex) {
        let slot = self.slots.get_mut(usize::from(index.0));
        if let Some(unused) = slot.and_then(|slot| slot.take_if(|vtep| vtep.users == 0)) {
            self.by_address.remove(&unused.address);
        }
    }

    fn allocate(&mut self, address: SocketAddr) -> Result<VtepIndex, OverlayError> {
        let is_free = |at: &usize| self.slots.get(*at).is_none_or(Option::is_none);
        let mut slots = (self.next..VTEPS_MAX).chain(0..self.next.min(VTEPS_MAX));
        let at = slots.find(is_free).ok_or(OverlayError::VtepsMax)?;
        if self.slots.len() <= at {
            self.slots.resize(at + 1, None);
        }
        self.slots[at] = Some(Vtep { address, path_mtu: None, users: 0, static_users: 0 });
        self.next = at + 1;
        let index = VtepIndex(at as u16);
        self.by_address.insert(address, index);
        Ok(index)
    }

    pub(super) fn find(&self, address: SocketAddr) -> Option<VtepIndex> {
        self.by_address.get(&address).copied()
    }

    pub(super) fn get(&self, index: VtepIndex) -> Option<&Vtep> {
        self.slots.get(usize::from(index.0))?.as_ref().filter(|vtep| vtep.users > 0)
    }

    /// Sets the largest IP packet of the path; says whether it is another one.
    pub(super) fn set_path_mtu(&mut self, address: SocketAddr, mtu: u32) -> bool {
        let Some(index) = self.find(address) else { return false };
        let slot = self.slots.get_mut(usize::from(index.0));
        let Some(vtep) = slot.and_then(Option::as_mut) else { return false };
        vtep.path_mtu.replace(mtu) != Some(mtu)
    }

    /// Each slot, with the VTEP that networks have.
    pub(super) fn slots(&self) -> impl Iterator<Item = Option<&Vtep>> {
        self.slots.iter().map(|slot| slot.as_ref().filter(|vtep| vtep.users > 0))
    }

    /// The VTEPs that networks have.
    pub(super) fn iter(&self) -> impl Iterator<Item = (VtepIndex, &Vtep)> {
        let slots = (0..VtepIndex::MAX).map(VtepIndex).zip(self.slots());
        slots.filter_map(|(index, vtep)| Some((index, vtep?)))
    }
}

const _: () = assert!(VTEPS_MAX <= VtepIndex::MAX as usize, "a slot has an index");

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> SocketAddr {
        (std::net::Ipv4Addr::from_bits(0xc000_0200 + number), 4789).into()
    }

    #[test]
    fn networks_share_the_slot_of_an_address_and_the_last_one_gives_it_back() {
        let mut vteps = Vteps::default();
        let first = vteps.acquire(address(1), false).unwrap();
        assert_eq!(vteps.acquire(address(1), true).unwrap(), first);
        assert!(vteps.get(first).unwrap().is_learning());
        assert_eq!(vteps.release(address(1), true), None);
        assert!(!vteps.get(first).unwrap().is_learning(), "the other one does not learn");
        assert_eq!(vteps.release(address(1), false), Some(first));
        assert_eq!((vteps.get(first), vteps.iter().count()), (None, 0));
    }

    #[test]
    fn a_slot_is_taken_until_it_is_freed_and_rests_then() {
        let mut vteps = Vteps::default();
        let first = vteps.acquire(address(1), true).unwrap();
        assert_eq!(vteps.release(address(1), true), Some(first));
        assert_ne!(vteps.acquire(address(2), true).unwrap(), first);
        assert_eq!(vteps.acquire(address(1), true).unwrap(), first, "the same address comes back");
        vteps.free(first);
        assert!(vteps.get(first).is_some(), "a late end of its former use takes nothing");
        vteps.release(address(1), true);
        vteps.free(first);
        assert_ne!(vteps.acquire(address(1), true).unwrap(), first, "next-fit");
    }

    #[test]
    fn all_slots_are_given_and_no_more() {
        let mut vteps = Vteps::default();
        for number in 0..VTEPS_MAX as u32 {
            vteps.acquire(address(number), true).unwrap();
        }
        assert!(matches!(vteps.acquire(address(1 << 20), true), Err(OverlayError::VtepsMax)));
        let freed = vteps.release(address(7), true).unwrap();
        assert!(matches!(vteps.acquire(address(1 << 20), true), Err(OverlayError::VtepsMax)));
        vteps.free(freed);
        assert_eq!(vteps.acquire(address(1 << 20), true).unwrap(), freed);
    }
}
