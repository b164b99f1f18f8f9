//! `down` after a crash: removes from the host the parts of a switch that was killed.
//!
//! The state directory names them; where the caller does not know it, the note beside the socket does. Its lock
//! protects a daemon that lives, and refuses one that starts meanwhile. The document stays, as after any `down`.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use vswitch_api::DEFAULT_STATE_DIR;

use super::containers::restore;
use super::cut_through::clear_of_dead;
use super::limits::DEVICE_REMOVAL_MAX;
use super::published_ports;
use super::store::{Document, Store, StoreError};
use crate::host::limits::{LEFT_OVER_LOG_INTERVAL, LEFT_OVER_WAIT_MAX};
use crate::host::{conntrack, left_over, nft, plugin_note, state_note, uplink};

const DEVICE_REMOVAL_POLL: Duration = Duration::from_millis(20);

/// An error that may leave parts on the host.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// The state directory or its document fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The host refuses.
    #[error("{0}")]
    Host(String),
    /// The file of the socket cannot be removed.
    #[error("cannot remove {path}: {source}")]
    Socket {
        /// Its path.
        path: String,
        /// The kernel's error.
        source: io::Error,
    },
}

/// The result of a clean-up, as descriptions for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleanup {
    /// Parts that were removed.
    pub removed: Vec<String>,
    /// Parts of switches that this state directory knows nothing of.
    pub left: Vec<String>,
}

/// Removes the host's parts of the killed switch with this socket and state directory: the given one, else
/// that of the note beside the socket, else the default. The caller is in the network namespace of the
/// switch.
///
/// # Errors
/// [`CleanupError`]: a daemon lives, or the host refuses. All other parts are removed even then.
pub fn clean_up_after_crash(
    state_dir: Option<&Path>,
    socket: &Path,
) -> Result<Cleanup, CleanupError> {
    let noted = state_note::read(socket);
    let state_dir = state_dir.or(noted.as_deref()).unwrap_or(Path::new(DEFAULT_STATE_DIR));
    let (mut removed, mut left) = (Vec::new(), Vec::new());
    if state_dir.is_dir() {
        let store = Store::open(state_dir)?;
        let settings = uplink::restore_settings(state_dir);
        let programs = clear_of_dead(state_dir);
        let document = store.load()?;
        let bridges: Vec<String> = document.iter().flat_map(Document::devices).collect();
        // Another switch may have a bridge of that name by now.
        let bridges: Vec<String> =
            bridges.into_iter().filter(|bridge| left_over::holder(bridge).is_none()).collect();
        wait_for_device_removal(&bridges);
        let tables = nft::remove_of_dead(&bridges);
        let others = nft::orphans().unwrap_or_default();
        let published: Vec<_> = document.iter().flat_map(published_ports::stored).collect();
        conntrack::end_gone(&published);
        removed.extend(document.iter().flat_map(restore_resolv_confs));
        let (ports, is_forwarding) =
            settings.map_err(|error| CleanupError::Host(error.to_string()))?;
        if !ports.is_empty() {
            removed.push(format!("the reserved ports {ports}"));
        }
        if is_forwarding {
            removed.push("net.ipv4.ip_forward".to_owned());
        }
        let (tables, stay) = tables.map_err(|error| CleanupError::Host(error.to_string()))?;
        if let Some(table) = stay.first() {
            return Err(CleanupError::Host(format!(
                "the nftables table {table} stays, since a process owns it; try again"
            )));
        }
        if programs.map_err(CleanupError::Host)? {
            removed.push("the programs of cut-through".to_owned());
        }
        let described = |table: &nft::Orphan| format!("the nftables table {table}");
        removed.extend(tables.iter().map(described));
        left.extend(others.iter().map(described));
        if let Some(plugin) = plugin_note::read(state_dir) {
            if remove_stale_socket(&plugin)? {
                removed.push(format!("the socket {} of Docker's plugin", plugin.display()));
            }
            plugin_note::remove(state_dir);
        }
    } else if let Ok(orphans) = nft::orphans() {
        left.extend(orphans.iter().map(|table| format!("the nftables table {table}")));
    }
    if remove_stale_socket(socket)? {
        removed.push(format!("the socket {}", socket.display()));
    }
    state_note::remove(socket);
    Ok(Cleanup { removed, left })
}

/// Takes the switch's name servers out of containers.
fn restore_resolv_confs(document: &Document) -> Vec<String> {
    let containers = document.attachments.iter().filter_map(|it| it.container.as_ref());
    let restored = containers.filter(|container| {
        let record = container.resolv_conf.as_ref();
        record.is_some_and(|record| restore(record).unwrap_or(false))
    });
    restored.map(|container| format!("the name servers of container {}", container.name)).collect()
}

/// Waits for the kernel, which removes a daemon's devices some time after its death, and longer while its socket owns
/// tables.
fn wait_for_device_removal(bridges: &[String]) {
    let (mut waited, mut said) = (Duration::ZERO, Duration::ZERO);
    let devices: Vec<String> = bridges.iter().flat_map(|it| uplink::devices(it)).collect();
    let has_devices = || devices.iter().any(|device| nft::has_device(device));
    let may_wait = |waited| match waited < DEVICE_REMOVAL_MAX {
        true => has_devices(),
        false => waited < LEFT_OVER_WAIT_MAX && nft::has_owned(bridges),
    };
    while may_wait(waited) {
        if waited - said >= LEFT_OVER_LOG_INTERVAL {
            said = waited;
            tracing::warn!(
                waited_s = waited.as_secs(),
                "waiting until the kernel has closed all of the killed switch"
            );
        }
        thread::sleep(DEVICE_REMOVAL_POLL);
        waited += DEVICE_REMOVAL_POLL;
    }
}

/// Removes the socket's file unless a daemon serves it; says whether it did.
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
