//! Publications that are kept although the host does not hand them over: somebody else has their ports. The
//! datapath does without them meanwhile, so that what is sent to these ports reaches whoever has them.
//!
//! That a publication is shut is remembered as long as it is not opened, nor claimed anew, also while somebody
//! withdraws it: that may be undone.

use vswitch_api::port::NotOpen;
use vswitch_api::publish::{PortSpec, Publication};

use super::{Lease, Model, Phase, Port};
use crate::control::name::Name;

impl Port {
    /// Its publications that are open, or are being opened.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Publication> {
        self.publications.iter().filter(|one| !self.shut.iter().any(|shut| shut.ports == one.ports))
    }

    /// The others, with the reason.
    pub(crate) fn not_open(&self) -> impl Iterator<Item = &NotOpen> {
        self.shut.iter().filter(|shut| self.publications.iter().any(|one| one.ports == shut.ports))
    }
}

impl Model {
    /// How many publications are open, and how many are not.
    pub(crate) fn open_and_not(&self) -> (usize, usize) {
        let ports = self.ports.values();
        ports.fold((0, 0), |(open, not), port| {
            (open + port.open().count(), not + port.not_open().count())
        })
    }

    /// All that are not open, of attachments that work.
    pub(crate) fn all_not_open(&self) -> Vec<(Name, NotOpen)> {
        let active = self.ports.iter().filter(|(_, port)| port.phase == Phase::Active);
        active
            .flat_map(|(name, port)| port.not_open().map(|one| (name.clone(), one.clone())))
            .collect()
    }

    /// One of these, with whose it is; nothing if it was withdrawn meanwhile.
    pub(crate) fn shut_publication(
        &self,
        name: &Name,
        ports: &PortSpec,
    ) -> Option<(Lease, Publication)> {
        let port = self.ports.get(name).filter(|port| port.phase == Phase::Active)?;
        port.not_open().find(|one| one.ports == *ports)?;
        let publication = port.publications.iter().find(|one| one.ports == *ports)?;
        Some((port.lease.clone(), publication.clone()))
    }

    /// The host does not hand a publication over.
    pub(crate) fn note_shut(&mut self, name: &Name, ports: &PortSpec, reason: String) {
        self.note_open(name, ports);
        self.change(name, |port| port.shut.push(NotOpen { ports: *ports, reason }));
    }

    /// The host hands it over, or is about to.
    pub(crate) fn note_open(&mut self, name: &Name, ports: &PortSpec) {
        self.change(name, |port| port.shut.retain(|one| one.ports != *ports));
    }
}
