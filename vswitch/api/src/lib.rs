//! Types of the vswitch control API: HTTP/1.1 and JSON over a Unix socket, `/v1/...`.
//!
//! The daemon (`vswitch`) and its clients (`vswitch-cli`, plugins) share these types, so that a key has
//! one spelling. Keys are stable: scripts rely on what `--format json` prints.
//!
//! | module | content |
//! |---|---|
//! | [`routes`] | paths and methods of the API |
//! | [`status`] | the daemon itself |
//! | [`network`] | layer-2 domains with their subnets |
//! | [`overlay`] | networks that span hosts, and their peers |
//! | [`registry`] | the registry that nodes share |
//! | [`address`] | reservations of addresses |
//! | [`port`] | attachments: request, list, details |
//! | [`container`] | containers of Docker and podman |
//! | [`port_settings`] | VLANs, source guard, isolation, limits of a port |
//! | [`publish`] | published ports (DNAT) |
//! | [`conntrack`] | tracked connections |
//! | [`cut_through`] | connections that are cut through |
//! | [`fdb`] | the forwarding database |
//! | [`dns`] | names of containers |
//! | [`limits`] | limits of the switch with their hits |
//! | [`stats`] | counters and drop reasons |
//! | [`event`] | what happens, as a stream |
//! | [`error`] | the body of every answer that is not 2xx |
#![forbid(unsafe_code)]

pub mod address;
pub mod conntrack;
pub mod container;
pub mod cut_through;
pub mod dns;
pub mod error;
pub mod event;
pub mod fdb;
pub mod limits;
pub mod network;
pub mod overlay;
pub mod port;
pub mod port_settings;
pub mod publish;
pub mod registry;
pub mod routes;
pub mod stats;
pub mod status;
mod words;

pub use wire::MacAddr;

#[cfg(test)]
mod openapi_tests;

/// Default path of the daemon's socket.
pub const DEFAULT_SOCKET: &str = "/run/vswitch/vswitch.sock";

/// Default directory of the daemon's desired state.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/vswitch";

/// Where Docker looks for the network driver `vswitch`.
pub const DEFAULT_DOCKER_PLUGIN: &str = "/run/docker/plugins/vswitch.sock";

/// The environment variable that names the socket.
pub const SOCKET_ENV: &str = "VSWITCH_SOCKET";
