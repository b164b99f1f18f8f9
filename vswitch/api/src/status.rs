//! The daemon and its uplinks.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::cut_through::CutThroughStatus;
use crate::overlay::UnderlayStatus;
use crate::registry::RegistrySummary;
use crate::words::words;

words! {
    /// Packet I/O backend.
    Backend {
        /// io_uring.
        IoUring = "io_uring",
        /// epoll.
        Epoll = "epoll",
    }
}

words! {
    /// Scheduling class of the workers.
    Scheduling {
        /// `SCHED_BATCH`.
        Batch = "batch",
        /// `SCHED_FIFO`.
        Realtime = "realtime",
        /// `SCHED_OTHER`.
        Normal = "normal",
    }
}

words! {
    /// Behaviour of a worker without traffic.
    IdlePolicy {
        /// Spins briefly after traffic while the machine has a processor to spare, else sleeps at once.
        Adaptive = "adaptive",
        /// Never sleeps.
        Spin = "spin",
        /// Sleeps at once.
        Sleep = "sleep",
    }
}

words! {
    /// Behaviour that the idle policy allows at the moment.
    IdleState {
        /// Spin briefly after traffic.
        Spinning = "spinning",
        /// Sleep at once.
        Sleeping = "sleeping",
    }
}

words! {
    /// Translator of addresses.
    UplinkMode {
        /// The switch.
        UserSpace = "user-space",
        /// The host's kernel (masquerade).
        Kernel = "kernel",
    }
}

words! {
    /// State of an uplink.
    UplinkState {
        /// Forwards.
        Up = "up",
        /// The device is missing, down or without carrier.
        Down = "down",
        /// No device yet: `--uplink auto` finds none that leads out.
        Waiting = "waiting",
    }
}

/// The daemon: `vswitch status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    /// Version of the daemon.
    pub version: String,
    /// Process id of the daemon.
    pub pid: u32,
    /// Packet I/O backend.
    pub backend: Backend,
    /// Reason for that backend: `probe succeeded`, `asked for by --backend`, or the kernel's refusal.
    pub backend_reason: String,
    /// Number of workers.
    pub workers: usize,
    /// Processors that the workers are bound to, in order; empty if the scheduler chooses.
    pub cpus: Vec<usize>,
    /// Scheduling class of the workers.
    pub scheduling: Scheduling,
    /// Reason for that class.
    pub scheduling_reason: String,
    /// Idle policy of the workers.
    pub idle: IdlePolicy,
    /// Behaviour that it allows at the moment.
    pub idle_state: IdleState,
    /// Reason for that: the part of the workers' processors that other processes leave.
    pub idle_reason: String,
    /// Name of the first network, which is also that of the host's device.
    pub bridge: String,
    /// Number of networks.
    pub networks: usize,
    /// Number of container ports.
    pub ports: usize,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// Directory of the desired state.
    pub state_dir: String,
    /// Parts of the switch on the host that other programs removed, and that were restored.
    #[serde(default)]
    pub restored: u64,
    /// Attachments and parts of the switch on the host that are out of order; `vswitch ls` shows the former.
    #[serde(default)]
    pub faults: usize,
    /// The latter: what is out of order with each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_faults: Vec<String>,
    /// Uplinks; empty with `--uplink none`.
    pub uplinks: Vec<UplinkStatus>,
    /// Devices and routing rules of the host that the switch does not use, with the reason and the way out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uplink_hints: Vec<String>,
    /// The DNS service; absent with `--no-dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsStatus>,
    /// The underlay of overlay networks; absent without `--underlay`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub underlay: Option<UnderlayStatus>,
    /// The registry of overlay networks; absent without `--registry`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistrySummary>,
    /// Cut-through of local TCP connections.
    #[serde(default)]
    pub cut_through: CutThroughStatus,
}

/// The answer to a request to end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Shutdown {
    /// Parts of the switch that stay on the host for now, and why.
    #[serde(default)]
    pub left: Vec<String>,
}

/// The DNS service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DnsStatus {
    /// Upstream servers with their ports, in the order in which they are asked.
    pub upstreams: Vec<SocketAddr>,
    /// The file that they come from; absent if they were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolv_conf: Option<String>,
}

/// An uplink and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UplinkStatus {
    /// Name of the uplink: the device, `kernel`, or the setting while it waits for a device.
    pub name: String,
    /// Translator of addresses.
    pub mode: UplinkMode,
    /// State of the uplink.
    pub state: UplinkState,
    /// Reason for a state other than `up`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The device; absent while there is none, and with the kernel's NAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Largest IP packet of the device in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// IPv4 addresses that containers are translated to by the default route (SNAT).
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses that containers are translated to by the default route (SNAT).
    pub ipv6: Vec<Ipv6Addr>,
    /// Source ports that containers are translated to, as `20000-29999`.
    pub snat_ports: String,
    /// Number of open publications.
    pub publications: usize,
    /// Number of stored publications that are not open; `vswitch inspect` says why.
    pub publications_pending: usize,
    /// Number of tracked connections.
    pub connections: usize,
    /// Number of those that share their SNAT port with connections to other destinations, since ports are short.
    pub connections_sharing: usize,
}
