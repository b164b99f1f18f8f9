//! Options of every command, and the client that follows from them.

use std::path::PathBuf;

use clap::{ArgAction, Args};
use vswitch::config::SocketPath;
use vswitch_api::SOCKET_ENV;

use crate::client::Client;
use crate::error::Outcome;
use crate::output::Format;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options", next_display_order = 900)]
pub(crate) struct Global {
    /// Socket of the daemon
    ///
    /// [default: /run/vswitch/vswitch.sock]
    #[arg(long, global = true, env = SOCKET_ENV, hide_env_values = true, value_name = "PATH")]
    pub(crate) socket: Option<SocketPath>,
    /// Output: table, or JSON with stable keys (docs/api.md)
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Log more to stderr (-vv: even more); RUST_LOG overrides it
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    /// Path of the daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_default().path().to_owned()
    }

    /// A client of the daemon.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::new(&self.socket())
    }
}
