//! Who gets what is flooded: the access ports of each VLAN, and the trunks.
//!
//! A trunk stands once, not in the list of each VLAN that it carries, so that compiling costs what there
//! are ports, and asks its bit when something is flooded.

use fastpath::PortIndex;

use super::{PortConf, Snapshot, Tagging};

/// The ports of a network that are switched on.
#[derive(Debug, Default)]
pub(in crate::datapath) struct Members {
    /// Access ports by VLAN, in the order of the VLANs.
    access: Vec<(u16, Vec<PortIndex>)>,
    trunks: Vec<PortIndex>,
}

impl Members {
    pub(super) fn add(&mut self, port: PortIndex, conf: &PortConf) {
        if conf.vlans.is_trunk() {
            self.trunks.push(port);
        } else if let Some(vlan) = conf.vlans.untagged() {
            match self.access.binary_search_by_key(&vlan, |&(vlan, _)| vlan) {
                Ok(at) => self.access[at].1.push(port),
                Err(at) => self.access.insert(at, (vlan, vec![port])),
            }
        }
    }

    /// Access ports of a VLAN.
    pub(in crate::datapath) fn access(&self, vlan: u16) -> &[PortIndex] {
        let at = self.access.binary_search_by_key(&vlan, |&(vlan, _)| vlan);
        at.map_or(&[], |at| &self.access[at].1)
    }

    /// VLANs that have access ports.
    pub(in crate::datapath) fn access_vlans(&self) -> impl Iterator<Item = u16> {
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
