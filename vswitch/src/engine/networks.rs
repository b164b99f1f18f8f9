//! What is read of an engine's networks, and of a container's endpoints on them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::null::or_default;

/// Its endpoints, by the names of their networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct NetworkSettings {
    #[serde(deserialize_with = "or_default")]
    pub(crate) networks: BTreeMap<String, EngineEndpoint>,
}

/// An endpoint of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct EngineEndpoint {
    #[serde(rename = "EndpointID", deserialize_with = "or_default")]
    pub(crate) endpoint_id: String,
    #[serde(rename = "Aliases", deserialize_with = "or_default")]
    pub(crate) aliases: Vec<String>,
}

/// A network of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EngineNetwork {
    pub(crate) name: String,
    /// By the ids of containers.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) containers: BTreeMap<String, NetworkMember>,
}

/// A container on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct NetworkMember {
    #[serde(rename = "Name", deserialize_with = "or_default")]
    pub(crate) name: String,
    #[serde(rename = "EndpointID", deserialize_with = "or_default")]
    pub(crate) endpoint_id: String,
}
