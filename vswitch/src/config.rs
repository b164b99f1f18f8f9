//! Everything that `vswitch up` can be told, typed.
//!
//! [`Settings`] is what somebody said: each key or nothing. The flags make one, a TOML file makes one
//! ([`Settings::from_file`]), the flags win ([`Settings::or`]), and [`Config::new`] fills in the rest.
//! A value that is out of range never gets past [`types`], so a [`Config`] needs no further checks.

mod cpus;
mod file;
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
pub use paths::{SocketPath, StateDir};
pub use types::{Ageing, FdbLimit, IfName, Mtu, Multicast, Subnet4, Subnet6, ValueError, Workers};
pub use uplink::{SnatPorts, Uplink};

/// What somebody said; absent is "did not say".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `bridge`: name of the host's device and of the first network.
    pub bridge: Option<IfName>,
    /// `subnet`: IPv4 subnet of the first network.
    pub subnet: Option<Subnet4>,
    /// `subnet6`: IPv6 subnet of the first network.
    pub subnet6: Option<Subnet6>,
    /// `workers`: threads that move frames.
    pub workers: Option<Workers>,
    /// `cpus`: processors that the workers are bound to.
    pub cpus: Option<Cpus>,
    /// `scheduling`: `auto`, `normal` or `realtime`.
    pub scheduling: Option<SchedulingChoice>,
    /// `idle`: `adaptive`, `spin` or `sleep`.
    pub idle: Option<IdlePolicy>,
    /// `backend`: `auto`, `io_uring` or `epoll`.
    pub backend: Option<BackendChoice>,
    /// `mtu`: largest IP packet in bytes.
    pub mtu: Option<Mtu>,
    /// `socket`: where the API is served.
    pub socket: Option<SocketPath>,
    /// `state_dir`: where the desired state is kept.
    pub state_dir: Option<StateDir>,
    /// `ageing_s`: seconds until a learnt MAC address is forgotten.
    pub ageing: Option<Ageing>,
    /// `fdb_entries_max`: most MAC addresses that a network may learn.
    pub fdb_entries_max: Option<FdbLimit>,
    /// `uplink`: how containers reach the world.
    pub uplink: Option<Uplink>,
    /// `snat_ports`: the ports that containers appear from.
    pub snat_ports: Option<SnatPorts>,
    /// `multicast`: `snoop` or `flood`.
    pub multicast: Option<Multicast>,
}

impl Settings {
    /// Reads a TOML file. Unknown keys are refused.
    ///
    /// # Errors
    /// Names the file, the key and the value.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        file::read(path)
    }

    /// Takes from `other` what is not said here.
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
        }
    }
}

/// What the daemon runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Name of the host's device and of the first network.
    pub bridge: IfName,
    /// IPv4 subnet of the first network; if absent that of the kept state, else
    /// [`Subnet4::default`].
    pub subnet: Option<Subnet4>,
    /// IPv6 subnet of the first network; if absent that of the kept state, else a random one.
    pub subnet6: Option<Subnet6>,
    /// Threads that move frames.
    pub workers: Workers,
    /// Processors that the workers are bound to; none: the scheduler places them.
    pub cpus: Cpus,
    /// Scheduling class of the workers.
    pub scheduling: SchedulingChoice,
    /// What a worker does when there is nothing to do.
    pub idle: IdlePolicy,
    /// How frames are read and written.
    pub backend: BackendChoice,
    /// Largest IP packet of the first network.
    pub mtu: Mtu,
    /// Where the API is served.
    pub socket: SocketPath,
    /// Where the desired state is kept.
    pub state_dir: StateDir,
    /// How long a learnt MAC address is remembered.
    pub ageing: Ageing,
    /// Most MAC addresses that a network may learn.
    pub fdb_entries_max: FdbLimit,
    /// How containers reach the world.
    pub uplink: Uplink,
    /// The ports that they appear from.
    pub snat_ports: SnatPorts,
    /// Who gets multicast.
    pub multicast: Multicast,
}

impl Config {
    /// Fills in what nobody said.
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
        }
    }

    /// The flags, over what a file says.
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

    /// How long a learnt MAC address is remembered.
    #[must_use]
    pub fn ageing(&self) -> Duration {
        self.ageing.duration()
    }
}
