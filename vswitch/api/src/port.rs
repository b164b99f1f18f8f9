//! Attachments of containers.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vswitch_counters::PortTraffic;
use wire::MacAddr;

use crate::address::Family;
use crate::container::{Container, ContainerRef};
use crate::cut_through::PortCutThrough;
use crate::port_settings::{PortSettings, SettingsChange};
use crate::publish::{PortSpec, Publication};
use crate::words::words;

words! {
    /// State of a port.
    PortState {
        /// Forwards.
        Up = "up",
        /// Blocked: loop protection found a loop behind it.
        LoopBlocked = "loop-blocked",
        /// Its container has ended; the port is back when the container starts again.
        Waiting = "waiting",
        /// Known, but out of order: `fault` has the reason. The switch tries to mend it.
        Fault = "fault",
    }
}

words! {
    /// Offload of a TAP.
    Offload {
        /// Checksums of TCP and UDP.
        Csum = "csum",
        /// TCP segmentation over IPv4.
        Tso4 = "tso4",
        /// TCP segmentation over IPv6.
        Tso6 = "tso6",
        /// TCP segmentation of segments with congestion marks (ECN).
        TsoEcn = "tso-ecn",
        /// UDP segmentation over IPv4.
        Uso4 = "uso4",
        /// UDP segmentation over IPv6.
        Uso6 = "uso6",
    }
}

/// What the switch configures of the interface in the namespace, beside its name and its MAC address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Configure {
    /// Addresses and default routes.
    #[default]
    Static,
    /// Nothing: the endpoint configures itself, by DHCP or router advertisements. The interface is brought up.
    None,
}

impl Configure {
    /// Whether it is the default.
    #[must_use]
    pub fn is_static(&self) -> bool {
        *self == Self::Static
    }
}

impl std::str::FromStr for Configure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "static" => Ok(Self::Static),
            "none" => Ok(Self::None),
            _ => Err(format!("{text:?} is neither static nor none")),
        }
    }
}

/// A network namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NetnsRef {
    /// Namespace of a process (or thread), by its id.
    Pid(u32),
    /// A namespace file, such as `/run/netns/a` or `/proc/1/ns/net`.
    Path(PathBuf),
    /// A name of `ip netns`.
    Name(String),
    /// Namespace of a running container of Docker or podman.
    Container(ContainerRef),
}

/// A request to attach a container: all or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AttachRequest {
    /// Name of the attachment, unique in its network: `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, up to 128 characters. The
    /// attachment of a container has the container's name if absent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Namespace that gets the interface.
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
    /// Only addresses of this family; of both if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// Further addresses of the network's subnets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further_addresses: Vec<IpAddr>,
    /// A fixed unicast MAC address, `aa:bb:cc:dd:ee:ff`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub mac: Option<MacAddr>,
    /// Name of the interface in the namespace; `eth0`, or the next free number, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ifname: Option<String>,
    /// What the switch configures in the namespace.
    #[serde(default, skip_serializing_if = "Configure::is_static")]
    pub configure: Configure,
    /// Of several networks, the one with the highest number gives the default route.
    #[serde(default)]
    pub gw_priority: i32,
    /// Settings that differ from the defaults.
    #[serde(default, skip_serializing_if = "SettingsChange::is_empty")]
    pub settings: SettingsChange,
    /// Ports to publish.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publication>,
    /// Further names in its network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Labels of its owner; the switch keeps and shows them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A new name for an attachment, on all of its networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NameChange {
    /// The new name.
    pub name: String,
}

/// The result of a clean-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Pruned {
    /// Names of the attachments that were detached.
    pub detached: Vec<String>,
}

/// A stored publication whose port on the host is not open yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PendingPublication {
    /// The ports.
    pub ports: PortSpec,
    /// Reason why it is not open.
    pub reason: String,
}

/// A row of `vswitch ls`: one per container and network. Directions are the switch's: rx comes from the
/// container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Port {
    /// Name of the attachment.
    pub name: String,
    /// Name of its network.
    pub network: String,
    /// Name of the interface in the namespace.
    pub ifname: String,
    /// MAC address of the interface.
    #[cfg_attr(test, schemars(with = "String"))]
    pub mac: MacAddr,
    /// IPv4 addresses.
    pub ipv4: Vec<Ipv4Addr>,
    /// IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// The namespace as the attach named it: `pid:123`, `container:web`, a path or a name.
    pub netns: String,
    /// State of the port.
    pub state: PortState,
    /// Reason of the state `fault`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Published ports, such as `8080:80/tcp`.
    pub publish: Vec<PortSpec>,
    /// Published ports that are not open on the host yet.
    pub publish_pending: Vec<PendingPublication>,
    /// Further names in its network.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Labels of its owner.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Frames and bytes from and to the container.
    #[serde(flatten)]
    pub traffic: PortTraffic,
    /// Frames of, or for, this port that were dropped.
    pub drops: u64,
}

/// One attachment: an element of `vswitch inspect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PortDetail {
    /// The row of the list.
    #[serde(flatten)]
    pub port: Port,
    /// Subnets of its network, IPv4 first.
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub subnets: Vec<IpNet>,
    /// Next hop of its default route in each subnet, in the same order.
    pub gateways: Vec<IpAddr>,
    /// Of several networks, the one with the highest number gives the default route.
    #[serde(default)]
    pub gw_priority: i32,
    /// Whether this network gives the default route.
    #[serde(default)]
    pub is_default_route: bool,
    /// Name servers for its `resolv.conf`; empty with `--no-dns`.
    #[serde(default)]
    pub resolvers: Vec<IpAddr>,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// The container, where the attach named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// A path that leads to the namespace now; empty while the port waits.
    pub netns_path: PathBuf,
    /// Offloads that the kernel granted.
    pub offloads: Vec<Offload>,
    /// Queues of the TAP, one a worker.
    pub queues: usize,
    /// Seconds until a blocked port is open again; 0 if it is open.
    pub blocked_s: u64,
    /// What the switch configured in the namespace.
    #[serde(default)]
    pub configure: Configure,
    /// Its connections that are cut through; absent if its network does not ask for it, and there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_through: Option<PortCutThrough>,
    /// Settings of the port.
    pub settings: PortSettings,
    /// Published ports, with the sources that may connect.
    pub publications: Vec<Publication>,
    /// Drops of this port by reason; reasons that never happened are absent.
    pub drops_by_reason: BTreeMap<String, u64>,
}
