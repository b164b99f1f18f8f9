//! Errors of a request, each with the socket or request it concerns.

use std::io;
use std::path::PathBuf;

use vswitch_api::error::ApiError;

use crate::limits::RESPONSE_TIMEOUT;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No process listens on the socket.
    #[error("no switch answers at {}: start one with `vswitch up --bridge br0 --detach`", .0.display())]
    NoDaemon(PathBuf),
    /// The socket's file mode denies access.
    #[error("cannot connect to the switch at {}: permission denied", .0.display())]
    PermissionDenied(PathBuf),
    /// Any other connection failure.
    #[error("cannot connect to {}: {source}", .socket.display())]
    Connect {
        /// Path of the socket.
        socket: PathBuf,
        /// Error of `connect(2)`.
        source: io::Error,
    },
    /// The response did not arrive in time.
    #[error("the switch at {} did not answer {request} within {} s", .socket.display(), RESPONSE_TIMEOUT.as_secs())]
    Timeout {
        /// Path of the socket.
        socket: PathBuf,
        /// Method and path.
        request: String,
    },
    /// The connection broke, or this version does not understand the response.
    #[error("unexpected response of the switch at {} to {request}: {problem}", .socket.display())]
    Protocol {
        /// Path of the socket.
        socket: PathBuf,
        /// Method and path.
        request: String,
        /// Description of the fault.
        problem: String,
    },
    /// The daemon refused the request.
    #[error(transparent)]
    Api(#[from] ApiError),
}

impl ClientError {
    /// Remedy in one line, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::PermissionDenied(_) => Some("run the command as root, for example with `sudo`"),
            Self::Protocol { .. } => {
                Some("do client and daemon have the same version? see `vswitch status`")
            }
            Self::Api(error) => error.hint.as_deref(),
            Self::NoDaemon(_) | Self::Connect { .. } | Self::Timeout { .. } => None,
        }
    }
}
