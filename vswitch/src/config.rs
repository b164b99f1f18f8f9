//! The configuration of `vswitch up`, typed.
//!
//! [`Settings`] has each key or nothing. The flags make one, and a TOML file another
//! ([`Settings::from_file`]); flags win ([`Settings::or`]), and [`Config::new`] adds the defaults. [`types`]
//! refuses values that are out of range, so a [`Config`] needs no further checks.

mod cpus;
mod file;
mod metrics;
mod paths;
#[cfg(test)]
mod tests;
pub mod types;
mod uplink;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use cpus::Cpus;
pub use fastpath::{BackendChoice, IdlePolicy, SchedulingChoice};
pub use file::ConfigError;
pub use metrics::MetricsAddr;
pub use paths::{SocketPath, StateDir};
pub use types::{Ageing, FdbLimit, IfName, Mtu, Multicast, Subnet4, Subnet6, ValueError, Workers};
pub use uplink::{SnatPorts, Uplink};

/// The given keys; the others are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `bridge`: name of the host's device and of the first network.
    pub bridge: Option<IfName>,
    /// `subnet`: IPv4 subnet of the first network.
    pub subnet: Option<Subnet4>,
    /// `subnet6`: IPv6 subnet of the first network.
    pub subnet6: Option<Subnet6>,
    /// `workers`: datapath worker threads.
    pub workers: Option<Workers>,
    /// `cpus`: processors of the workers.
    pub cpus: Option<Cpus>,
    /// `scheduling`: `auto`, `normal` or `realtime`.
    pub scheduling: Option<SchedulingChoice>,
    /// `idle`: `adaptive`, `spin` or `sleep`.
    pub idle: Option<IdlePolicy>,
    /// `backend`: `auto`, `io_uring` or `epoll`.
    pub backend: Option<BackendChoice>,
    /// `mtu`: largest IP packet in bytes.
    pub mtu: Option<Mtu>,
    /// `socket`: path of the API socket.
    pub socket: Option<SocketPath>,
    /// `state_dir`: directory of the document.
    pub state_dir: Option<StateDir>,
    /// `ageing_s`: seconds until a learnt MAC address is forgotten.
    pub ageing: Option<Ageing>,
    /// `fdb_entries_max`: most MAC addresses that a network may learn.
    pub fdb_entries_max: Option<FdbLimit>,
    /// `uplink`: egress of containers.
    pub uplink: Option<Uplink>,
    /// `snat_ports`: SNAT source-port range.
    pub snat_ports: Option<SnatPorts>,
    /// `multicast`: `snoop` or `flood`.
    pub multicast: Option<Multicast>,
    /// `metrics`: where Prometheus' metrics are served over TCP.
    pub metrics: Option<MetricsAddr>,
}

impl Settings {
    /// Reads a TOML file. Unknown keys are refused.
    ///
    /// # Errors
    /// Names the file, the key and the value.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        file::read(path)
    }

    /// Takes absent keys from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            bridge: self.bridge.or(other.bridge),
            subnet: self.subnet.or(other.subnet),
            subnet6: self.subnet6.or(other.subnet6),
            workers: self.workers.or(other.workers),
            cpus: self.cpus.or(other.cpus),
            scheduling: self.scheduling.or(other.scheduling),
            idle: self.idle.or(other.idle),
            backend: self.backend.or(other.backend),
            mtu: self.mtu.or(other.mtu),
            socket: self.socket.or(other.socket),
            state_dir: self.state_dir.or(other.state_dir),
            ageing: self.ageing.or(other.ageing),
            fdb_entries_max: self.fdb_entries_max.or(other.fdb_entries_max),
            uplink: self.uplink.or(other.uplink),
            snat_ports: self.snat_ports.or(other.snat_ports),
            multicast: self.multicast.or(other.multicast),
            metrics: self.metrics.or(other.metrics),
        }
    }
}

/// The complete configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the host's device and of the first network.
    pub bridge: IfName,
    /// IPv4 subnet of the first network; if absent that of the document, else
    /// [`Subnet4::default`].
    pub subnet: Option<Subnet4>,
    /// IPv6 subnet of the first network; if absent that of the document, else a random one.
    pub subnet6: Option<Subnet6>,
    /// Number of datapath worker threads.
    pub workers: Workers,
    /// Processors of the workers; if none, the scheduler places them.
    pub cpus: Cpus,
    /// Scheduling class of the workers.
    pub scheduling: SchedulingChoice,
    /// Idle policy of the workers.
    pub idle: IdlePolicy,
    /// Backend of packet I/O.
    pub backend: BackendChoice,
    /// Largest IP packet of the first network.
    pub mtu: Mtu,
    /// Path of the API socket.
    pub socket: SocketPath,
    /// Directory of the document.
    pub state_dir: StateDir,
    /// Ageing time of learnt MAC addresses.
    pub ageing: Ageing,
    /// Most MAC addresses that a network may learn.
    pub fdb_entries_max: FdbLimit,
    /// Egress of containers.
    pub uplink: Uplink,
    /// SNAT source-port range.
    pub snat_ports: SnatPorts,
    /// Multicast mode.
    pub multicast: Multicast,
    /// Where metrics are served over TCP; absent: on the API's socket only.
    pub metrics: Option<MetricsAddr>,
}

impl Config {
    /// Adds the defaults.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let uplink = settings.uplink.unwrap_or_default();
        Self {
            bridge: settings.bridge.unwrap_or_default(),
            subnet: settings.subnet,
            subnet6: settings.subnet6,
            workers: settings.workers.unwrap_or_default(),
            cpus: settings.cpus.unwrap_or_default(),
            scheduling: settings.scheduling.unwrap_or_default(),
            idle: settings.idle.unwrap_or(IdlePolicy::Adaptive),
            backend: settings.backend.unwrap_or(BackendChoice::Auto),
            mtu: settings.mtu.unwrap_or_default(),
            socket: settings.socket.unwrap_or_default(),
            state_dir: settings.state_dir.unwrap_or_default(),
            ageing: settings.ageing.unwrap_or_default(),
            fdb_entries_max: settings.fdb_entries_max.unwrap_or_default(),
            uplink,
            snat_ports: settings.snat_ports.unwrap_or_default(),
            multicast: settings.multicast.unwrap_or_default(),
            metrics: settings.metrics,
        }
    }

    /// Reads the file, and lets the flags win.
    ///
    /// # Errors
    /// Those of [`Settings::from_file`].
    pub fn load(flags: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = file.map(Settings::from_file).transpose()?.unwrap_or_default();
        Ok(Self::new(flags.or(file)))
    }

    /// The socket's path.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.socket.path().to_owned()
    }

    /// Ageing time of learnt MAC addresses.
    #[must_use]
    pub fn ageing(&self) -> Duration {
        self.ageing.duration()
    }
}
