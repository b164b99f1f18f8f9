//! The tunnel port and its VTEPs.

use std::net::IpAddr;

use fastpath::PortIndex;

use super::VtepConf;
use super::remote::IpTable;
use crate::datapath::destination::VtepIndex;

/// The tunnel port and its VTEPs, shared by all networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelConf {
    port: PortIndex,
    vteps: Vec<Option<Slot>>,
    /// The first slot of each address.
    by_address: IpTable<VtepIndex>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    conf: VtepConf,
    /// The next slot with the same address and another port.
    next: Option<VtepIndex>,
}

impl TunnelConf {
    /// The tunnel of a port; VTEPs by [`VtepIndex`], vacant slots are `None`.
    #[must_use]
    pub fn new(port: PortIndex, vteps: Vec<Option<VtepConf>>) -> Self {
        let mut tunnel = Self { port, vteps: Vec::new(), by_address: IpTable::default() };
        tunnel.vteps =
            vteps.into_iter().map(|conf| Some(Slot { conf: conf?, next: None })).collect();
        let slots = (0..VtepIndex::MAX).map(VtepIndex).zip(&mut tunnel.vteps);
        for (index, slot) in slots.rev() {
            if let Some(slot) = slot {
                slot.next = tunnel.by_address.insert(slot.conf.address.ip().to_canonical(), index);
            }
        }
        tunnel
    }

    /// The port.
    #[inline]
    #[must_use]
    pub const fn port(&self) -> PortIndex {
        self.port
    }

    /// The VTEP of a slot, unless it is vacant.
    #[inline]
    #[must_use]
    pub fn vtep(&self, index: VtepIndex) -> Option<&VtepConf> {
        Some(&self.vteps.get(usize::from(index.0))?.as_ref()?.conf)
    }

    /// Slots, vacant ones included.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.vteps.len()
    }

    /// The VTEPs of an address: more than one where they differ by port, which the source of a datagram does not
    /// tell.
    #[inline]
    pub(in crate::datapath) fn at(&self, address: IpAddr) -> impl Iterator<Item = VtepIndex> {
        let next = |index: &VtepIndex| self.vteps.get(usize::from(index.0))?.as_ref()?.next;
        std::iter::successors(self.by_address.get(address), next)
    }
}
