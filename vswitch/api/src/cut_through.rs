//! Cut-through: local TCP connections whose data goes from socket to socket, past the switch.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// State of cut-through.
    CutThroughState {
        /// Its programs run.
        On = "on",
        /// A network asks for it, and it cannot be: `reason` says why.
        Off = "off",
        /// No network asks for it: nothing is loaded.
        NotAsked = "not-asked",
    }
}

/// Cut-through on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CutThroughStatus {
    /// Its state.
    pub state: CutThroughState,
    /// Reason of the state `off`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The cgroup whose sockets may be joined; absent unless it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// Number of connections that are cut through.
    pub connections: usize,
}

/// A daemon before cut-through.
impl Default for CutThroughStatus {
    fn default() -> Self {
        Self { state: CutThroughState::NotAsked, reason: None, cgroup: None, connections: 0 }
    }
}

/// A row of `vswitch cut-through`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CutThroughConnection {
    /// The end that has opened it.
    pub client: CutThroughEnd,
    /// The other one.
    pub server: CutThroughEnd,
}

/// An end of a connection that is cut through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CutThroughEnd {
    /// Name of its network; empty if its namespace is no attachment's any more.
    pub network: String,
    /// Name of the attachment.
    pub container: String,
    /// Address and port of its socket.
    pub address: SocketAddr,
    /// Address and port that its socket speaks to: those of a published port before the translation.
    pub peer: SocketAddr,
    /// Bytes that it has sent past the switch.
    pub bytes: u64,
}

/// Cut-through of an attachment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PortCutThrough {
    /// Whether new connections may be cut through: not with a limit of its rate.
    pub allowed: bool,
    /// Number of its connections that are cut through.
    pub connections: usize,
    /// Bytes that it has sent past the switch on these.
    pub sent_bytes: u64,
    /// Bytes that it was sent past the switch on these.
    pub received_bytes: u64,
}
