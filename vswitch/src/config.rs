//! The configuration of `vswitch up`, typed.
//!
//! [`Settings`] has each key or nothing. The flags make one, and a TOML file another
//! ([`Settings::from_file`]); flags win ([`Settings::or`]), and [`Config::new`] adds the defaults. [`types`]
//! refuses values that are out of range, so a [`Config`] needs no further checks.

mod cpus;
mod cut_through;
mod dns;
mod file;
mod glob;
mod metrics;
mod paths;
#[cfg(test)]
mod tests;
pub mod types;
mod underlay;
mod uplink;

use std::path::{Path, PathBuf};

pub use cpus::Cpus;
pub use cut_through::CgroupPath;
pub use dns::{Dns, DnsServer};
pub use fastpath::{BackendChoice, IdlePolicy, SchedulingChoice};
pub use file::ConfigError;
pub use glob::Glob;
pub use metrics::MetricsAddr;
pub use paths::{SocketPath, StateDir};
pub use types::{
    Ageing, FdbLimit, IfName, Mtu, Multicast, Subnet4, Subnet6, ValueError, VxlanPort, Workers,
};
pub(crate) use underlay::not_unicast;
pub use underlay::{NodeName, Underlay, VxlanChecksum};
pub use uplink::{SnatPorts, Uplink, UplinkExclude};
pub use vswitch_registry::{RegistryUrl, UrlError};

/// Makes [`Settings`] of one table: the field, its key in the file, the kind of TOML value, and the type.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident, $key:literal, $kind:ident: $type:ty;)*) => {
        /// The given keys; the others are absent.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Settings {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        /// All keys of a file.
        const KEYS: &[&str] = &[$($key),*];

        impl Settings {
            /// Takes absent keys from `other`.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)* }
            }

            /// Takes the value of an entry of a file.
            fn set(&mut self, entry: file::Entry<'_>) -> Result<(), ConfigError> {
                match entry.key {
                    $($key => self.$field = Some(entry.$kind()?),)*
                    _ => return Err(entry.unknown()),
                }
                Ok(())
            }
        }
    };
}

settings! {
    /// `bridge`: name of the host's device and of the first network.
    bridge, "bridge", text: IfName;
    /// `subnet`: IPv4 subnet of the first network.
    subnet, "subnet", text: Subnet4;
    /// `subnet6`: IPv6 subnet of the first network.
    subnet6, "subnet6", text: Subnet6;
    /// `workers`: datapath worker threads.
    workers, "workers", number: Workers;
    /// `cpus`: processors of the workers.
    cpus, "cpus", text: Cpus;
    /// `scheduling`: `auto`, `normal`, `batch` or `realtime`.
    scheduling, "scheduling", text: SchedulingChoice;
    /// `idle`: `adaptive`, `spin` or `sleep`.
    idle, "idle", text: IdlePolicy;
    /// `backend`: `auto`, `io_uring` or `epoll`.
    backend, "backend", text: BackendChoice;
    /// `mtu`: largest IP packet in bytes.
    mtu, "mtu", number: Mtu;
    /// `socket`: path of the API socket.
    socket, "socket", text: SocketPath;
    /// `state_dir`: directory of the document.
    state_dir, "state_dir", text: StateDir;
    /// `ageing_s`: seconds until a learnt MAC address is forgotten.
    ageing, "ageing_s", number: Ageing;
    /// `fdb_entries_max`: most MAC addresses that a network may learn.
    fdb_entries_max, "fdb_entries_max", number: FdbLimit;
    /// `uplink`: egress of containers.
    uplink, "uplink", text: Uplink;
    /// `uplink_exclude`: devices that are no uplinks.
    uplink_exclude, "uplink_exclude", text: UplinkExclude;
    /// `snat_ports`: SNAT source-port range.
    snat_ports, "snat_ports", text: SnatPorts;
    /// `multicast`: `snoop` or `flood`.
    multicast, "multicast", text: Multicast;
    /// `dhcp`: serves DHCPv4 and DHCPv6 in the first network.
    dhcp, "dhcp", flag: bool;
    /// `ra`: sends router advertisements in the first network.
    ra, "ra", flag: bool;
    /// `metrics`: where Prometheus' metrics are served over TCP.
    metrics, "metrics", text: MetricsAddr;
    /// `dns`: `host`, upstream servers with commas between them, or `off`.
    dns, "dns", text: Dns;
    /// `docker_plugin`: path of the socket where Docker finds its network plugin.
    docker_plugin, "docker_plugin", text: SocketPath;
    /// `docker_api`: path of Docker's own socket, which knows the names of its containers.
    docker_api, "docker_api", text: SocketPath;
    /// `underlay`: the host's address for overlay networks.
    underlay, "underlay", text: Underlay;
    /// `vxlan_port`: UDP port of overlay networks.
    vxlan_port, "vxlan_port", number: VxlanPort;
    /// `vxlan_checksum`: `on` or `off`.
    vxlan_checksum, "vxlan_checksum", text: VxlanChecksum;
    /// `node`: name of this node among those of overlay networks.
    node, "node", text: NodeName;
    /// `registry`: URL of the registry that the nodes of overlay networks share.
    registry, "registry", text: RegistryUrl;
    /// `cut_through`: local TCP connections go from socket to socket, in all networks that do not say otherwise.
    cut_through, "cut_through", flag: bool;
    /// `cut_through_cgroup`: the cgroup whose sockets may be cut through.
    cut_through_cgroup, "cut_through_cgroup", text: CgroupPath;
}

impl Settings {
    /// Reads a TOML file. Unknown keys are refused.
    ///
    /// # Errors
    /// Names the file, the key and the value.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        file::read(path)
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
    /// Devices that are no uplinks.
    pub uplink_exclude: UplinkExclude,
    /// SNAT source-port range.
    pub snat_ports: SnatPorts,
    /// Multicast mode.
    pub multicast: Multicast,
    /// Whether the first network serves DHCP.
    pub dhcp: bool,
    /// Whether the first network sends router advertisements.
    pub ra: bool,
    /// Where metrics are served over TCP; absent: on the API's socket only.
    pub metrics: Option<MetricsAddr>,
    /// The DNS service and its upstream servers.
    pub dns: Dns,
    /// Path of the socket of Docker's network plugin; absent: there is none.
    pub docker_plugin: Option<SocketPath>,
    /// Path of Docker's own socket, for the names of containers; absent: Docker's default.
    pub docker_api: Option<SocketPath>,
    /// The host's address for overlay networks; absent: there are none.
    pub underlay: Option<Underlay>,
    /// UDP port of overlay networks.
    pub vxlan_port: VxlanPort,
    /// UDP checksum of overlay networks' datagrams.
    pub vxlan_checksum: VxlanChecksum,
    /// Name of this node among those of overlay networks; absent: the host's.
    pub node: Option<NodeName>,
    /// Registry that the nodes of overlay networks share; absent: their peers are static. Never without an underlay.
    pub registry: Option<RegistryUrl>,
    /// Whether TCP connections are cut through in networks that do not say otherwise.
    pub cut_through: bool,
    /// The cgroup whose sockets may be cut through; absent: the root.
    pub cut_through_cgroup: Option<CgroupPath>,
}

impl Config {
    /// Adds the defaults.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
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
            uplink: settings.uplink.unwrap_or_default(),
            uplink_exclude: settings.uplink_exclude.unwrap_or_default(),
            snat_ports: settings.snat_ports.unwrap_or_default(),
            multicast: settings.multicast.unwrap_or_default(),
            dhcp: settings.dhcp.unwrap_or_default(),
            ra: settings.ra.unwrap_or_default(),
            metrics: settings.metrics,
            dns: settings.dns.unwrap_or_default(),
            docker_plugin: settings.docker_plugin,
            docker_api: settings.docker_api,
            underlay: settings.underlay,
            vxlan_port: settings.vxlan_port.unwrap_or_default(),
            vxlan_checksum: settings.vxlan_checksum.unwrap_or_default(),
            node: settings.node,
            registry: settings.registry,
            cut_through: settings.cut_through.unwrap_or_default(),
            cut_through_cgroup: settings.cut_through_cgroup,
        }
    }

    /// Reads the file, and lets the flags win.
    ///
    /// # Errors
    /// Those of [`Settings::from_file`]; a registry without an underlay.
    pub fn load(flags: Settings, file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = file.map(Settings::from_file).transpose()?.unwrap_or_default();
        let config = Self::new(flags.or(file));
        match &config.registry {
            Some(url) if config.underlay.is_none() => {
                Err(ConfigError::RegistryAlone(url.to_string()))
            }
            _ => Ok(config),
        }
    }

    /// The socket's path.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        self.socket.path().to_owned()
    }
}
