//! What a switch left on the host when it was killed, taken away without a switch: `down` after a crash.
//!
//! The state directory says whose it was. It is locked meanwhile, so that a daemon that lives is left alone, and
//! one that starts waits for nothing: it is refused. The document stays, as after any `down`.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::limits::DEVICE_REMOVAL_MAX;
use super::store::{Store, StoreError};
use crate::host::nft;
use crate::host::uplink;

const DEVICE_REMOVAL_POLL: Duration = Duration::from_millis(20);

/// Why something may still be there.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The state directory, or the document in it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host refuses.
    #[error("{0}")]
    Host(String),
    /// The socket's file.
    #[error("cannot remove {path}: {source}")]
    Socket {
        /// Its path.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// Clears away what the switch of this state directory and socket left when it was killed. Gives what that was, in
/// words; nothing if there was nothing. To be called in the network namespace of the switch.
///
/// # Errors
/// See [`CleanupError`]: a daemon lives, or the host refuses. What can be cleared is, all the same.
pub fn clean_up_after_crash(state_dir: &Path, socket: &Path) -> Result<Vec<String>, CleanupError> {
    let mut removed = Vec::new();
    if state_dir.is_dir() {
        let store = Store::open(state_dir)?;
        let settings = uplink::restore_settings(state_dir);
        let document = store.load()?;
        let networks = document.into_iter().flat_map(|document| document.networks);
        let bridges: Vec<String> = networks.map(|network| network.name).collect();
        wait_for_device_removal(&bridges);
        let tables = nft::remove_orphans(&bridges);
        let (ports, is_forwarding) =
            settings.map_err(|error| CleanupError::Host(error.to_string()))?;
        if !ports.is_empty() {
            removed.push(format!("the reserved ports {ports}"));
        }
        if is_forwarding {
            removed.push("net.ipv4.ip_forward".to_owned());
        }
        let (tables, _) = tables.map_err(|error| CleanupError::Host(error.to_string()))?;
        removed.extend(tables.iter().map(|table| format!("the nftables table {table}")));
    }
    if remove_stale_socket(socket)? {
        removed.push(format!("the socket {}", socket.display()));
    }
    Ok(removed)
}

/// The kernel takes a daemon's devices down some moments after its death.
fn wait_for_device_removal(bridges: &[String]) {
    let mut waited = Duration::ZERO;
    let devices: Vec<String> = bridges.iter().flat_map(|it| uplink::devices(it)).collect();
    while devices.iter().any(|device| nft::has_device(device)) && waited < DEVICE_REMOVAL_MAX {
        thread::sleep(DEVICE_REMOVAL_POLL);
        waited += DEVICE_REMOVAL_POLL;
    }
}

/// Removes the socket's file if nobody serves it; says whether it did.
fn remove_stale_socket(socket: &Path) -> Result<bool, CleanupError> {
    let is_socket = socket.symlink_metadata().is_ok_and(|it| it.file_type().is_socket());
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    if !is_socket || !UnixStream::connect(socket).is_err_and(refused) {
        return Ok(false);
    }
    let path = || socket.display().to_string();
    match std::fs::remove_file(socket) {
        Ok(()) => Ok(true),
        Err(source) => Err(CleanupError::Socket { path: path(), source }),
    }
}
