//! The daemon itself.

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
}
