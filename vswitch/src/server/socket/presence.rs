//! Whether a daemon serves a socket's path.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tokio::net::UnixStream;

use super::super::limits::PROBE_MAX;
use super::{SocketError, failed, served};
use crate::host::dying::outlive;

/// The file at the path of a socket that can be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// There is none.
    Absent,
    /// A dead daemon left it.
    Stale,
}

/// Refuses a path where a daemon answers, or another file lies. The socket of one that is dying is waited for.
pub(crate) async fn probe(path: &Path) -> Result<Presence, SocketError> {
    let listener = |error: &SocketError| match error {
        SocketError::Served { pid, .. } => *pid,
        _ => None,
    };
    outlive(async || look(path).await, listener).await
}

async fn look(path: &Path) -> Result<Presence, SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Absent),
        Err(error) => return Err(failed("look at", path)(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    let Ok(connected) = tokio::time::timeout(PROBE_MAX, UnixStream::connect(path)).await else {
        return Err(served(path, None));
    };
    match connected.map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused, _)) => Ok(Presence::Stale),
        Err((io::ErrorKind::NotFound, _)) => Ok(Presence::Absent),
        // The kernel connects to one that is dead, too, until it has closed its sockets.
        Ok(stream) => {
            let pid = stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok());
            Err(served(path, pid))
        }
        // Its queue is full.
        Err((io::ErrorKind::WouldBlock, _)) => Err(served(path, None)),
        Err((_, error)) => Err(failed("connect to", path)(error)),
    }
}
