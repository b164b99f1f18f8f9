//! The socket's file: taken over only if no daemon serves it, made again if it goes, removed at the end.

mod file_watch;
mod presence;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use super::limits::SOCKET_RETRY;
use file_watch::FileWatch;
pub(crate) use presence::{Presence, probe};

/// An error of the socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon serves it.
    #[error(
        "another daemon serves {}; end it with `vswitch down`, or choose another --socket",
        path.display()
    )]
    Served {
        /// The socket.
        path: PathBuf,
        /// The process that listens, if it is known.
        pid: Option<u32>,
    },
    /// The file is no socket.
    #[error("{} exists and is not a socket; remove it, or choose another --socket", .0.display())]
    NotASocket(PathBuf),
    /// Another program serves the socket of Docker's plugin.
    #[error("another program serves {}; end it, or choose another --docker-plugin", .0.display())]
    PluginServed(PathBuf),
    /// The file at the path of Docker's plugin is no socket.
    #[error("{} exists and is not a socket; remove it, or choose another --docker-plugin", .0.display())]
    PluginNotASocket(PathBuf),
    /// The file system or the kernel refuses.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation.
        what: &'static str,
        /// Its object.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
}

impl SocketError {
    /// The same of the socket of Docker's plugin.
    pub(crate) fn of_plugin(self) -> Self {
        match self {
            Self::Served { path, .. } => Self::PluginServed(path),
            Self::NotASocket(path) => Self::PluginNotASocket(path),
            error => error,
        }
    }
}

/// The listening socket. Its file is removed when this is dropped, and made again when somebody else removes it.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    bound: Mutex<Bound>,
    restored: Notify,
    /// The file is gone, cannot be made again, and the log says so.
    is_told: AtomicBool,
}

/// A listener, with the file that leads to it.
#[derive(Debug)]
struct Bound {
    listener: Arc<UnixListener>,
    watch: Arc<FileWatch>,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
}

/// A listening socket without the removal of its file: a descriptor and plain data for another process.
#[derive(Debug)]
pub(crate) struct SocketParts {
    listener: std::os::unix::net::UnixListener,
    path: PathBuf,
    inode: Option<u64>,
}

impl Socket {
    /// Creates the directory, removes the file of a dead daemon, and listens. The caller has the state
    /// directory locked, so that no second daemon does the same meanwhile.
    pub(crate) async fn bind(path: &Path) -> Result<Self, SocketError> {
        make_directory(path)?;
        if probe(path).await? == Presence::Stale {
            fs::remove_file(path).map_err(failed("remove", path))?;
        }
        Ok(Self::of(path, Bound::new(path)?))
    }

    fn of(path: &Path, bound: Bound) -> Self {
        Self {
            path: path.to_owned(),
            bound: Mutex::new(bound),
            restored: Notify::new(),
            is_told: AtomicBool::new(false),
        }
    }

    /// The next connection. Makes the file again if it is gone: within a moment, or a second where the kernel lends no
    /// inotify.
    pub(crate) async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let is_told = self.is_told.load(Ordering::Relaxed);
            let (listener, watch, is_there) = {
                let bound = self.bound();
                (Arc::clone(&bound.listener), Arc::clone(&bound.watch), bound.file.is_there())
            };
            let changed = async {
                match is_there {
                    true => watch.changed().await,
                    // Not made again at the last attempt.
                    false if is_told => tokio::time::sleep(SOCKET_RETRY).await,
                    false => {}
                }
            };
            tokio::select! {
                // First those that came by the former file.
                biased;
                accepted = listener.accept() => return accepted.map(|(stream, _)| stream),
                () = changed => {}
            }
            if self.bound().file.is_there() {
                continue;
            }
            match self.bind_again() {
                Ok(()) => {
                    self.is_told.store(false, Ordering::Relaxed);
                    tracing::warn!(socket = %self.path.display(), "its file was gone, and is made again")
                }
                Err(error) if !is_told => {
                    tracing::error!(%error, "the file of the socket is gone; it is tried again");
                    self.is_told.store(true, Ordering::Relaxed);
                }
                Err(_) => {}
            }
        }
    }

    /// Waits until the file has been made again.
    pub(crate) async fn restored(&self) {
        self.restored.notified().await;
    }

    fn bind_again(&self) -> Result<(), SocketError> {
        make_directory(&self.path)?;
        let mut again = Bound::new(&self.path)?;
        // The former file is gone, or another's.
        std::mem::swap(&mut *self.bound(), &mut again);
        again.file.inode = None;
        self.restored.notify_one();
        Ok(())
    }

    fn bound(&self) -> MutexGuard<'_, Bound> {
        self.bound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bound {
    fn new(path: &Path) -> Result<Self, SocketError> {
        let listener = UnixListener::bind(path).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => served(path, None),
            _ => failed("listen on", path)(error),
        })?;
        let bound = Self::of(listener, path.to_owned(), inode(path));
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))
            .map_err(failed("set the mode of", path))?;
        Ok(bound)
    }

    fn of(listener: UnixListener, path: PathBuf, inode: Option<u64>) -> Self {
        let watch = Arc::new(FileWatch::new(&path));
        Self { listener: Arc::new(listener), watch, file: SocketFile { path, inode } }
    }
}

impl SocketFile {
    fn is_there(&self) -> bool {
        self.inode.is_some() && inode(&self.path) == self.inode
    }
}

fn make_directory(path: &Path) -> Result<(), SocketError> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let made = fs::DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.map_err(failed("make the directory", directory))
}

#[cfg_attr(not(test), expect(dead_code, reason = "a restart without loss calls it"))]
impl Socket {
    /// Gives up the socket without removing its file; clients that connect wait in its queue.
    ///
    /// # Errors
    /// The socket cannot be made blocking; the file is removed then.
    pub(crate) fn into_parts(self) -> io::Result<SocketParts> {
        let Bound { listener, mut file, .. } =
            self.bound.into_inner().unwrap_or_else(PoisonError::into_inner);
        let listener = Arc::into_inner(listener);
        let listener =
            listener.ok_or_else(|| io::Error::other("the socket is in use"))?.into_std()?;
        Ok(SocketParts { listener, path: std::mem::take(&mut file.path), inode: file.inode.take() })
    }

    /// Takes over a socket.
    ///
    /// # Errors
    /// The runtime cannot poll it; the file is removed then.
    pub(crate) fn from_parts(parts: SocketParts) -> io::Result<Self> {
        let SocketParts { listener, path, inode } = parts;
        let file = SocketFile { path: path.clone(), inode };
        let listener = UnixListener::from_std(listener)?;
        let watch = Arc::new(FileWatch::new(&path));
        Ok(Self::of(&path, Bound { listener: Arc::new(listener), watch, file }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A later daemon may have replaced the file.
        if self.is_there() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn served(path: &Path, pid: Option<u32>) -> SocketError {
    SocketError::Served { path: path.to_owned(), pid }
}

fn inode(path: &Path) -> Option<u64> {
    fs::symlink_metadata(path).ok().map(|metadata| metadata.ino())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SocketError {
    let path = path.to_owned();
    move |source| SocketError::Io { what, path, source }
}
