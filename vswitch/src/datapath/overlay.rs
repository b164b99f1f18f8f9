//! Overlay networks: VXLAN (RFC 7348) between the tunnel port and the networks that span nodes.
//!
//! # Theory of operation
//!
//! One port of the switch is the tunnel port. Its frames begin with a datagram header
//! ([`fastpath::datagram`]) instead of the virtio-net header, and then have the payload of UDP. A frame of another
//! node becomes an ordinary frame of its network in [`decapsulate`]; a frame for another node becomes a datagram
//! in [`encapsulate`], in tx. In between its source or destination is a VTEP ([`VtepIndex`]).
//!
//! ```text
//! from the tunnel port        | dropped as
//! ----------------------------+------------------------------------------------
//! source is no VTEP           | tunnel-unknown-vtep
//! no VXLAN header, or no VNI  | tunnel-bad-header
//! no network has the VNI      | tunnel-unknown-vni
//! VTEP has not the network    | tunnel-foreign-vtep
//! marked, but not ECN-capable | tunnel-ecn
//! a VLAN tag                  | vlan-tagged: only the untagged domain spans nodes
//! from or to the gateway      | tunnel-gateway: each node has the gateway of its own; so has who claims its address
//! source is a local endpoint  | tunnel-local-source
//! source is another's         | tunnel-spoofed: a registry's endpoint, from a peer that none describes; or ARP and ND
//!                             | that claim its address, or a local endpoint's
//! destination is a VTEP       | tunnel-to-tunnel
//! ```
//!
//! - **Lookup**: endpoints that control names ([`RemoteTable`]) come before the FDB. The FDB learns only from VTEPs
//!   that no registry describes ([`VtepConf::is_learning`]).
//! - **Floods** of local ports go to each VTEP of the network, one copy each (head-end replication); those of a VTEP
//!   go to local ports only. A frame for a multicast group goes to VTEPs that learn, and to all while any node has
//!   reported a listener by the tunnel. Reports go to all VTEPs; queries of the switch's own go to none, since each
//!   node asks its own ports. A leave by the tunnel changes nothing: others on that node may listen.
//! - **Isolation**: a VTEP counts as a port that is not isolated; whether a remote endpoint is, nobody knows here.
//! - **The path's MTU** ([`path`]): a packet too long for its VTEP is dropped as `tunnel-too-big`, with an ICMP error
//!   of the gateway, or fragmented where IPv4 allows it; the MSS of both directions is clamped.
//! - **The host** ([`host`]) has a MAC address and IP addresses of its own beside the gateway's.
//! - **ARP and ND** questions for remote endpoints are answered here (`datapath/classify.rs`).
//!
//! Limits: [`VtepIndex::MAX`] VTEPs; [`TUNNEL_GROUPS_MAX`](super::limits::TUNNEL_GROUPS_MAX) groups of other nodes.

use std::net::SocketAddr;

use wire::vxlan::Vni;

pub use remote::{Remote, RemoteTable};
pub use tunnel::TunnelConf;

use super::destination::VtepIndex;

mod compiled;
pub(super) mod decapsulate;
pub(super) mod encapsulate;
pub(super) mod host;
pub(super) mod host_port;
pub(super) mod path;
mod remote;
mod state;
mod tunnel;

pub(super) use compiled::Overlay;
pub(super) use state::TunnelState;

/// A remote VTEP (RFC 7348).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VtepConf {
    /// Where it receives.
    pub address: SocketAddr,
    /// Longest inner IP packet in bytes that the path to it carries.
    pub mtu: u32,
    /// Whether MAC addresses are learnt from its frames: true for peers that no registry describes.
    pub is_learning: bool,
}

/// The part of a network that spans nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkOverlay {
    /// Its number in VXLAN.
    pub vni: Vni,
    /// VTEPs that have the network: those that may send to it, and get its floods.
    pub vteps: Vec<VtepIndex>,
    /// Endpoints on other nodes.
    pub remotes: RemoteTable,
}
