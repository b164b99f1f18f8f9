//! Pending publications: the document has them, but another program on the host has their ports.
//!
//! The datapath leaves them out, so that frames for these ports reach the other program. A publication
//! stays pending until it is opened or allocated anew, also while a withdrawal may be undone.

use vswitch_api::port::PendingPublication;
use vswitch_api::publish::{PortSpec, Publication};

use super::super::{Endpoint, EndpointKey, EndpointState, Lease, Model};

impl Endpoint {
    /// Publications that are open, or are being opened.
    pub(crate) fn active_publications(&self) -> impl Iterator<Item = &Publication> {
        self.publications
            .iter()
            .filter(|one| !self.pending.iter().any(|pending| pending.ports == one.ports))
    }

    /// Pending publications with the reason.
    pub(crate) fn pending_publications(&self) -> impl Iterator<Item = &PendingPublication> {
        self.pending
            .iter()
            .filter(|pending| self.publications.iter().any(|one| one.ports == pending.ports))
    }
}

impl Model {
    /// Number of open publications, and of pending ones.
    pub(crate) fn count_publications(&self) -> (usize, usize) {
        self.endpoints().fold((0, 0), |(open, not), it| {
            (open + it.active_publications().count(), not + it.pending_publications().count())
        })
    }

    /// All pending publications of active endpoints.
    pub(crate) fn all_pending(&self) -> Vec<(EndpointKey, PendingPublication)> {
        let active = self.endpoints.iter().filter(|(_, it)| it.state == EndpointState::Active);
        let pending =
            active.flat_map(|(key, it)| it.pending_publications().map(move |one| (key, one)));
        pending.map(|(key, one)| (key.clone(), one.clone())).collect()
    }

    /// A pending publication with its endpoint; nothing if it was withdrawn.
    pub(crate) fn pending_publication(
        &self,
        key: &EndpointKey,
        ports: &PortSpec,
    ) -> Option<(Lease, Publication)> {
        let endpoint = self.active_endpoint(key).ok()?;
        endpoint.pending_publications().find(|one| one.ports == *ports)?;
        let publication = endpoint.publications.iter().find(|one| one.ports == *ports)?;
        Some((endpoint.lease.clone(), publication.clone()))
    }

    /// Notes that the host refuses a publication.
    pub(crate) fn mark_pending(&mut self, key: &EndpointKey, ports: &PortSpec, reason: String) {
        self.mark_active(key, ports);
        let pending = PendingPublication { ports: *ports, reason };
        self.change(key, |endpoint| endpoint.pending.push(pending));
    }

    /// Notes that the host has a publication open, or opens it now.
    pub(crate) fn mark_active(&mut self, key: &EndpointKey, ports: &PortSpec) {
        self.change(key, |endpoint| endpoint.pending.retain(|one| one.ports != *ports));
        self.invalidate_publications();
    }
}
