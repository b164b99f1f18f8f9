//! Publications: ports of the host that belong to endpoints, over all networks.
//!
//! A port of an address belongs to one endpoint at most. Where a request names no host port, one is picked
//! from the ephemeral range of the kernel, as Docker does.

use std::ops::RangeInclusive;

use vswitch_api::address::Family;
use vswitch_api::publish::{PortSpec, Publication};

use super::{EndpointKey, Model, NetworkName, Random};
use crate::config::Uplink;
use crate::control::error::ControlError;
use crate::control::limits::{ALLOW_FROM_MAX, PORT_ALLOC_TRIES_MAX, PUBLICATIONS_MAX};

/// Range of picked ports: the ephemeral range of Linux, outside of the SNAT range.
const AUTO_PORTS: RangeInclusive<u16> = 32_768..=60_999;

impl Model {
    /// Refuses publications that a network cannot have.
    pub(crate) fn check_publications(
        &self,
        network: &NetworkName,
        requested: &[Publication],
    ) -> Result<(), ControlError> {
        let uplink = self.networks.get(network).map(|network| &network.spec.uplink);
        if !requested.is_empty() && uplink == Some(&Uplink::None) {
            return Err(ControlError::NoUplink(network.to_string()));
        }
        if uplink == Some(&Uplink::Kernel)
            && let Some(open) = requested.iter().find(|one| !one.allow_from.is_empty())
        {
            return Err(ControlError::AllowFromKernel(open.ports));
        }
        match requested.iter().find(|one| one.allow_from.len() > ALLOW_FROM_MAX) {
            Some(long) => Err(ControlError::AllowFromMax(long.ports)),
            None => Ok(()),
        }
    }

    /// The publications of an active endpoint.
    pub(crate) fn publications(&self, key: &EndpointKey) -> Result<&[Publication], ControlError> {
        Ok(&self.active_endpoint(key)?.publications)
    }

    /// Whether an active endpoint publishes such ports.
    pub(crate) fn has_publication(&self, key: &EndpointKey, ports: &PortSpec) -> bool {
        let publications = self.publications(key).ok();
        publications.is_some_and(|all| all.iter().any(|one| ports.matches(&one.ports)))
    }

    /// Picks other host ports for an endpoint that is being attached, since the host has those.
    pub(crate) fn reallocate_publications(
        &mut self,
        key: &EndpointKey,
        requested: &[Publication],
        random: Random<'_>,
    ) -> Result<(), ControlError> {
        self.change_publications(key, Vec::clear);
        let allocated = self.allocate_publications(key, 0, requested, random)?;
        self.change_publications(key, |publications| *publications = allocated);
        Ok(())
    }

    /// The publications of an endpoint in any state.
    pub(crate) fn publications_of(&self, key: &EndpointKey) -> Vec<Publication> {
        self.endpoints.get(key).map(|it| it.publications.clone()).unwrap_or_default()
    }

    /// All publications with their endpoints.
    pub(crate) fn all_publications(&self) -> impl Iterator<Item = (&EndpointKey, &Publication)> {
        let endpoints = self.endpoints.iter();
        endpoints.flat_map(|(key, it)| it.publications.iter().map(move |one| (key, one)))
    }

    /// Adds a publication to an active endpoint. Gives it with the picked host ports.
    pub(crate) fn add_publication(
        &mut self,
        key: &EndpointKey,
        requested: &Publication,
        random: Random<'_>,
    ) -> Result<Publication, ControlError> {
        let existing = self.publications(key)?.len();
        self.check_publication_family(key, requested)?;
        let requested = std::slice::from_ref(requested);
        let allocated = self.allocate_publications(key, existing, requested, random)?;
        allocated.iter().for_each(|one| self.mark_active(key, &one.ports));
        self.restore_publications(key, allocated.clone());
        allocated.into_iter().next().ok_or(ControlError::NoFreePort(requested[0].ports))
    }

    /// Refuses an address of the host of a family that the endpoint has no address of.
    pub(crate) fn check_publication_family(
        &self,
        key: &EndpointKey,
        requested: &Publication,
    ) -> Result<(), ControlError> {
        let only = self.endpoints.get(key).and_then(|it| it.lease.family());
        match (requested.ports.address(), only) {
            (Some(address), Some(family)) if Family::of(address) != family => {
                Err(ControlError::OtherFamily { address, family })
            }
            _ => Ok(()),
        }
    }

    /// Marks a publication as the runtime's.
    pub(crate) fn mark_runtimes(&mut self, key: &EndpointKey, ports: PortSpec) {
        self.change(key, |endpoint| {
            let Some(state) = &mut endpoint.runtime else { return };
            let publications = &endpoint.publications;
            // Marks of former ones are of no use any more.
            state
                .published
                .retain(|it| *it != ports && publications.iter().any(|one| one.ports == *it));
            state.published.push(ports);
        });
    }

    /// Removes the publications of an active endpoint that `ports` matches. Gives them. Nobody else gets their ports
    /// before [`Model::end_closing`].
    pub(crate) fn take_publications(
        &mut self,
        key: &EndpointKey,
        ports: &PortSpec,
    ) -> Result<Vec<Publication>, ControlError> {
        if !self.publications(key)?.iter().any(|one| ports.matches(&one.ports)) {
            return Err(ControlError::NotPublished { ports: *ports, port: key.to_string() });
        }
        let mut taken = Vec::new();
        self.change_publications(key, |publications| {
            taken = publications.extract_if(.., |one| ports.matches(&one.ports)).collect();
        });
        self.change(key, |endpoint| endpoint.closing.extend(taken.iter().cloned()));
        Ok(taken)
    }

    /// Puts publications back; a no-op if the endpoint is gone.
    pub(crate) fn restore_publications(&mut self, key: &EndpointKey, former: Vec<Publication>) {
        self.end_closing(key, &former);
        self.change_publications(key, |publications| publications.extend(former));
    }

    /// Notes that the host has closed the ports of withdrawn publications.
    pub(crate) fn end_closing(&mut self, key: &EndpointKey, closed: &[Publication]) {
        self.change(key, |endpoint| endpoint.closing.retain(|one| !closed.contains(one)));
    }

    /// Whether an endpoint has withdrawn publications whose ports are still open.
    pub(crate) fn is_closing(&self, name: &str) -> bool {
        self.endpoints().any(|it| it.lease.name.as_str() == name && !it.closing.is_empty())
    }

    /// Removes a publication that failed.
    pub(crate) fn drop_publication(&mut self, key: &EndpointKey, publication: &Publication) {
        self.change_publications(key, |publications| publications.retain(|one| one != publication));
    }

    fn change_publications(
        &mut self,
        key: &EndpointKey,
        change: impl FnOnce(&mut Vec<Publication>),
    ) {
        self.change(key, |endpoint| change(&mut endpoint.publications));
        self.invalidate_publications();
    }

    /// The requested publications with host ports picked, if no endpoint has them.
    pub(super) fn allocate_publications(
        &self,
        key: &EndpointKey,
        existing: usize,
        requested: &[Publication],
        random: Random<'_>,
    ) -> Result<Vec<Publication>, ControlError> {
        if existing + requested.len() > PUBLICATIONS_MAX {
            return Err(ControlError::PublicationsMax(key.to_string()));
        }
        let mut allocated: Vec<Publication> = Vec::with_capacity(requested.len());
        for Publication { ports, allow_from } in requested {
            let ports = match ports.host() {
                Some(_) => match self.owner_of(key, &allocated, ports) {
                    Some(owner) => {
                        return Err(ControlError::PortPublished {
                            ports: *ports,
                            owner: owner.to_string(),
                        });
                    }
                    None => *ports,
                },
                None => self.allocate_ports(key, &allocated, ports, random)?,
            };
            allocated.push(Publication { ports, allow_from: allow_from.clone() });
        }
        Ok(allocated)
    }

    /// The endpoint that has one of these ports.
    fn owner_of<'a>(
        &'a self,
        key: &'a EndpointKey,
        allocated: &[Publication],
        ports: &PortSpec,
    ) -> Option<&'a EndpointKey> {
        if allocated.iter().any(|other| other.ports.conflicts(ports)) {
            return Some(key);
        }
        let closing = self.endpoints.iter();
        let closing = closing.flat_map(|(key, it)| it.closing.iter().map(move |one| (key, one)));
        let mut all = self.all_publications().chain(closing);
        all.find(|(_, other)| other.ports.conflicts(ports)).map(|(key, _)| key)
    }

    /// Free ports of the host, at random (RFC 6056 section 3.3.1).
    fn allocate_ports(
        &self,
        key: &EndpointKey,
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
                && self.owner_of(key, allocated, &candidate).is_none()
            {
                return Ok(candidate);
            }
        }
        Err(ControlError::NoFreePort(*ports))
    }
}

mod handover;
mod pending;
#[cfg(test)]
mod tests;
