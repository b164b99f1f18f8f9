//! Options of every command, and the client that follows from them.
//!
//! The socket is that of `--socket`, else of the environment, else of the configuration file (for `up`
//! only, which reads one), else the default. An empty variable counts as none.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueHint};
use vswitch::config::SocketPath;
use vswitch_api::SOCKET_ENV;

use crate::client::Client;
use crate::error::{Failure, Outcome};
use crate::output::Format;

/// Options of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options", next_display_order = 900)]
pub(crate) struct Global {
    /// Socket of the daemon
    ///
    /// [env: VSWITCH_SOCKET] [default: /run/vswitch/vswitch.sock]
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) socket: Option<SocketPath>,
    /// Output: table, or JSON with stable keys (docs/api.md)
    #[arg(long, global = true, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Log more to stderr (-vv: even more); RUST_LOG overrides it
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Global {
    /// Takes the socket from the environment if no option names it.
    pub(crate) fn read_environment(&mut self) -> Outcome<()> {
        if self.socket.is_none() {
            self.socket = socket_of(std::env::var(SOCKET_ENV).ok())?;
        }
        Ok(())
    }

    /// Path of the daemon's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_default().path().to_owned()
    }

    /// A client of the daemon.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::new(&self.socket())
    }
}

/// The socket where no option names one.
pub(crate) fn default_socket() -> PathBuf {
    let socket = socket_of(std::env::var(SOCKET_ENV).ok()).ok().flatten();
    socket.unwrap_or_default().path().to_owned()
}

fn socket_of(variable: Option<String>) -> Outcome<Option<SocketPath>> {
    let Some(text) = variable.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = |error| Failure::usage(format!("invalid value '{text}' of {SOCKET_ENV}: {error}"));
    text.parse().map(Some).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_none() {
        assert_eq!(socket_of(None), Ok(None));
        assert_eq!(socket_of(Some(String::new())), Ok(None));
        let socket = socket_of(Some("/run/lab.sock".into())).unwrap();
        assert_eq!(socket.unwrap().path(), std::path::Path::new("/run/lab.sock"));
    }

    #[test]
    fn a_wrong_variable_is_named() {
        let error = socket_of(Some("/x".repeat(80))).unwrap_err();
        assert!(error.to_string().contains(SOCKET_ENV), "{error}");
        assert_eq!(error.exit(), 2);
    }
}
