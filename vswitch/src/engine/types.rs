//! What is read of an engine's answers. Each key may be absent or null: engines differ.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::EngineError;
use super::networks::{EngineEndpoint, NetworkSettings};
use super::null::or_default;

/// A row of the list of containers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedContainer {
    /// The whole id.
    pub id: String,
    /// Names, each with a slash before it.
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    state: String,
}

impl ListedContainer {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.names.first().map(|name| name.trim_start_matches('/'))
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state.as_str(), "running" | "paused")
    }
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    /// The whole id.
    pub(crate) id: String,
    /// The user who runs the engine, which is believed about that user's things only; root about all.
    #[serde(skip, default = "no_user")]
    pub(crate) engine_uid: u32,
    name: String,
    state: State,
    #[serde(default, deserialize_with = "or_default")]
    host_config: HostConfig,
    #[serde(default, deserialize_with = "or_default")]
    resolv_conf_path: PathBuf,
    #[serde(default, deserialize_with = "or_default")]
    config: Config,
    #[serde(default, deserialize_with = "or_default")]
    network_settings: NetworkSettings,
}

/// The id that no user has.
fn no_user() -> u32 {
    u32::MAX
}

/// Settings of its image and its command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    #[serde(deserialize_with = "or_default")]
    status: String,
    running: bool,
    paused: bool,
    #[serde(deserialize_with = "or_default")]
    pid: u32,
    #[serde(deserialize_with = "or_default")]
    started_at: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    #[serde(deserialize_with = "or_default")]
    network_mode: String,
    #[serde(deserialize_with = "or_default")]
    dns: Vec<String>,
}

/// The network that a container was run with, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NetworkMode {
    /// The host's namespace.
    Host,
    /// A namespace with nothing but `lo`.
    None,
    /// A network of the engine, or another container's namespace.
    Other,
}

impl Container {
    /// Its name, without the slash.
    pub(crate) fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    fn network_mode(&self) -> NetworkMode {
        match self.host_config.network_mode.as_str() {
            "host" => NetworkMode::Host,
            "none" => NetworkMode::None,
            _ => NetworkMode::Other,
        }
    }

    /// Its labels, with those of its image.
    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        &self.config.labels
    }

    /// Its endpoint of an id.
    pub(crate) fn endpoint(&self, id: &str) -> Option<&EngineEndpoint> {
        self.network_settings.networks.values().find(|endpoint| endpoint.endpoint_id == id)
    }

    /// The id of its first process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        Some(self.state.pid).filter(|pid| self.state.running && *pid > 0)
    }

    /// Whether two answers are about the same run of the container.
    pub(crate) fn is_same_run(&self, other: &Self) -> bool {
        let run = |it: &Self| (it.pid(), it.state.started_at.clone(), it.engine_uid);
        self.pid().is_some() && run(self) == run(other)
    }

    /// The file behind its `/etc/resolv.conf`, where nothing of the engine or the user names the servers: it
    /// has no network of the engine, and no `--dns`.
    pub(crate) fn free_resolv_conf(&self) -> Option<PathBuf> {
        let is_free = self.network_mode() == NetworkMode::None && self.host_config.dns.is_empty();
        Some(self.resolv_conf_path.clone()).filter(|path| is_free && path.is_absolute())
    }

    /// The id of its first process; an error if it cannot be attached.
    pub(crate) fn attachable(&self) -> Result<u32, EngineError> {
        let name = self.name().to_owned();
        if self.network_mode() == NetworkMode::Host {
            return Err(EngineError::HostNetwork(name));
        }
        let status = self.state.status.clone();
        let pid = self.pid().ok_or(EngineError::NotRunning { name: name.clone(), status })?;
        if self.state.paused { Err(EngineError::Paused(name)) } else { Ok(pid) }
    }
}
