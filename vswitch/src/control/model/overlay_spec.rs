//! The description of the part of a network that spans nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use wire::vxlan::Vni;
use wire::{MacAddr, ethernet, vxlan};

use crate::config::Mtu;
use crate::datapath::limits::{TUNNEL_SEND_BYTES_MAX, TUNNEL_SEND_SEGMENTS_MAX};

/// The first three octets of the gateway's MAC address in overlay networks: locally administered, "vx". The others are
/// the VNI, so that all nodes have the same.
const GATEWAY_MAC_PREFIX: [u8; 3] = [0x02, 0x76, 0x78];

/// Headers of a TCP segment over IPv6 with timestamps.
const TCP_HEADERS: u32 = 40 + 20 + 12;

/// The largest GSO frame whose segments leave in one send, each with an Ethernet and a VXLAN header.
pub(super) fn gso_max_size(mtu: u32) -> u32 {
    let datagram = mtu as usize + ethernet::HEADER_LEN + vxlan::HEADER_LEN;
    let segments = (TUNNEL_SEND_BYTES_MAX / datagram).clamp(1, TUNNEL_SEND_SEGMENTS_MAX);
    segments as u32 * mtu.saturating_sub(TCP_HEADERS)
}

/// The part of a network that spans nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverlaySpec {
    pub(crate) vni: Vni,
    /// MAC address of the host's own interface on it, which differs from node to node.
    pub(crate) host_mac: MacAddr,
    /// Addresses of the host on this node, at most one of each family.
    pub(crate) host_addresses: Vec<IpAddr>,
    /// Largest IP packet, as requested; absent: as long as the underlay carries.
    pub(crate) mtu: Option<u32>,
    /// Static peers, where each receives.
    pub(crate) peers: BTreeSet<SocketAddr>,
    /// What the registry has of it; none for a network of this switch alone.
    pub(crate) registered: Option<RegisteredSpec>,
}

/// A network as the registry has it, beside its number, name and MTU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RegisteredSpec {
    pub(crate) subnets: Vec<IpNet>,
    pub(crate) options: BTreeMap<String, String>,
    /// Blocks of addresses that this node has.
    pub(crate) blocks: BTreeSet<IpNet>,
}

impl OverlaySpec {
    /// The gateway's MAC address, the same on all nodes.
    pub(crate) fn gateway_mac(&self) -> MacAddr {
        let [a, b, c] = GATEWAY_MAC_PREFIX;
        let [_, d, e, f] = self.vni.get().to_be_bytes();
        MacAddr([a, b, c, d, e, f])
    }

    /// Largest IP packet, where the underlay leaves `left` bytes.
    pub(crate) fn mtu_within(&self, left: u32) -> u32 {
        self.mtu.unwrap_or(Mtu::MAX.get()).min(left).clamp(Mtu::MIN.get(), Mtu::MAX.get())
    }
}
