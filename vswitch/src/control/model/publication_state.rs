//! Publications that are kept although the host does not hand them over: somebody else has their ports. The
//! datapath does without them meanwhile, so that what is sent to these ports reaches whoever has them.
//!
//! That a publication is pending is remembered as long as it is not opened, nor allocated anew, also while somebody
//! withdraws it: that may be undone.

use vswitch_api::port::PendingPublication;
use vswitch_api::publish::{PortSpec, Publication};

use super::{Lease, Model, Port, PortState};
use crate::control::name::Name;

impl Port {
    /// Its publications that are open, or are being opened.
    pub(crate) fn active_publications(&self) -> impl Iterator<Item = &Publication> {
        self.publications
            .iter()
            .filter(|one| !self.pending.iter().any(|pending| pending.ports == one.ports))
    }

    /// The others, with the reason.
    pub(crate) fn pending_publications(&self) -> impl Iterator<Item = &PendingPublication> {
        self.pending
            .iter()
            .filter(|pending| self.publications.iter().any(|one| one.ports == pending.ports))
    }
}

impl Model {
    /// How many publications are open, and how many are not.
    pub(crate) fn count_publications(&self) -> (usize, usize) {
        let ports = self.ports.values();
        ports.fold((0, 0), |(open, not), port| {
            (open + port.active_publications().count(), not + port.pending_publications().count())
        })
    }

    /// All that are pending, of attachments that work.
    pub(crate) fn all_pending(&self) -> Vec<(Name, PendingPublication)> {
        let active = self.ports.iter().filter(|(_, port)| port.state == PortState::Active);
        active
            .flat_map(|(name, port)| {
                port.pending_publications().map(|one| (name.clone(), one.clone()))
            })
            .collect()
    }

    /// One of these, with whose it is; nothing if it was withdrawn meanwhile.
    pub(crate) fn pending_publication(
        &self,
        name: &Name,
        ports: &PortSpec,
    ) -> Option<(Lease, Publication)> {
        let port = self.ports.get(name).filter(|port| port.state == PortState::Active)?;
        port.pending_publications().find(|one| one.ports == *ports)?;
        let publication = port.publications.iter().find(|one| one.ports == *ports)?;
        Some((port.lease.clone(), publication.clone()))
    }

    /// The host does not hand a publication over.
    pub(crate) fn mark_pending(&mut self, name: &Name, ports: &PortSpec, reason: String) {
        self.mark_active(name, ports);
        self.change(name, |port| port.pending.push(PendingPublication { ports: *ports, reason }));
    }

    /// The host hands it over, or is about to.
    pub(crate) fn mark_active(&mut self, name: &Name, ports: &PortSpec) {
        self.change(name, |port| port.pending.retain(|one| one.ports != *ports));
    }
}
