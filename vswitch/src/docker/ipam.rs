//! Docker's IPAM protocol: pools and addresses ([libnetwork's `ipam.md`]).
//!
//! A pool's id is its subnet, since no two pools share addresses. Docker asks for a pool and a gateway before it
//! creates the network; [`crate::control::pools`] binds the two. Docker need not repeat its requests when it
//! starts again (`RequiresRequestReplay`): the switch keeps pools and addresses.
//!
//! [libnetwork's `ipam.md`]: https://github.com/moby/libnetwork/blob/master/docs/ipam.md

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vswitch_api::address::Family;

use crate::control::pools::PoolRequest;
use crate::control::{Control, ControlError, NetworkError};

/// The address spaces of a host and of a cluster; they are labels for Docker only.
const LOCAL_SPACE: &str = "vswitch";
const GLOBAL_SPACE: &str = "vswitch-global";

/// The option that says what an address is for, and its value for a gateway.
const ADDRESS_TYPE: &str = "RequestAddressType";
const GATEWAY: &str = "com.docker.network.gateway";

/// `IpamDriver.GetCapabilities`.
pub(super) fn capabilities() -> Value {
    json!({ "RequiresMACAddress": false, "RequiresRequestReplay": false })
}

/// `IpamDriver.GetDefaultAddressSpaces`.
pub(super) fn default_address_spaces() -> Value {
    json!({
        "LocalDefaultAddressSpace": LOCAL_SPACE,
        "GlobalDefaultAddressSpace": GLOBAL_SPACE,
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

/// A request that the switch does not understand, or refuses.
#[derive(Debug, thiserror::Error)]
pub(super) enum IpamError {
    /// Docker's own texts are subnets and addresses; a user's `--ipam-opt` may be anything.
    #[error("{0:?} is no {1}")]
    Value(String, &'static str),
    /// An option of `--ipam-opt`.
    #[error("unknown --ipam-opt {0:?}: the IPAM driver of vswitch has no options")]
    Option(String),
    /// A range without a subnet.
    #[error("--ip-range {0} needs a --subnet")]
    RangeOnly(IpNet),
    #[error(transparent)]
    Control(#[from] ControlError),
}

/// Takes a pool.
pub(super) async fn request_pool(
    control: &Control,
    request: RequestPool,
) -> Result<RequestedPool, IpamError> {
    if let Some(option) = request.options.into_iter().flatten().next() {
        return Err(IpamError::Option(option.0));
    }
    let (subnet, range) = (subnet(&request.pool)?, subnet(&request.sub_pool)?);
    if let (None, Some(range)) = (subnet, range) {
        return Err(IpamError::RangeOnly(range));
    }
    let family = if request.v6 { Family::Ipv6 } else { Family::Ipv4 };
    let pool = control.request_pool(PoolRequest { family, subnet, range }).await?;
    Ok(RequestedPool { pool_id: pool.to_string(), pool, data: BTreeMap::new() })
}

/// Releases a pool. One that is not there is released.
pub(super) async fn release_pool(control: &Control, request: ReleasePool) -> Result<(), IpamError> {
    match control.release_pool(pool(&request.pool_id)?).await {
        Err(ControlError::Network(NetworkError::UnknownPool(pool))) => {
            tracing::debug!(%pool, "released a pool that is not there");
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Takes an address. A gateway that is not named is the first address of its pool.
pub(super) async fn request_address(
    control: &Control,
    request: RequestAddress,
) -> Result<RequestedAddress, IpamError> {
    let pool = pool(&request.pool_id)?;
    let is_gateway = request.options.is_some_and(|options| {
        options.get(ADDRESS_TYPE).is_some_and(|kind| kind == GATEWAY)
    });
    let requested = match &*request.address {
        "" if is_gateway => pool.hosts().next(),
        "" => None,
        text => Some(address(text)?),
    };
    let address = control.take_address(pool, requested).await?;
    let address = IpNet::new_assert(address, pool.prefix_len());
    Ok(RequestedAddress { address, data: BTreeMap::new() })
}

/// Returns an address. One that is not taken is returned.
pub(super) async fn release_address(
    control: &Control,
    request: ReleaseAddress,
) -> Result<(), IpamError> {
    let address = address(&request.address)?;
    match control.return_address(pool(&request.pool_id)?, address).await {
        Err(ControlError::Network(
            error @ (NetworkError::UnknownPool(_) | NetworkError::NotTaken { .. }),
        )) => {
            tracing::debug!(%error, "an address was released again");
            Ok(())
        }
        result => Ok(result?),
    }
}

fn subnet(text: &str) -> Result<Option<IpNet>, IpamError> {
    match text {
        "" => Ok(None),
        _ => pool(text).map(Some),
    }
}

fn pool(text: &str) -> Result<IpNet, IpamError> {
    text.parse().map_err(|_| IpamError::Value(text.to_owned(), "subnet"))
}

fn address(text: &str) -> Result<IpAddr, IpamError> {
    text.parse().map_err(|_| IpamError::Value(text.to_owned(), "IP address"))
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
        assert_eq!(pool(&request.pool_id).unwrap().hosts().next(), "10.5.0.1".parse().ok());
        assert!(pool("blue").unwrap_err().to_string().contains("\"blue\" is no subnet"));
    }

    #[test]
    fn answers_as_docker_reads_it() {
        let pool: IpNet = "10.5.0.0/24".parse().unwrap();
        let answer = RequestedPool { pool_id: pool.to_string(), pool, data: BTreeMap::new() };
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(text, r#"{"PoolID":"10.5.0.0/24","Pool":"10.5.0.0/24","Data":{}}"#);
    }
}
