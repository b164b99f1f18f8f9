//! Messages of Docker's remote network driver (`libnetwork/docs/remote.md` of moby).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Options of requests: Docker's own under their names, those of `-o` under [`GENERIC`].
pub(super) type Options = Map<String, Value>;

/// Options of `docker network create -o`.
pub(super) const GENERIC: &str = "com.docker.network.generic";
/// Whether the network is `--internal`.
pub(super) const INTERNAL: &str = "com.docker.network.internal";
/// Whether the network is created with `--ipv6`.
pub(super) const ENABLE_IPV6: &str = "com.docker.network.enable_ipv6";
/// Port map of a container.
pub(super) const PORT_MAP: &str = "com.docker.network.portmap";

/// A failure, which `docker` prints as one line. The two protocols look for it under different keys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Failure {
    /// Key of the network driver.
    err: String,
    /// Key of the IPAM driver.
    error: String,
}

impl Failure {
    pub(super) fn new(error: impl Into<String>) -> Self {
        let error = error.into();
        Self { err: error.clone(), error }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Activation {
    pub(super) implements: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Capabilities {
    pub(super) scope: &'static str,
    pub(super) connectivity_scope: &'static str,
}

/// The answer without contents.
#[derive(Debug, Default, Serialize)]
pub(super) struct Done {}

#[derive(Debug, Deserialize)]
pub(super) struct CreateNetwork {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
    #[serde(rename = "Options", default)]
    pub(super) options: Option<Options>,
    #[serde(rename = "IPv4Data", default)]
    pub(super) ipv4: Option<Vec<AddressData>>,
    #[serde(rename = "IPv6Data", default)]
    pub(super) ipv6: Option<Vec<AddressData>>,
}

/// What the address management gave a network.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddressData {
    #[serde(default)]
    pub(super) pool: Option<String>,
    #[serde(default)]
    pub(super) gateway: Option<String>,
    /// Addresses that nobody gets, by name.
    #[serde(default)]
    pub(super) aux_addresses: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct NetworkId {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Allocated {
    pub(super) options: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct CreateEndpoint {
    #[serde(rename = "NetworkID")]
    pub(super) network_id: String,
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
    #[serde(rename = "Interface", default)]
    pub(super) interface: Option<Interface>,
}

/// Addresses of an endpoint; in an answer those that the switch chose. Empty: none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Interface {
    /// With the prefix length.
    #[serde(rename = "Address", default, skip_serializing_if = "String::is_empty")]
    pub(super) address: String,
    #[serde(rename = "AddressIPv6", default, skip_serializing_if = "String::is_empty")]
    pub(super) address6: String,
    #[serde(rename = "MacAddress", default, skip_serializing_if = "String::is_empty")]
    pub(super) mac: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreatedEndpoint {
    pub(super) interface: Interface,
}

#[derive(Debug, Deserialize)]
pub(super) struct EndpointId {
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
}

/// An endpoint with its container's namespace, or with options.
#[derive(Debug, Deserialize)]
pub(super) struct Join {
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
    #[serde(rename = "SandboxKey")]
    pub(super) sandbox_key: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Joined {
    pub(super) interface_name: InterfaceName,
    /// Empty: no default route by this network.
    pub(super) gateway: String,
    #[serde(rename = "GatewayIPv6")]
    pub(super) gateway6: String,
    /// Docker adds no network of its own for the way out.
    pub(super) disable_gateway_service: bool,
}

/// Name of the TAP, and how names in the container begin.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InterfaceName {
    pub(super) src_name: String,
    pub(super) dst_prefix: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExternalConnectivity {
    #[serde(rename = "EndpointID")]
    pub(super) endpoint_id: String,
    #[serde(rename = "Options", default)]
    pub(super) options: Option<Options>,
}

/// One port of a container's port map.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct PortBinding {
    /// Protocol number.
    #[serde(rename = "Proto")]
    pub(super) protocol: u8,
    /// Port of the container.
    #[serde(rename = "Port")]
    pub(super) port: u16,
    /// Address of the host; empty: all.
    #[serde(rename = "HostIP", default)]
    pub(super) host_ip: String,
    /// Port of the host; 0: any.
    #[serde(rename = "HostPort", default)]
    pub(super) host_port: u16,
    /// Last port of the host that will do.
    #[serde(rename = "HostPortEnd", default)]
    pub(super) host_port_end: u16,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OperInfo {
    pub(super) value: BTreeMap<String, String>,
}
