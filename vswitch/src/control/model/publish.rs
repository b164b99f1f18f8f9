//! Which of the host's ports belong to whom. A port of an address belongs to one attachment at most;
//! ports that nobody named are picked from those that the kernel gives to programs, too, as Docker does.

use std::ops::RangeInclusive;

use vswitch_api::publish::{PortSpec, Publication};

use super::{Lease, Model, PortState, Random};
use crate::config::Uplink;
use crate::control::error::ControlError;
use crate::control::limits::{ALLOW_FROM_MAX, PORT_ALLOC_TRIES_MAX, PUBLICATIONS_MAX};
use crate::control::name::Name;

/// Where ports are picked: the ephemeral range of Linux, which translation stays out of.
const AUTO_PORTS: RangeInclusive<u16> = 32_768..=60_999;

impl Model {
    /// Refuses what cannot be published, whoever asks.
    pub(crate) fn check_publications(&self, requested: &[Publication]) -> Result<(), ControlError> {
        if requested.is_empty() {
            return Ok(());
        }
        if self.network.uplink == Uplink::None {
            return Err(ControlError::NoUplink(self.network.name.to_string()));
        }
        if self.network.uplink == Uplink::Kernel
            && let Some(open) =
                requested.iter().find(|publication| !publication.allow_from.is_empty())
        {
            return Err(ControlError::AllowFromKernel(open.ports));
        }
        match requested.iter().find(|publication| publication.allow_from.len() > ALLOW_FROM_MAX) {
            Some(long) => Err(ControlError::AllowFromMax(long.ports)),
            None => Ok(()),
        }
    }

    /// What is published of an attachment that works.
    pub(crate) fn publications(&self, name: &Name) -> Result<&[Publication], ControlError> {
        match self.ports.get(name) {
            Some(port) if port.state == PortState::Active => Ok(&port.publications),
            _ => Err(ControlError::UnknownPort(name.to_string())),
        }
    }

    /// Chooses anew what was picked for an attachment that is on its way, since the host has it.
    pub(crate) fn reallocate_publications(
        &mut self,
        name: &Name,
        requested: &[Publication],
        random: Random<'_>,
    ) -> Result<(), ControlError> {
        self.set_publications(name, Vec::new());
        let allocated = self.allocate_publications(name, 0, requested, random)?;
        self.set_publications(name, allocated);
        Ok(())
    }

    /// What is published of an attachment, wherever it is in its life.
    pub(crate) fn publications_of(&self, name: &Name) -> Vec<Publication> {
        self.ports.get(name).map(|port| port.publications.clone()).unwrap_or_default()
    }

    /// Replaces all publications of an attachment.
    pub(crate) fn set_publications(&mut self, name: &Name, publications: Vec<Publication>) {
        self.change(name, |port| port.publications = publications);
    }

    /// What was reserved for an attachment that works.
    pub(crate) fn lease_of(&self, name: &Name) -> Result<Lease, ControlError> {
        self.publications(name)?;
        let unknown = || ControlError::UnknownPort(name.to_string());
        self.ports.get(name).map(|port| port.lease.clone()).ok_or_else(unknown)
    }

    /// Everything that is published, with whose it is.
    pub(crate) fn all_publications(&self) -> impl Iterator<Item = (&Name, &Publication)> {
        self.ports
            .iter()
            .flat_map(|(name, port)| port.publications.iter().map(move |one| (name, one)))
    }

    /// Publishes a port of an attachment that works. Gives it with the host's ports picked.
    pub(crate) fn add_publication(
        &mut self,
        name: &Name,
        requested: &Publication,
        random: Random<'_>,
    ) -> Result<Publication, ControlError> {
        let existing = self.publications(name)?.len();
        let allocated =
            self.allocate_publications(name, existing, std::slice::from_ref(requested), random)?;
        allocated.iter().for_each(|one| self.mark_active(name, &one.ports));
        self.restore_publications(name, allocated.clone());
        allocated.into_iter().next().ok_or(ControlError::NoFreePort(requested.ports))
    }

    /// Ends the publications of an attachment that `ports` names. Gives them.
    pub(crate) fn take_publications(
        &mut self,
        name: &Name,
        ports: &PortSpec,
    ) -> Result<Vec<Publication>, ControlError> {
        if !self.publications(name)?.iter().any(|one| ports.matches(&one.ports)) {
            return Err(ControlError::NotPublished { ports: *ports, port: name.to_string() });
        }
        let mut taken = Vec::new();
        self.change(name, |port| {
            taken = port.publications.extract_if(.., |one| ports.matches(&one.ports)).collect();
        });
        Ok(taken)
    }

    /// Puts back what was taken; nothing where the attachment is gone.
    pub(crate) fn restore_publications(&mut self, name: &Name, former: Vec<Publication>) {
        self.change(name, |port| port.publications.extend(former));
    }

    /// Takes one back that came to nothing.
    pub(crate) fn drop_publication(&mut self, name: &Name, publication: &Publication) {
        self.change(name, |port| port.publications.retain(|one| one != publication));
    }

    /// What would be published, with the host's ports picked, if nobody else has them.
    pub(super) fn allocate_publications(
        &self,
        name: &Name,
        existing: usize,
        requested: &[Publication],
        random: Random<'_>,
    ) -> Result<Vec<Publication>, ControlError> {
        if existing + requested.len() > PUBLICATIONS_MAX {
            return Err(ControlError::PublicationsMax(name.to_string()));
        }
        let mut allocated: Vec<Publication> = Vec::with_capacity(requested.len());
        for Publication { ports, allow_from } in requested {
            let ports = match ports.host() {
                Some(_) => match self.owner_of(name, &allocated, ports) {
                    Some(owner) => {
                        return Err(ControlError::PortPublished {
                            ports: *ports,
                            owner: owner.to_string(),
                        });
                    }
                    None => *ports,
                },
                None => self.allocate_ports(name, &allocated, ports, random)?,
            };
            allocated.push(Publication { ports, allow_from: allow_from.clone() });
        }
        Ok(allocated)
    }

    /// Whoever has one of these ports.
    fn owner_of<'a>(
        &'a self,
        name: &'a Name,
        allocated: &[Publication],
        ports: &PortSpec,
    ) -> Option<&'a Name> {
        if allocated.iter().any(|other| other.ports.conflicts(ports)) {
            return Some(name);
        }
        self.all_publications()
            .find(|(_, other)| other.ports.conflicts(ports))
            .map(|(name, _)| name)
    }

    /// Free ports of the host, from a random place on (RFC 6056 section 3.3.1).
    fn allocate_ports(
        &self,
        name: &Name,
        allocated: &[Publication],
        ports: &PortSpec,
        random: Random<'_>,
    ) -> Result<PortSpec, ControlError> {
        let count = ports.container().count();
        let candidates = u64::from(*AUTO_PORTS.end() - *AUTO_PORTS.start()) + 1;
        for _ in 0..PORT_ALLOC_TRIES_MAX {
            let first = AUTO_PORTS.start() + (random()? % candidates) as u16;
            if u64::from(first) + u64::from(count) > u64::from(*AUTO_PORTS.end()) + 1 {
                continue;
            }
            if let Some(candidate) = ports.at(first)
                && self.owner_of(name, allocated, &candidate).is_none()
            {
                return Ok(candidate);
            }
        }
        Err(ControlError::NoFreePort(*ports))
    }
}

#[cfg(test)]
mod tests;
