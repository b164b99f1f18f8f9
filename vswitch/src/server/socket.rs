//! The API socket: replaced only if no daemon serves it, removed at the end.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::limits::PROBE_MAX;

/// Error of the API socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon serves it.
    #[error(
        "another daemon serves {}; end it with `vswitch down`, or choose another --socket",
        .0.display()
    )]
    Served(PathBuf),
    /// The path is no socket.
    #[error("{} exists and is not a socket; remove it, or choose another --socket", .0.display())]
    NotASocket(PathBuf),
    /// The file system or the kernel refuses.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// Operation.
        what: &'static str,
        /// Path.
        path: PathBuf,
        /// Error of the kernel.
        source: io::Error,
    },
}

/// The listening socket; drop removes its file.
#[derive(Debug)]
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    inode: Option<u64>,
}

impl Socket {
    /// Creates the directory, removes the socket of a dead daemon, and listens. The caller holds the lock of
    /// the state directory, so that two daemons do not do this at the same time.
    pub(crate) async fn bind(path: &Path) -> Result<Self, SocketError> {
        if let Some(directory) = path.parent() {
            let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
            made.map_err(failed("create the directory", directory))?;
        }
        if probe(path).await? == Presence::Stale {
            fs::remove_file(path).map_err(failed("remove", path))?;
        }
        let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => SocketError::Served(path.to_owned()),
            _ => failed("listen on", path)(error),
        })?;
        let mut socket = Self { listener, path: path.to_owned(), inode: None };
        socket.inode = inode(path);
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))
            .map_err(failed("set the mode of", path))?;
        Ok(socket)
    }

    pub(super) fn listener(&self) -> &UnixListener {
        &self.listener
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A later daemon may have replaced the file.
        if self.inode.is_some() && inode(&self.path) == self.inode {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// State of the socket's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Nothing.
    Absent,
    /// Socket of a dead daemon.
    Stale,
}

/// Looks at the path.
pub(crate) async fn probe(path: &Path) -> Result<Presence, SocketError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Presence::Absent),
        Err(error) => return Err(failed("look at", path)(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(SocketError::NotASocket(path.to_owned()));
        }
        Ok(_) => {}
    }
    let Ok(connected) = tokio::time::timeout(PROBE_MAX, UnixStream::connect(path)).await else {
        return Err(SocketError::Served(path.to_owned()));
    };
    match connected.map_err(|error| (error.kind(), error)) {
        Err((io::ErrorKind::ConnectionRefused, _)) => Ok(Presence::Stale),
        Err((io::ErrorKind::NotFound, _)) => Ok(Presence::Absent),
        // A reply, or a full queue: a daemon is there.
        Ok(_) | Err((io::ErrorKind::WouldBlock, _)) => Err(SocketError::Served(path.to_owned())),
        Err((_, error)) => Err(failed("connect to", path)(error)),
    }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { what, path, source }
}
