//! Addresses of the pools: for endpoints, and for reservations of their own.
//!
//! An IPAM driver reserves an address before there is an endpoint, and releases it after the endpoint is
//! gone. An endpoint may ask for a reserved address that no other endpoint has; when it goes, the
//! address is reserved still.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use vswitch_api::address::{AddressRequest, Family, ReservedAddress};

use super::{AttachSpec, Lease, Model, Network, NetworkName};
use crate::control::error::ControlError;
use crate::control::ipam::PoolError;
use crate::control::limits::RESERVATIONS_MAX;

impl Network {
    pub(super) fn allocate_exact(&mut self, address: IpAddr) -> Result<(), PoolError> {
        match address {
            IpAddr::V4(address) => self.pool4.allocate_exact(address),
            IpAddr::V6(address) => self.pool6.allocate_exact(address),
        }
    }

    /// Refuses an address that no endpoint of the network can have.
    pub(crate) fn check_address(&self, address: IpAddr) -> Result<(), PoolError> {
        match address {
            IpAddr::V4(address) => self.pool4.check(address),
            IpAddr::V6(address) => self.pool6.check(address),
        }
    }

    /// Returns an address of an endpoint to its pool, unless it is reserved. `used`: neighbours may know it.
    pub(super) fn release(&mut self, address: IpAddr, used: Option<Duration>) {
        if self.reserved.contains(&address) {
            return;
        }
        match (address, used) {
            (IpAddr::V4(address), Some(now)) => self.pool4.release(address, now),
            (IpAddr::V4(address), None) => self.pool4.release_unused(address),
            (IpAddr::V6(address), Some(now)) => self.pool6.release(address, now),
            (IpAddr::V6(address), None) => self.pool6.release_unused(address),
        }
    }
}

impl Model {
    /// Reserved addresses of a network.
    pub(crate) fn reserved_addresses(
        &self,
        network: &NetworkName,
    ) -> impl Iterator<Item = ReservedAddress> {
        self[network].reserved.iter().map(|&address| {
            let port = self.lease_with(network, address).map(|lease| lease.name.to_string());
            ReservedAddress { address, port }
        })
    }

    /// Reserves an address of a network until it is released.
    pub(crate) fn reserve_address(
        &mut self,
        network: &NetworkName,
        request: AddressRequest,
        now: Duration,
    ) -> Result<IpAddr, ControlError> {
        let found = self.network_mut(network)?;
        if found.reserved.len() >= RESERVATIONS_MAX {
            return Err(ControlError::ReservationsMax);
        }
        let allocated = match request {
            AddressRequest::Next(Family::Ipv4) => found.pool4.allocate(now).map(IpAddr::V4),
            AddressRequest::Next(Family::Ipv6) => found.pool6.allocate(now).map(IpAddr::V6),
            AddressRequest::Address(address) => found.allocate_exact(address).map(|()| address),
        };
        let requested = match request {
            AddressRequest::Address(address) => Some(address),
            AddressRequest::Next(_) => None,
        };
        let address = allocated.map_err(|error| self.with_owner(network, error, requested))?;
        self.network_mut(network)?.reserved.insert(address);
        Ok(address)
    }

    /// Ends the reservation of an address. An endpoint that has it keeps it.
    pub(crate) fn release_address(
        &mut self,
        network: &NetworkName,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), ControlError> {
        let is_used = self.lease_with(network, address).is_some();
        let found = self.network_mut(network)?;
        if !found.reserved.remove(&address) {
            return Err(ControlError::NotReserved { network: network.to_string(), address });
        }
        if !is_used {
            found.release(address, Some(now));
        }
        Ok(())
    }

    /// Restores the reservation of an address, whether an endpoint has it or none.
    pub(crate) fn restore_reservation(&mut self, network: &NetworkName, address: IpAddr) {
        if let Ok(found) = self.network_mut(network) {
            let _ = found.allocate_exact(address);
            found.reserved.insert(address);
        }
    }

    /// The first addresses of a new endpoint, beside its further ones; after an error it has none of them.
    pub(super) fn allocate_addresses(
        &mut self,
        spec: &AttachSpec,
        now: Duration,
    ) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>), ControlError> {
        let mut allocated = Vec::new();
        let addresses = self.try_allocate(spec, now, &mut allocated);
        if addresses.is_err()
            && let Some(network) = self.networks.get_mut(&spec.network)
        {
            allocated.into_iter().for_each(|address| network.release(address, None));
        }
        addresses
    }

    /// Allocates the addresses that the request names, then those that it leaves to the pools, so that no
    /// choice of a pool is one of the former.
    fn try_allocate(
        &mut self,
        spec: &AttachSpec,
        now: Duration,
        allocated: &mut Vec<IpAddr>,
    ) -> Result<(Option<Ipv4Addr>, Option<Ipv6Addr>), ControlError> {
        for address in spec.named_addresses() {
            if allocated.contains(&address) {
                return Err(ControlError::AddressInUse { address, owner: spec.name.to_string() });
            }
            if !self.can_take_over(&spec.network, address) {
                let result = self.network_mut(&spec.network)?.allocate_exact(address);
                result.map_err(|error| self.with_owner(&spec.network, error, Some(address)))?;
            }
            allocated.push(address);
        }
        let network = self.network_mut(&spec.network)?;
        let (mut ipv4, mut ipv6) = (spec.ipv4, spec.ipv6);
        if ipv4.is_none() && spec.wants(Family::Ipv4) {
            ipv4 = Some(network.pool4.allocate(now)?);
        }
        allocated.extend(ipv4.map(IpAddr::V4));
        if ipv6.is_none() && spec.wants(Family::Ipv6) {
            ipv6 = Some(network.pool6.allocate(now)?);
        }
        Ok((ipv4, ipv6))
    }

    /// Refuses addresses of a request that an endpoint has.
    pub(crate) fn check_unused(&self, spec: &AttachSpec) -> Result<(), ControlError> {
        let owner = |address| self.lease_with(&spec.network, address);
        let found = spec.named_addresses().find_map(|it| Some((it, owner(it)?)));
        found.map_or(Ok(()), |(address, owner)| {
            Err(ControlError::AddressInUse { address, owner: owner.name.to_string() })
        })
    }

    /// Whether an address is reserved and no endpoint has it.
    fn can_take_over(&self, network: &NetworkName, address: IpAddr) -> bool {
        let network_of = self.networks.get(network);
        network_of.is_some_and(|found| found.reserved.contains(&address))
            && self.lease_with(network, address).is_none()
    }

    fn lease_with(&self, network: &NetworkName, address: IpAddr) -> Option<&Lease> {
        let mut leases = self.endpoints().map(|endpoint| &endpoint.lease);
        leases.find(|lease| lease.network == *network && lease.has(address))
    }

    /// Names the owner of the requested address.
    fn with_owner(
        &self,
        network: &NetworkName,
        error: PoolError,
        requested: Option<IpAddr>,
    ) -> ControlError {
        let (PoolError::InUse(_), Some(address)) = (&error, requested) else { return error.into() };
        let lease = self.lease_with(network, address);
        let owner = lease.map_or_else(|| "a reservation".to_owned(), |it| it.name.to_string());
        ControlError::AddressInUse { address, owner }
    }
}
