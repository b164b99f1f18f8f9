//! Containers of an engine, Docker or podman.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Socket of Docker's API.
pub const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Socket of podman's API, which is Docker's.
pub const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// A container, as a user names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ContainerRef {
    /// Its name, its id, or the begin of its id.
    pub name: String,
    /// Socket of the engine's API; Docker's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<PathBuf>,
}

/// The container of an attachment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Socket of the engine's API.
    pub engine: PathBuf,
}
