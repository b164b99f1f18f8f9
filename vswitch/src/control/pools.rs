//! Address pools for IPAM clients; [`super::model`] has their states.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use vswitch_api::address::{AddressRequest, Family};

use super::error::ControlError;
use super::inner::Inner;
use super::model::{AddressPool, Model, Network, NetworkName, PoolSubnet};
use super::network::choice;
use super::random::random;
use super::store::PoolRecord;
use super::task::task;
use super::{Control, NetworkError};
use crate::config::Subnet6;
use crate::host::HostError;

/// A request for a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolRequest {
    /// Its family, where no subnet says it.
    pub(crate) family: Family,
    /// Its subnet; a free one, if none.
    pub(crate) subnet: Option<IpNet>,
    /// Part of the subnet that addresses come from if nobody names them.
    pub(crate) range: Option<IpNet>,
}

impl Control {
    /// Takes a subnet that neither a route of the host, nor a network, nor another pool has.
    pub(crate) async fn request_pool(&self, request: PoolRequest) -> Result<IpNet, ControlError> {
        let inner = Arc::clone(&self.0);
        let requested = task(async move {
            inner.check_not_ending()?;
            let _choosing = inner.network_changes.lock().await;
            let subnet = choose(&inner, request).await?;
            inner.model().add_pool(subnet, inner.started.elapsed())?;
            if let Err(error) = inner.save().await {
                let _ = inner.model().remove_pool(subnet.net());
                return Err(error);
            }
            Ok(subnet.net())
        });
        requested.await?.map_err(|error| self.count_limit_hit(error))
    }

    /// Whether an IPAM client has the pool of a subnet.
    pub(crate) fn has_pool(&self, subnet: IpNet) -> bool {
        self.0.model().pools().any(|pool| pool.subnet() == subnet)
    }

    /// The gateway's address in a subnet of an overlay network; none of another subnet.
    pub(crate) fn overlay_gateway(&self, subnet: IpNet) -> Option<IpAddr> {
        let model = self.0.model();
        let spec = &overlay_with(&model, subnet)?.spec;
        spec.gateways().into_iter().find(|gateway| subnet.contains(gateway))
    }

    /// The overlay network that has the pool of a subnet.
    pub(crate) fn overlay_of_pool(&self, subnet: IpNet) -> Option<NetworkName> {
        self.0.model().overlay_of_pool(subnet).cloned()
    }

    /// Releases a pool with all its addresses.
    pub(crate) async fn release_pool(&self, subnet: IpNet) -> Result<(), ControlError> {
        let overlay = self.overlay_of_pool(subnet);
        let taken = overlay.as_ref().map(|name| self.0.model().taken_of(name)).unwrap_or_default();
        self.change_pools(move |model, _| model.remove_pool(subnet)).await?;
        if let Some(network) = overlay {
            let of_it = taken.into_iter().filter(|address| subnet.contains(address)).collect();
            self.0.release_unused(&network, of_it).await;
        }
        Ok(())
    }

    /// Takes the gateway's address of a pool; again, if its client asks again.
    pub(crate) async fn take_gateway(
        &self,
        subnet: IpNet,
        requested: IpAddr,
    ) -> Result<IpAddr, ControlError> {
        self.change_pools(move |model, now| model.take_gateway(subnet, requested, now)).await
    }

    /// Takes an address of a pool: a requested one, or the next free one.
    pub(crate) async fn take_address(
        &self,
        subnet: IpNet,
        requested: Option<IpAddr>,
    ) -> Result<IpAddr, ControlError> {
        let Some(network) = self.overlay_of_pool(subnet) else {
            return self
                .change_pools(move |model, now| model.take_address(subnet, requested, now))
                .await;
        };
        let request = requested
            .map_or(AddressRequest::Next(Family::of(subnet.addr())), AddressRequest::Address);
        let inner = Arc::clone(&self.0);
        let taken = task(async move {
            let now = inner.started.elapsed();
            let claimed = inner.claim_reservation(&network, request).await?;
            let taken = inner.model().take_of_overlay(subnet, claimed, now);
            if let (Err(_), AddressRequest::Address(address)) = (&taken, claimed) {
                inner.release_unused(&network, vec![address]).await;
            }
            let address = taken?;
            inner.save().await?;
            Ok(address)
        });
        taken.await?.map_err(|error| self.count_limit_hit(error))
    }

    /// Returns an address to its pool.
    pub(crate) async fn return_address(
        &self,
        subnet: IpNet,
        address: IpAddr,
    ) -> Result<(), ControlError> {
        self.change_pools(move |model, now| model.return_address(subnet, address, now)).await?;
        if let Some(network) = self.overlay_of_pool(subnet) {
            self.0.release_unused(&network, vec![address]).await;
        }
        Ok(())
    }

    /// Changes pools. A change that cannot be written stands: its client gets an error, and asks again or
    /// releases what it has not got.
    async fn change_pools<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Model, std::time::Duration) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let inner = Arc::clone(&self.0);
        let changed = task(async move {
            let result = change(&mut inner.model(), inner.started.elapsed())?;
            inner.save().await?;
            Ok(result)
        });
        changed.await?.map_err(|error| self.count_limit_hit(error))
    }

    /// Restores the stored pools, after the networks.
    pub(super) fn restore_pools(&self, records: &[PoolRecord]) {
        let mut model = self.0.model();
        for record in records {
            match pool_subnet(record.subnet, record.range) {
                Ok(subnet) => model.restore_pool(subnet, record),
                Err(error) => tracing::error!(subnet = %record.subnet, %error, "pool dropped"),
            }
        }
    }
}

/// The subnet of a request. No other network or pool comes meanwhile.
async fn choose(inner: &Inner, request: PoolRequest) -> Result<PoolSubnet, ControlError> {
    // The pool of an overlay network is for the runtime's network that stands for it.
    if let Some(subnet) = request.subnet
        && overlay_with(&inner.model(), subnet).is_some()
    {
        return match inner.model().pools().map(AddressPool::subnet).find(|it| shares(*it, subnet)) {
            Some(pool) => Err(NetworkError::SubnetInPool { subnet, pool }.into()),
            None => Ok(pool_subnet(subnet, request.range)?),
        };
    }
    let routes = inner.netlink.all_routes().await.map_err(HostError::Netlink)?;
    let subnet = match (request.subnet, request.family) {
        (Some(subnet), _) => subnet,
        (None, Family::Ipv4) => choice::free_subnet(inner, &routes)?.net().into(),
        (None, Family::Ipv6) => Subnet6::unique_local(random()?).net().into(),
    };
    let chosen = pool_subnet(subnet, request.range)?;
    let subnet = chosen.net();
    match choice::overlap(inner, &[subnet], &routes) {
        Some(error) => Err(error.into()),
        None => Ok(chosen),
    }
}

/// Whether one of two subnets is a part of the other, and not all of it.
fn shares(one: IpNet, other: IpNet) -> bool {
    one != other && (one.contains(&other) || other.contains(&one))
}

/// The overlay network with a subnet.
fn overlay_with(model: &Model, subnet: IpNet) -> Option<&Network> {
    let overlays = model.networks().filter(|network| network.spec.overlay.is_some());
    overlays.into_iter().find(|network| network.spec.subnets().contains(&subnet))
}

/// A subnet with a range in it.
fn pool_subnet(subnet: IpNet, range: Option<IpNet>) -> Result<PoolSubnet, NetworkError> {
    if let Some(range) = range.filter(|range| !subnet.contains(range)) {
        return Err(NetworkError::RangeOutside { range, subnet });
    }
    let text = subnet.to_string();
    Ok(match (subnet, range) {
        (IpNet::V4(_), Some(IpNet::V4(range))) => {
            PoolSubnet::V4(text.parse().map_err(NetworkError::Value)?, Some(range))
        }
        (IpNet::V4(_), _) => PoolSubnet::V4(text.parse().map_err(NetworkError::Value)?, None),
        (IpNet::V6(_), Some(IpNet::V6(range))) => {
            PoolSubnet::V6(text.parse().map_err(NetworkError::Value)?, Some(range))
        }
        (IpNet::V6(_), _) => PoolSubnet::V6(text.parse().map_err(NetworkError::Value)?, None),
    })
}
