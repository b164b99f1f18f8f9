//! The switch that a network names.

use std::path::PathBuf;

use vswitch_api::{DEFAULT_SOCKET, SOCKET_ENV};
use vswitch_client::Client;

use crate::options::Options;

/// A client of the switch at the network's socket, else that of the environment, else the default.
pub(crate) fn client(options: &Options) -> Client {
    let environment = std::env::var(SOCKET_ENV).ok().filter(|path| !path.is_empty());
    let socket = options.socket.clone().or_else(|| environment.map(PathBuf::from));
    Client::new(socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)))
}
