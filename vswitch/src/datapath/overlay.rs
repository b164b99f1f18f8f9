//! Overlay networks as control describes them: VTEPs, and endpoints on other nodes.

use std::net::SocketAddr;

use fastpath::PortIndex;
use wire::vxlan::Vni;

pub use remote::{Remote, RemoteTable};

use super::destination::VtepIndex;

mod remote;

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

/// The tunnel port and its VTEPs, shared by all networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelConf {
    /// The port.
    pub port: PortIndex,
    /// VTEPs by [`VtepIndex`]; vacant slots are `None`.
    pub vteps: Vec<Option<VtepConf>>,
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
