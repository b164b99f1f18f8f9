//! Who gets what is flooded: the access ports of each VLAN, and the trunks.
//!
//! A trunk stands once, not in the list of each VLAN that it carries, so that compiling costs what there
//! are ports, and asks its bit when something is flooded.

use fastpath::PortIndex;

use super::{PortConf, Snapshot, Tagging};

/// The ports of a network that are switched on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::datapath) struct Members {
    /// Access ports by VLAN, in the order of the VLANs; native ones of trunks are among them, if with no
    /// access port.
    access: Vec<(u16, Vec<PortIndex>)>,
    trunks: Vec<PortIndex>,
}

impl Members {
    pub(super) fn add(&mut self, port: PortIndex, conf: &PortConf) {
        let access = (!conf.vlans.is_trunk()).then_some(port);
        if access.is_none() {
            self.trunks.push(port);
        }
        if let Some(vlan) = conf.vlans.untagged() {
            match self.access.binary_search_by_key(&vlan, |&(vlan, _)| vlan) {
                Ok(at) => self.access[at].1.extend(access),
                Err(at) => self.access.insert(at, (vlan, access.into_iter().collect())),
            }
        }
    }

    /// Access ports of a VLAN.
    pub(in crate::datapath) fn access(&self, vlan: u16) -> &[PortIndex] {
        let at = self.access.binary_search_by_key(&vlan, |&(vlan, _)| vlan);
        at.map_or(&[], |at| &self.access[at].1)
    }

    /// VLANs that some port carries without a tag, in their order.
    pub(in crate::datapath) fn domains(&self) -> impl Iterator<Item = u16> {
        self.access.iter().map(|&(vlan, _)| vlan)
    }

    /// Ports that frames of a VLAN leave by with a tag, or without one.
    pub(in crate::datapath) fn targets(
        &self,
        snapshot: &Snapshot,
        vlan: u16,
        wanted: Tagging,
    ) -> impl Iterator<Item = PortIndex> {
        let access = if wanted == Tagging::Untagged { self.access(vlan) } else { &[] };
        let leaves = move |&port: &PortIndex| snapshot.egress(port, vlan, false) == Some(wanted);
        access.iter().copied().chain(self.trunks.iter().copied().filter(leaves))
    }

    /// Trunks, whatever they carry.
    pub(in crate::datapath) fn trunks(&self) -> &[PortIndex] {
        &self.trunks
    }
}
