//! Address pools: subnets that an IPAM client took before there is a network for them.
//!
//! ```text
//! add_pool() -> free -- add_network() with its subnet --> bound -- remove_network() --> free -- remove_pool() -> gone
//! ```
//!
//! The pools of an overlay network, which others may have created, are bound when a client joins it
//! ([`Model::bind_pools`]), and free when it leaves ([`Model::release_pools`]).
//!
//! Docker's IPAM driver takes a pool and the gateway's address, then creates the network, then takes the
//! addresses of containers. A *free* pool alone knows which addresses are taken. In a *bound* one each of them
//! is reserved in the network, too, so that no attachment of another client gets it. A pool lives until its
//! client releases it, over restarts. A client that died before it made a network has lost its pool: a free pool
//! without addresses but the gateway's may be taken again, once [`POOL_SETUP_MAX`] has passed.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use vswitch_api::address::AddressRequest;

use super::{Model, NetworkName};
use crate::config::{Subnet4, Subnet6};
use crate::control::NetworkError;
use crate::control::error::ControlError;
use crate::control::ipam::{Pool, PoolError};
use crate::control::limits::{ADDRESS_POOLS_MAX, POOL_SETUP_MAX, RESERVATIONS_MAX};
use crate::control::store::PoolRecord;

/// A pool of an IPAM client.
#[derive(Debug)]
pub(crate) struct AddressPool {
    subnet: IpNet,
    range: Option<IpNet>,
    /// The network that has its subnet.
    network: Option<NetworkName>,
    addresses: Addresses,
    /// Addresses that the client has.
    taken: BTreeSet<IpAddr>,
    /// The one that it took as the gateway's.
    gateway: Option<IpAddr>,
    /// When the client took the pool; none before this start.
    since: Option<Duration>,
}

/// The pool of either family.
#[derive(Debug)]
enum Addresses {
    V4(Pool<Ipv4Addr>),
    V6(Pool<Ipv6Addr>),
}

/// Part of a subnet, with its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolSubnet {
    /// IPv4, and the addresses to choose from.
    V4(Subnet4, Option<Ipv4Net>),
    /// IPv6.
    V6(Subnet6, Option<Ipv6Net>),
}

impl PoolSubnet {
    pub(crate) fn net(&self) -> IpNet {
        match self {
            Self::V4(subnet, _) => subnet.net().into(),
            Self::V6(subnet, _) => subnet.net().into(),
        }
    }

    fn range(&self) -> Option<IpNet> {
        match *self {
            Self::V4(_, range) => range.map(IpNet::V4),
            Self::V6(_, range) => range.map(IpNet::V6),
        }
    }
}

impl AddressPool {
    /// A gateway is an address like others here: the client takes it.
    fn new(subnet: PoolSubnet) -> Self {
        let addresses = match subnet {
            PoolSubnet::V4(net, range) => Addresses::V4(Pool::v4(net, net.net().network(), range)),
            PoolSubnet::V6(net, range) => Addresses::V6(Pool::v6(net, net.net().network(), range)),
        };
        let (range, subnet) = (subnet.range(), subnet.net());
        let taken = BTreeSet::new();
        Self { subnet, range, network: None, addresses, taken, gateway: None, since: None }
    }

    pub(crate) fn subnet(&self) -> IpNet {
        self.subnet
    }

    pub(crate) fn range(&self) -> Option<IpNet> {
        self.range
    }

    /// Whether a client that died may have left it.
    fn is_lost(&self, now: Duration) -> bool {
        let is_old = self.since.is_none_or(|since| now.saturating_sub(since) >= POOL_SETUP_MAX);
        is_old && self.taken.iter().all(|address| Some(*address) == self.gateway)
    }

    fn next(&self) -> IpAddr {
        match &self.addresses {
            Addresses::V4(pool) => pool.next().into(),
            Addresses::V6(pool) => pool.next().into(),
        }
    }

    fn resume_at(&mut self, next: IpAddr) {
        match (&mut self.addresses, next) {
            (Addresses::V4(pool), IpAddr::V4(next)) => pool.resume_at(next),
            (Addresses::V6(pool), IpAddr::V6(next)) => pool.resume_at(next),
            _ => {}
        }
    }

    fn allocate(&mut self, now: Duration) -> Result<IpAddr, PoolError> {
        match &mut self.addresses {
            Addresses::V4(pool) => pool.allocate(now).map(IpAddr::V4),
            Addresses::V6(pool) => pool.allocate(now).map(IpAddr::V6),
        }
    }

    fn allocate_exact(&mut self, address: IpAddr) -> Result<(), PoolError> {
        match (&mut self.addresses, address) {
            (Addresses::V4(pool), IpAddr::V4(address)) => pool.allocate_exact(address),
            (Addresses::V6(pool), IpAddr::V6(address)) => pool.allocate_exact(address),
            _ => Err(PoolError::Outside {
                address: address.to_string(),
                subnet: self.subnet.to_string(),
            }),
        }
    }

    /// `used`: neighbours may know the address.
    fn release(&mut self, address: IpAddr, used: Option<Duration>) {
        match (&mut self.addresses, address, used) {
            (Addresses::V4(pool), IpAddr::V4(own), Some(now)) => pool.release(own, now),
            (Addresses::V4(pool), IpAddr::V4(own), None) => pool.release_unused(own),
            (Addresses::V6(pool), IpAddr::V6(own), Some(now)) => pool.release(own, now),
            (Addresses::V6(pool), IpAddr::V6(own), None) => pool.release_unused(own),
            _ => {}
        }
    }
}

impl Model {
    /// Pools of IPAM clients.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &AddressPool> {
        self.pools.values()
    }

    /// Adds a pool, in place of a lost one of the same subnet.
    pub(crate) fn add_pool(
        &mut self,
        subnet: PoolSubnet,
        now: Duration,
    ) -> Result<(), ControlError> {
        let net = subnet.net();
        match self.pools.get(&net) {
            Some(AddressPool { network: Some(network), .. }) => {
                let network = network.to_string();
                return Err(NetworkError::SubnetInUse { subnet: net, network }.into());
            }
            Some(pool) if !pool.is_lost(now) => {
                return Err(NetworkError::SubnetInPool { subnet: net, pool: net }.into());
            }
            None if self.pools.len() >= ADDRESS_POOLS_MAX => {
                return Err(NetworkError::PoolsMax.into());
            }
            _ => {}
        }
        let pool = AddressPool { since: Some(now), ..AddressPool::new(subnet) };
        self.pools.insert(net, pool);
        Ok(())
    }

    /// Removes a pool. Its network, if it has one, keeps the addresses of its endpoints only.
    pub(crate) fn remove_pool(&mut self, subnet: IpNet) -> Result<(), ControlError> {
        let pool = self.pools.remove(&subnet).ok_or(NetworkError::UnknownPool(subnet))?;
        for &address in &pool.taken {
            self.unreserve(&pool, address, None);
        }
        Ok(())
    }

    /// Takes the gateway's address of a pool. A client that asks again gets it again.
    pub(crate) fn take_gateway(
        &mut self,
        subnet: IpNet,
        requested: IpAddr,
        now: Duration,
    ) -> Result<IpAddr, ControlError> {
        let pool = self.pools.get(&subnet).ok_or(NetworkError::UnknownPool(subnet))?;
        if pool.gateway != Some(requested) || !pool.taken.contains(&requested) {
            self.take_address(subnet, Some(requested), now)?;
        }
        if let Some(pool) = self.pools.get_mut(&subnet) {
            pool.gateway = Some(requested);
        }
        Ok(requested)
    }

    /// Takes an address of a pool: a requested one, or the next free one of its range.
    pub(crate) fn take_address(
        &mut self,
        subnet: IpNet,
        requested: Option<IpAddr>,
        now: Duration,
    ) -> Result<IpAddr, ControlError> {
        let mut pool = self.pools.remove(&subnet).ok_or(NetworkError::UnknownPool(subnet))?;
        let result = self.take_from(&mut pool, requested, now);
        self.pools.insert(subnet, pool);
        result
    }

    fn take_from(
        &mut self,
        pool: &mut AddressPool,
        requested: Option<IpAddr>,
        now: Duration,
    ) -> Result<IpAddr, ControlError> {
        if pool.taken.len() >= RESERVATIONS_MAX {
            return Err(ControlError::ReservationsMax);
        }
        if let Some(address) = requested {
            pool.allocate_exact(address)?;
            if let Err(error) = self.reserve_taken(pool, address) {
                pool.release(address, None);
                return Err(error);
            }
            pool.taken.insert(address);
            return Ok(address);
        }
        // Attachments of other clients have some of them, and the gateway one.
        let mut passed = Vec::new();
        let result = loop {
            let address = match pool.allocate(now) {
                Ok(address) => address,
                Err(error) => break Err(error.into()),
            };
            match self.reserve_taken(pool, address) {
                Ok(()) => break Ok(address),
                Err(
                    ControlError::AddressInUse { .. }
                    | ControlError::Pool(PoolError::InUse(_) | PoolError::Reserved { .. }),
                ) => passed.push(address),
                Err(error) => {
                    pool.release(address, None);
                    break Err(error);
                }
            }
        };
        passed.into_iter().rev().for_each(|address| pool.release(address, Some(now)));
        pool.taken.extend(result.as_ref().ok());
        result
    }

    /// Returns an address to its pool.
    pub(crate) fn return_address(
        &mut self,
        subnet: IpNet,
        address: IpAddr,
        now: Duration,
    ) -> Result<(), ControlError> {
        let mut pool = self.pools.remove(&subnet).ok_or(NetworkError::UnknownPool(subnet))?;
        let was_taken = pool.taken.remove(&address);
        if was_taken {
            pool.release(address, Some(now));
            self.unreserve(&pool, address, Some(now));
        }
        self.pools.insert(subnet, pool);
        match was_taken {
            true => Ok(()),
            false => Err(NetworkError::NotTaken { address, pool: subnet }.into()),
        }
    }

    /// The overlay network that a pool is bound to. It gives the pool's addresses, since other nodes have some of them.
    pub(crate) fn overlay_of_pool(&self, subnet: IpNet) -> Option<&NetworkName> {
        let network = self.pools.get(&subnet)?.network.as_ref()?;
        self.networks.get(network).filter(|it| it.spec.overlay.is_some()).map(|_| network)
    }

    /// Takes an address of the overlay network that a pool is bound to. A network of the registry has claimed it.
    pub(crate) fn take_of_overlay(
        &mut self,
        subnet: IpNet,
        request: AddressRequest,
        now: Duration,
    ) -> Result<IpAddr, ControlError> {
        let unknown = NetworkError::UnknownPool(subnet);
        let network = self.overlay_of_pool(subnet).ok_or(unknown)?.clone();
        let address = self.reserve_address(&network, request, now)?;
        if let Some(pool) = self.pools.get_mut(&subnet) {
            // What the network gives, the pool has free.
            let _ = pool.allocate_exact(address);
            pool.taken.insert(address);
        }
        Ok(address)
    }

    /// Addresses that a client has of the pools of a network, beside the gateways.
    pub(crate) fn taken_of(&self, name: &NetworkName) -> Vec<IpAddr> {
        let Some(network) = self.networks.get(name) else { return Vec::new() };
        let gateways = network.spec.gateways();
        let pools = self.pools.values().filter(|pool| pool.network.as_ref() == Some(name));
        let taken = pools.flat_map(|pool| pool.taken.iter().copied());
        taken.filter(|address| !gateways.contains(address)).collect()
    }

    /// Reserves an address in the network of a bound pool.
    fn reserve_taken(&mut self, pool: &AddressPool, address: IpAddr) -> Result<(), ControlError> {
        let Some(name) = &pool.network else { return Ok(()) };
        let request = AddressRequest::Address(address);
        // Time decides of other addresses only.
        self.reserve_address(name, request, Duration::ZERO).map(drop)
    }

    fn unreserve(&mut self, pool: &AddressPool, address: IpAddr, used: Option<Duration>) {
        let Some(name) = &pool.network else { return };
        let _ = self.release_address(name, address, used.unwrap_or_default());
    }

    /// Binds the free pools of a network's subnets to it: of a new network, or of an overlay network that a client joins.
    pub(crate) fn bind_pools(&mut self, name: &NetworkName) {
        let Some(network) = self.networks.get_mut(name) else { return };
        let gateways = network.spec.gateways();
        for subnet in network.spec.subnets() {
            let Some(pool) = self.pools.get_mut(&subnet).filter(|pool| pool.network.is_none())
            else {
                continue;
            };
            pool.network = Some(name.clone());
            for &address in pool.taken.iter().filter(|address| !gateways.contains(address)) {
                // Nobody has an address of a new network.
                if network.allocate_exact(address).is_ok() {
                    network.reserved.insert(address);
                }
            }
        }
    }

    /// Frees the pools of an overlay network that stays without their client, and ends their reservations.
    pub(crate) fn release_pools(&mut self, name: &NetworkName, now: Duration) {
        let taken = self.taken_of(name);
        for address in taken {
            let _ = self.release_address(name, address, now);
        }
        self.unbind_pools(name);
    }

    /// Frees the pools of a network that goes.
    pub(super) fn unbind_pools(&mut self, name: &NetworkName) {
        for pool in self.pools.values_mut().filter(|pool| pool.network.as_ref() == Some(name)) {
            pool.network = None;
        }
    }

    /// Pools as they are stored.
    pub(super) fn pool_records(&self) -> Vec<PoolRecord> {
        let records = self.pools.values().map(|pool| PoolRecord {
            subnet: pool.subnet,
            range: pool.range,
            network: pool.network.as_ref().map(ToString::to_string),
            next: pool.next(),
            gateway: pool.gateway,
            taken: pool.taken.iter().copied().collect(),
        });
        records.collect()
    }

    /// Restores a stored pool. Its network, if it has one, is there with its reservations.
    pub(crate) fn restore_pool(&mut self, subnet: PoolSubnet, record: &PoolRecord) {
        let mut pool = AddressPool::new(subnet);
        pool.resume_at(record.next);
        pool.gateway = record.gateway;
        for &address in &record.taken {
            if pool.allocate_exact(address).is_ok() {
                pool.taken.insert(address);
            }
        }
        let named = record.network.as_deref().and_then(|name| name.parse().ok());
        pool.network = named.filter(|name| self.networks.contains_key(name));
        self.pools.insert(pool.subnet, pool);
    }
}
