//! Subnets that nobody has.

use ipnet::{IpNet, Ipv4Net};

use super::super::inner::Inner;
use super::super::limits::POOL_SUBNETS;
use super::super::model::{AddressPool, Network};
use super::NetworkError;
use crate::config::Subnet4;
use crate::host::routes::{HostRoute, overlapping};

/// Addresses for networks that name no subnet, beside the first network's default.
const POOL: Ipv4Net = Ipv4Net::new_assert(std::net::Ipv4Addr::new(10, 112, 0, 0), 12);
const POOL_PREFIX_LEN: u8 = 24;

const _: () = assert!(1 << (POOL_PREFIX_LEN - POOL.prefix_len()) == POOL_SUBNETS);

/// The error if subnets share addresses with the host's routes, with another network that the host reaches, or with a
/// pool. A free pool of the same subnet is for this network.
pub(in crate::control) fn overlap(
    inner: &Inner,
    subnets: &[IpNet],
    routes: &[HostRoute],
) -> Option<NetworkError> {
    let model = inner.model();
    for &subnet in subnets {
        let shares = |net: &IpNet| net.contains(&subnet) || subnet.contains(net);
        let is_other =
            |it: &&Network| it.spec.device.is_some() && it.spec.subnets().iter().any(shares);
        if let Some(other) = model.networks().find(is_other) {
            return Some(NetworkError::SubnetInUse {
                subnet,
                network: other.spec.name.to_string(),
            });
        }
        let other = model.pools().map(AddressPool::subnet).find(|it| shares(it) && *it != subnet);
        if let Some(pool) = other {
            return Some(NetworkError::SubnetInPool { subnet, pool });
        }
        if let Some(route) = overlapping(subnet, routes) {
            return Some(NetworkError::SubnetRouted { subnet, route: route.destination });
        }
    }
    None
}

/// A number for a name (FNV-1a), the same on all nodes.
pub(in crate::control) fn hash(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The subnet of the pool for a number, so that all nodes choose the same.
pub(in crate::control) fn subnet_at(number: u32) -> Result<Subnet4, NetworkError> {
    let at = number as usize % POOL_SUBNETS;
    let subnet = POOL.subnets(POOL_PREFIX_LEN).into_iter().flatten().nth(at);
    let subnet = subnet.ok_or(NetworkError::SubnetsMax)?;
    subnet.to_string().parse().map_err(NetworkError::Value)
}

/// The first subnet of the pool that shares no address with a network or a route of the host.
pub(in crate::control) fn free_subnet(
    inner: &Inner,
    routes: &[HostRoute],
) -> Result<Subnet4, NetworkError> {
    let model = inner.model();
    let networks = model.networks().map(|it| IpNet::V4(it.spec.subnet.net()));
    let taken: Vec<IpNet> = networks.chain(model.pools().map(AddressPool::subnet)).collect();
    let is_free = |subnet: &IpNet| {
        overlapping(*subnet, routes).is_none()
            && !taken.iter().any(|net| net.contains(subnet) || subnet.contains(net))
    };
    let mut candidates = POOL.subnets(POOL_PREFIX_LEN).into_iter().flatten().map(IpNet::V4);
    let free = candidates.find(is_free).ok_or(NetworkError::SubnetsMax)?;
    free.to_string().parse().map_err(NetworkError::Value)
}
