//! Who gets what is flooded: the access ports of each VLAN, and the trunks.
//!
//! A trunk stands once, not in the list of each VLAN that it carries, so that compiling costs what there
//! are ports, and asks its bit when something is flooded.

use fastpath::PortIndex;

use super::PortConf;

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

    /// Trunks, whatever they carry.
    pub(in crate::datapath) fn trunks(&self) -> &[PortIndex] {
        &self.trunks
    }
}
