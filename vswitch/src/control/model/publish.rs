//! Which of the host's ports belong to whom. A port of an address belongs to one attachment at most;
//! ports that nobody named are picked from those that the kernel gives to programs, too, as Docker does.

use std::ops::RangeInclusive;

use vswitch_api::publish::{PortSpec, Publication};

use super::{Lease, Model, Phase, Random};
use crate::config::Uplink;
use crate::control::error::ControlError;
use crate::control::limits::{ALLOW_FROM_MAX, PICKS_MAX, PUBLICATIONS_MAX};
use crate::control::name::Name;

/// Where ports are picked: the ephemeral range of Linux, which translation stays out of.
const PICKED: RangeInclusive<u16> = 32_768..=60_999;

impl Model {
    /// Refuses what cannot be published, whoever asks.
    pub(crate) fn check_publications(&self, wanted: &[Publication]) -> Result<(), ControlError> {
        if wanted.is_empty() {
            return Ok(());
        }
        if self.network.uplink == Uplink::None {
            return Err(ControlError::NoUplink(self.network.name.to_string()));
        }
        if self.network.uplink == Uplink::Kernel
            && let Some(open) = wanted.iter().find(|publication| !publication.allow_from.is_empty())
        {
            return Err(ControlError::AllowFromKernel(open.ports));
        }
        match wanted.iter().find(|publication| publication.allow_from.len() > ALLOW_FROM_MAX) {
            Some(long) => Err(ControlError::AllowFromMax(long.ports)),
            None => Ok(()),
        }
    }

    /// What is published of an attachment that works.
    pub(crate) fn publications(&self, name: &Name) -> Result<&[Publication], ControlError> {
        match self.ports.get(name) {
            Some(port) if port.phase == Phase::Active => Ok(&port.publications),
            _ => Err(ControlError::UnknownPort(name.to_string())),
        }
    }

    /// Chooses anew what was picked for an attachment that is on its way, since the host has it.
    pub(crate) fn pick_again(
        &mut self,
        name: &Name,
        wanted: &[Publication],
        random: Random<'_>,
    ) -> Result<(), ControlError> {
        self.set_publications(name, Vec::new());
        let claimed = self.claim(name, 0, wanted, random)?;
        self.set_publications(name, claimed);
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
        wanted: &Publication,
        random: Random<'_>,
    ) -> Result<Publication, ControlError> {
        let held = self.publications(name)?.len();
        let claimed = self.claim(name, held, std::slice::from_ref(wanted), random)?;
        claimed.iter().for_each(|one| self.note_open(name, &one.ports));
        self.restore_publications(name, claimed.clone());
        claimed.into_iter().next().ok_or(ControlError::NoFreePort(wanted.ports))
    }

    /// Ends the publications of an attachment that `ports` names. Gives them.
    pub(crate) fn take_publications(
        &mut self,
        name: &Name,
        ports: &PortSpec,
    ) -> Result<Vec<Publication>, ControlError> {
        if !self.publications(name)?.iter().any(|one| ports.names(&one.ports)) {
            return Err(ControlError::NotPublished { ports: *ports, port: name.to_string() });
        }
        let mut taken = Vec::new();
        self.change(name, |port| {
            taken = port.publications.extract_if(.., |one| ports.names(&one.ports)).collect();
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
    pub(super) fn claim(
        &self,
        name: &Name,
        held: usize,
        wanted: &[Publication],
        random: Random<'_>,
    ) -> Result<Vec<Publication>, ControlError> {
        if held + wanted.len() > PUBLICATIONS_MAX {
            return Err(ControlError::PublicationsMax(name.to_string()));
        }
        let mut claimed: Vec<Publication> = Vec::with_capacity(wanted.len());
        for Publication { ports, allow_from } in wanted {
            let ports = match ports.host() {
                Some(_) => match self.holder(name, &claimed, ports) {
                    Some(owner) => {
                        return Err(ControlError::PortPublished {
                            ports: *ports,
                            owner: owner.to_string(),
                        });
                    }
                    None => *ports,
                },
                None => self.pick(name, &claimed, ports, random)?,
            };
            claimed.push(Publication { ports, allow_from: allow_from.clone() });
        }
        Ok(claimed)
    }

    /// Whoever has one of these ports.
    fn holder<'a>(
        &'a self,
        name: &'a Name,
        claimed: &[Publication],
        ports: &PortSpec,
    ) -> Option<&'a Name> {
        if claimed.iter().any(|other| other.ports.conflicts(ports)) {
            return Some(name);
        }
        self.all_publications()
            .find(|(_, other)| other.ports.conflicts(ports))
            .map(|(name, _)| name)
    }

    /// Free ports of the host, from a random place on (RFC 6056 section 3.3.1).
    fn pick(
        &self,
        name: &Name,
        claimed: &[Publication],
        ports: &PortSpec,
        random: Random<'_>,
    ) -> Result<PortSpec, ControlError> {
        let count = ports.container().count();
        let places = u64::from(*PICKED.end() - *PICKED.start()) + 1;
        for _ in 0..PICKS_MAX {
            let first = PICKED.start() + (random()? % places) as u16;
            if u64::from(first) + u64::from(count) > u64::from(*PICKED.end()) + 1 {
                continue;
            }
            if let Some(picked) = ports.at(first)
                && self.holder(name, claimed, &picked).is_none()
            {
                return Ok(picked);
            }
        }
        Err(ControlError::NoFreePort(*ports))
    }
}

#[cfg(test)]
mod tests;
