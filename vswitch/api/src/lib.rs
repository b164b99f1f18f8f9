//! Types of the vswitch control API: HTTP/1.1 and JSON over a Unix socket, `/v1/...`.
//!
//! Types only: the daemon (`vswitch`) and its clients (`vswitch-cli`, plugins) share them, so that a
//! key has one spelling. Keys are stable: scripts rely on what `--format json` prints.
//!
//! | module | what it describes |
//! |---|---|
//! | [`routes`] | paths and methods of the API |
//! | [`status`] | the daemon itself |
//! | [`network`] | layer-2 domains with their subnets |
//! | [`address`] | reservations of addresses |
//! | [`port`] | attachments: asking for one, listing, inspecting |
//! | [`port_settings`] | what a port may do: VLANs |
//! | [`publish`] | which of the host's ports are handed to a container |
//! | [`conntrack`] | connections whose addresses are translated |
//! | [`fdb`] | the forwarding database |
//! | [`limits`] | every limit of the switch |
//! | [`stats`] | counters and drop reasons |
//! | [`error`] | the body of every answer that is not 2xx |
#![forbid(unsafe_code)]

pub mod address;
pub mod conntrack;
pub mod error;
pub mod fdb;
pub mod limits;
pub mod network;
pub mod port;
pub mod port_settings;
pub mod publish;
pub mod routes;
pub mod stats;
pub mod status;
mod words;

pub use wire::MacAddr;

#[cfg(test)]
mod openapi;

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/vswitch/vswitch.sock";

/// Where the daemon keeps its desired state unless told otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/vswitch";

/// The environment variable that names the socket.
pub const SOCKET_ENV: &str = "VSWITCH_SOCKET";
