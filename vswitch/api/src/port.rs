//! Attachments of containers: asking for one, listing them, inspecting one.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::port_settings::{PortSettings, SettingsChange};
use crate::publish::{PortSpec, Publication};

/// Which network namespace to attach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetnsRef {
    /// That of a process (or a thread), by its id.
    Pid(u32),
    /// A namespace file, such as `/run/netns/a` or `/proc/1/ns/net`.
    Path(PathBuf),
    /// A name as `ip netns` knows it.
    Name(String),
}

/// Asks for an attachment: all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// Name of the attachment, unique in its network: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, up to 128 characters.
    pub name: String,
    /// The namespace that gets the interface.
    pub netns: NetnsRef,
    /// The network; the first one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// A fixed IPv4 address of the network's subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv4: Option<Ipv4Addr>,
    /// A fixed IPv6 address of the network's subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ipv6: Option<Ipv6Addr>,
    /// A fixed unicast MAC address, `aa:bb:cc:dd:ee:ff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Name of the interface inside; `eth0`, or the next free number, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    /// What differs from the default settings.
    #[serde(default, skip_serializing_if = "SettingsChange::is_empty")]
    pub settings: SettingsChange,
    /// Ports of the host that are handed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publication>,
    /// Further names in its network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Labels of its owner; the switch keeps and shows them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A publication that is kept, and opened as soon as the host lets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPublication {
    /// Its ports.
    pub ports: PortSpec,
    /// What is in the way.
    pub reason: String,
}

/// A row of `vswitch ls`. Directions are the switch's: rx came from the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Name of the attachment.
    pub name: String,
    /// Name of its network.
    pub network: String,
    /// Name of the interface inside.
    pub ifname: String,
    /// MAC address of the interface.
    pub mac: String,
    /// IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address.
    pub ipv6: Ipv6Addr,
    /// The namespace as it was named at attach: `pid:123`, a path or a name.
    pub netns: String,
    /// `up`, or `loop-blocked` while it neither sends nor gets, since there is a loop behind it.
    pub state: String,
    /// Published ports, such as `8080:80/tcp`.
    pub publish: Vec<PortSpec>,
    /// Those of them that the host does not hand over at this moment.
    #[serde(default)]
    pub publish_pending: Vec<PendingPublication>,
    /// Frames from the container.
    pub rx_frames: u64,
    /// Frames to the container.
    pub tx_frames: u64,
    /// Bytes from the container.
    pub rx_bytes: u64,
    /// Bytes to the container.
    pub tx_bytes: u64,
    /// Frames of, or for, this port that were dropped.
    pub drops: u64,
}

/// What `vswitch inspect` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortDetail {
    /// What the list shows.
    #[serde(flatten)]
    pub port: Port,
    /// IPv4 prefix length of the subnet.
    pub prefix_len: u8,
    /// IPv6 prefix length of the subnet.
    pub prefix_len6: u8,
    /// Default route inside.
    pub gateway: Ipv4Addr,
    /// IPv6 default route inside.
    pub gateway6: Ipv6Addr,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// A path by which the namespace can be entered now.
    pub netns_path: PathBuf,
    /// Offloads that the kernel granted: `csum`, `tso4`, `tso6`, `uso4`, `uso6`.
    pub offloads: Vec<String>,
    /// Queues of the TAP, one a worker.
    pub queues: usize,
    /// Seconds until a blocked port is open again; 0 if it is open.
    pub blocked_s: u64,
    /// What it may do.
    pub settings: PortSettings,
    /// Published ports, with who may connect.
    #[serde(default)]
    pub published: Vec<Publication>,
    /// Drops of this port by reason; reasons that never happened are absent.
    pub drops_by_reason: std::collections::BTreeMap<String, u64>,
}
