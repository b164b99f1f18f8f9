//! Errors of overlay networks. Each is one line with the offending value.

use std::net::{IpAddr, SocketAddr};

use fastpath::udp::UdpError;
use wire::vxlan::Vni;

use crate::control::limits::{PEERS_MAX, VTEPS_MAX};

/// An overlay network or a peer is refused.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The switch has no address for it.
    #[error("{0} cannot be an overlay network: the switch has no underlay")]
    NoUnderlay(String),
    /// The address of the underlay is not the host's.
    #[error("{0} cannot be the underlay: it is no address of this host")]
    NotOurAddress(IpAddr),
    /// The sockets of the tunnel port cannot be opened.
    #[error(transparent)]
    Sockets(#[from] UdpError),
    /// The host has no name that could be the node's.
    #[error("the host's name {0:?} cannot be that of a node")]
    NodeName(String),
    /// The registry is not named.
    #[error("{0} is a network of the registry, and the switch has none")]
    NetworkOfRegistry(String),
    /// A record of the registry that no network can be made of.
    #[error("network {network} of the registry: {problem}")]
    Registered {
        /// Its name.
        network: String,
        /// What makes no sense.
        problem: String,
    },
    /// The network has no addresses of a family.
    #[error("network {network} of the registry has no subnet of {family}")]
    NoSubnet {
        /// The network.
        network: String,
        /// The family.
        family: vswitch_api::address::Family,
    },
    /// Other nodes have endpoints on it.
    #[error(
        "{network} is in use on other nodes, as on {node}; number of their addresses: {endpoints}"
    )]
    UsedElsewhere {
        /// The network.
        network: String,
        /// Number of addresses.
        endpoints: usize,
        /// A node that has one of them.
        node: String,
    },
    /// Addresses come in blocks.
    #[error(
        "--ip-range is not for a network of the registry, which gives its nodes blocks of addresses"
    )]
    RangeOfRegistry,
    /// The host's address comes from the registry, too.
    #[error(
        "--host-ip is not for a network of the registry, which gives the host of each node an address"
    )]
    HostAddressOfRegistry,
    /// Nobody chooses one.
    #[error("{0} needs a VNI: the switch has no registry that chooses one")]
    VniMissing(String),
    /// The number has more than 24 bits, or is 0.
    #[error("{0} is not a VNI: it must be 1 to {max}", max = Vni::MAX)]
    Vni(u32),
    /// Another network has the VNI.
    #[error("VNI {vni} is that of network {network}")]
    VniTaken {
        /// The number.
        vni: Vni,
        /// The other network.
        network: String,
    },
    /// The MTU is more than the underlay carries.
    #[error(
        "MTU {mtu} does not fit the underlay: with the outer headers, {device} carries {most} at most"
    )]
    MtuMax {
        /// The requested MTU.
        mtu: u32,
        /// The underlay's device.
        device: String,
        /// The largest one.
        most: u32,
    },
    /// The underlay leaves less than IPv6 needs.
    #[error(
        "{device} has MTU {device_mtu}, which leaves {left} for an overlay network: its IPv6 subnet needs {least}"
    )]
    MtuMin {
        /// The underlay's device.
        device: String,
        /// Its MTU.
        device_mtu: u32,
        /// What the outer headers leave.
        left: u32,
        /// The least MTU of a network.
        least: u32,
    },
    /// The host's address lies outside the subnet.
    #[error("{0} cannot be the host's address: it is in no subnet of the network")]
    HostAddress(IpAddr),
    /// The host would have two addresses of a family.
    #[error("{0} is a second address of the host of its family; it has one of each")]
    SecondHostAddress(IpAddr),
    /// The host has no port on the network.
    #[error(
        "the host cannot have {0} on the network: its subnet overlaps others, so that the host is not on it"
    )]
    NoHostPort(IpAddr),
    /// A local network has no peers.
    #[error("{0} is a local network, which has no peers")]
    Local(String),
    /// The address is none of a host.
    #[error("{peer} cannot be a peer: {reason}")]
    PeerAddress {
        /// The address.
        peer: IpAddr,
        /// The reason.
        reason: &'static str,
    },
    /// No UDP port has the number 0.
    #[error("0 is not a UDP port of a peer: it must be 1 to 65535")]
    PeerPort,
    /// The peer would be this switch.
    #[error("{0} cannot be a peer: it is this switch itself")]
    PeerOwn(SocketAddr),
    /// The peer has an address of the other family.
    #[error("{peer} cannot be a peer: the underlay is {underlay}, an address of the other family")]
    PeerFamily {
        /// The peer.
        peer: IpAddr,
        /// The underlay.
        underlay: IpAddr,
    },
    /// The network has the peer already.
    #[error("{network} has the peer {peer} already")]
    PeerExists {
        /// The peer.
        peer: SocketAddr,
        /// The network.
        network: String,
    },
    /// The network does not have the peer.
    #[error("{network} has no peer {peer}")]
    NoPeer {
        /// The peer.
        peer: SocketAddr,
        /// The network.
        network: String,
    },
    /// It is not there, and cannot be created by a runtime.
    #[error("the switch has no overlay network {0}, and no registry to create it in")]
    Absent(String),
    /// A runtime has one network for it on a host.
    #[error("the overlay network {network} has a network of Docker on this host already: {other}")]
    Joined {
        /// The overlay network.
        network: String,
        /// Id of the runtime's network.
        other: String,
    },
    /// The network is there otherwise than it is asked for.
    #[error("the overlay network {network} has {has}, and is asked for with {asked}")]
    Differs {
        /// The network.
        network: String,
        /// What it has.
        has: String,
        /// What was asked for.
        asked: String,
    },
    /// The switch was started without one.
    #[error("the switch has no registry")]
    NoRegistry,
    /// The network has all peers that it may have.
    #[error("{0} has all of its {PEERS_MAX} peers")]
    PeersMax(String),
    /// The switch has all peers that it may have.
    #[error("the switch has all of its {VTEPS_MAX} peers")]
    VtepsMax,
}
