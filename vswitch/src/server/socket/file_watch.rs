//! Watches a file for its removal, by inotify(7): an unlink changes the number of its links.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};
use tokio::net::unix::pipe::Receiver;

use crate::server::limits::SOCKET_RETRY;

/// A watched file. Without inotify, whose instances are limited, somebody has to look.
#[derive(Debug)]
pub(super) struct FileWatch(Option<Receiver>);

impl FileWatch {
    pub(super) fn new(path: &Path) -> Self {
        let watch = watch(path);
        if let Err(error) = &watch {
            tracing::debug!(%error, path = %path.display(), "looked for every second");
        }
        Self(watch.ok())
    }

    /// Waits until the file may be gone.
    pub(super) async fn changed(&self) {
        let Some(inotify) = &self.0 else { return tokio::time::sleep(SOCKET_RETRY).await };
        let is_readable = inotify.readable().await.is_ok();
        let read = inotify.try_read(&mut [0; 1024]);
        let is_early = read.as_ref().is_err_and(|it| it.kind() == io::ErrorKind::WouldBlock);
        if !is_readable || (read.is_err() && !is_early) {
            tokio::time::sleep(SOCKET_RETRY).await;
        }
    }
}

fn watch(path: &Path) -> io::Result<Receiver> {
    let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let flags = WatchFlags::ATTRIB | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
    add_watch(&inotify, path, flags | WatchFlags::DONT_FOLLOW)?;
    // Tokio's name for a descriptor that is read: it need not be a pipe.
    Receiver::from_owned_fd_unchecked(inotify)
}
