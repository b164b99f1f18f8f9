//! Docker's IPAM protocol: pools and addresses ([libnetwork's `ipam.md`]).
//!
//! A pool's id is its subnet, since no two pools share addresses. Docker asks for a pool and a gateway before it
//! creates the network; [`crate::control::pools`] binds the two. Docker need not repeat its requests when it
//! starts again (`RequiresRequestReplay`): the switch keeps pools and addresses.
//!
//! [libnetwork's `ipam.md`]: https://github.com/moby/libnetwork/blob/master/docs/ipam.md

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::Json;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vswitch_api::address::Family;

use super::driver::Driver;
use super::error::line;
use super::overlay;
use super::protocol::Done;
use crate::control::pools::PoolRequest;
use crate::control::{ControlError, NetworkError};

/// The address spaces of a host and of a cluster; they are labels for Docker only.
const LOCAL_SPACE: &str = "vswitch";
const GLOBAL_SPACE: &str = "vswitch-global";

/// The option that says what an address is for, and its value for a gateway.
const ADDRESS_TYPE: &str = "RequestAddressType";
const GATEWAY: &str = "com.docker.network.gateway";

/// `IpamDriver.GetCapabilities`.
#[derive(Debug, Serialize)]
pub(super) struct Capabilities {
    #[serde(rename = "RequiresMACAddress")]
    requires_mac_address: bool,
    #[serde(rename = "RequiresRequestReplay")]
    requires_request_replay: bool,
}

/// `IpamDriver.GetDefaultAddressSpaces`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressSpaces {
    local_default_address_space: &'static str,
    global_default_address_space: &'static str,
}

pub(super) async fn capabilities() -> Json<Capabilities> {
    Json(Capabilities { requires_mac_address: false, requires_request_replay: false })
}

pub(super) async fn address_spaces() -> Json<AddressSpaces> {
    Json(AddressSpaces {
        local_default_address_space: LOCAL_SPACE,
        global_default_address_space: GLOBAL_SPACE,
    })
}

/// `IpamDriver.RequestPool`: empty texts stand for nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RequestPool {
    #[serde(default)]
    pool: String,
    #[serde(default)]
    sub_pool: String,
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
    #[serde(default)]
    v6: bool,
}

/// Its answer.
#[derive(Debug, Serialize)]
pub(super) struct RequestedPool {
    #[serde(rename = "PoolID")]
    pool_id: String,
    #[serde(rename = "Pool")]
    pool: IpNet,
    #[serde(rename = "Data")]
    data: BTreeMap<String, String>,
}

/// `IpamDriver.ReleasePool`.
#[derive(Debug, Deserialize)]
pub(super) struct ReleasePool {
    #[serde(rename = "PoolID")]
    pool_id: String,
}

/// `IpamDriver.RequestAddress`: any address, if none is named.
#[derive(Debug, Deserialize)]
pub(super) struct RequestAddress {
    #[serde(rename = "PoolID")]
    pool_id: String,
    #[serde(rename = "Address", default)]
    address: String,
    #[serde(rename = "Options", default)]
    options: Option<BTreeMap<String, String>>,
}

/// Its answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RequestedAddress {
    /// With the prefix length of the pool.
    address: IpNet,
    data: BTreeMap<String, String>,
}

/// `IpamDriver.ReleaseAddress`.
#[derive(Debug, Deserialize)]
pub(super) struct ReleaseAddress {
    #[serde(rename = "PoolID")]
    pool_id: String,
    #[serde(rename = "Address")]
    address: String,
}

/// Takes a pool.
pub(super) async fn request_pool(
    driver: Driver,
    request: RequestPool,
) -> Result<RequestedPool, String> {
    if let Some((option, _)) = request.options.into_iter().flatten().next() {
        return Err(format!(
            "unknown --ipam-opt {option:?}: the address management of vswitch has no options; an overlay network is \
             named by -o overlay=NAME, and its subnet by --subnet"
        ));
    }
    let (subnet, range) = (subnet(&request.pool)?, subnet(&request.sub_pool)?);
    if let (None, Some(range)) = (subnet, range) {
        return Err(format!("--ip-range {range} needs a --subnet"));
    }
    let family = if request.v6 { Family::Ipv6 } else { Family::Ipv4 };
    let control = driver.control();
    if let Some(network) = subnet.and_then(|subnet| control.overlay_of_pool(subnet)) {
        overlay::leave_forgotten(control, driver.forgotten(), &network).await;
        overlay::check_unjoined(control, &network)?;
    }
    let request = PoolRequest { family, subnet, range };
    let pool = control.request_pool(request).await.map_err(line)?;
    Ok(RequestedPool { pool_id: pool.to_string(), pool, data: BTreeMap::new() })
}

/// Releases a pool. One that is not there is released.
pub(super) async fn release_pool(driver: Driver, request: ReleasePool) -> Result<Done, String> {
    match driver.control().release_pool(pool(&request.pool_id)?).await {
        Err(ControlError::Network(NetworkError::UnknownPool(pool))) => {
            tracing::debug!(%pool, "a pool was released again");
        }
        result => result.map_err(line)?,
    }
    Ok(Done {})
}

/// Takes an address. A gateway that is not named is that of the overlay network with the pool's subnet, or the first
/// address of the pool.
pub(super) async fn request_address(
    driver: Driver,
    request: RequestAddress,
) -> Result<RequestedAddress, String> {
    let pool = pool(&request.pool_id)?;
    let kind = request.options.and_then(|mut options| options.remove(ADDRESS_TYPE));
    let is_gateway = kind.as_deref() == Some(GATEWAY);
    let control = driver.control();
    let requested = match &*request.address {
        "" if is_gateway => control.overlay_gateway(pool).or_else(|| first_host(pool)),
        "" => None,
        text => Some(address(text)?),
    };
    let taken = match requested.filter(|_| is_gateway) {
        Some(gateway) => control.take_gateway(pool, gateway).await,
        None => control.take_address(pool, requested).await,
    };
    let address = taken.map_err(line)?;
    let address = IpNet::new_assert(address, pool.prefix_len());
    Ok(RequestedAddress { address, data: BTreeMap::new() })
}

/// Returns an address. One that is not taken is returned.
pub(super) async fn release_address(
    driver: Driver,
    request: ReleaseAddress,
) -> Result<Done, String> {
    let address = address(&request.address)?;
    match driver.control().return_address(pool(&request.pool_id)?, address).await {
        Err(ControlError::Network(
            error @ (NetworkError::UnknownPool(_) | NetworkError::NotTaken { .. }),
        )) => tracing::debug!(%error, "an address was released again"),
        result => result.map_err(line)?,
    }
    Ok(Done {})
}

/// The first address that a host may have.
fn first_host(pool: IpNet) -> Option<IpAddr> {
    pool.hosts().find(|address| *address != pool.network())
}

fn subnet(text: &str) -> Result<Option<IpNet>, String> {
    match text {
        "" => Ok(None),
        _ => pool(text).map(Some),
    }
}

fn pool(text: &str) -> Result<IpNet, String> {
    text.parse().map_err(|_| format!("{text:?} is no subnet"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no IP address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_docker_sends() {
        let text = r#"{"AddressSpace":"vswitch","Pool":"","SubPool":"","Options":null,"V6":false}"#;
        let request: RequestPool = serde_json::from_str(text).unwrap();
        assert!(subnet(&request.pool).unwrap().is_none() && !request.v6);
        let text = r#"{"PoolID":"10.5.0.0/24","Address":"","Options":{"RequestAddressType":"com.docker.network.gateway"}}"#;
        let request: RequestAddress = serde_json::from_str(text).unwrap();
        assert_eq!(first_host(pool(&request.pool_id).unwrap()), "10.5.0.1".parse().ok());
        assert_eq!(first_host("fd00::/64".parse().unwrap()), "fd00::1".parse().ok());
        assert_eq!(pool("blue").unwrap_err(), "\"blue\" is no subnet");
    }

    #[test]
    fn answers_as_docker_reads_it() {
        let pool: IpNet = "10.5.0.0/24".parse().unwrap();
        let answer = RequestedPool { pool_id: pool.to_string(), pool, data: BTreeMap::new() };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text, r#"{"PoolID":"10.5.0.0/24","Pool":"10.5.0.0/24","Data":{}}"#);
    }
}
