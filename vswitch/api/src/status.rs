//! The daemon itself.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What `vswitch status` shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// The packet I/O backend that runs: `io_uring` or `epoll`.
    pub backend: String,
    /// Why that backend: `probe succeeded`, `asked for by --backend`, or what the kernel refused.
    pub backend_reason: String,
    /// Number of workers.
    pub workers: usize,
    /// Processors that the workers are bound to, in order; empty where the scheduler places them.
    #[serde(default)]
    pub cpus: Vec<usize>,
    /// Scheduling class of the workers: `realtime` or `normal`.
    #[serde(default)]
    pub scheduling: String,
    /// Why that class.
    #[serde(default)]
    pub scheduling_reason: String,
    /// Idle policy: `adaptive`, `spin` or `sleep`.
    pub idle: String,
    /// The uplink: `none`, `kernel`, or a device's name.
    pub uplink: String,
    /// Name of the first network, which is also that of the host's device.
    pub bridge: String,
    /// Number of networks.
    pub networks: usize,
    /// Number of container ports.
    pub ports: usize,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// Where the desired state is kept.
    pub state_dir: String,
    /// The way out in detail; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink_detail: Option<UplinkStatus>,
}

/// The way out, and how it is at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UplinkStatus {
    /// Who translates addresses: `user-space` or `kernel`.
    pub mode: String,
    /// `up`, `down`, or `waiting` while there is no route out.
    pub state: String,
    /// Why it is not up; empty if it is.
    pub reason: String,
    /// The device; empty while there is none.
    pub device: String,
    /// Largest IP packet of the device in bytes.
    pub mtu: u32,
    /// The address that containers appear from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// The same of IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// The ports that they appear from, as `20000-32767`.
    pub snat_ports: String,
    /// Publications that are open.
    pub published: usize,
    /// Publications that are stored, but not open; `vswitch inspect` says why.
    #[serde(default)]
    pub publish_pending: usize,
    /// Connections that are translated now.
    pub connections: usize,
}
