//! The upstream servers: given ones, or those of `resolv.conf`, which is read again when it changes.

use std::fs::{self, Metadata};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::dns::limits::{RESOLV_CONF_CHECK, UPSTREAMS_MAX};
use crate::dns::resolv_conf;

/// Where upstream servers come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstreams {
    /// These servers, in this order.
    Servers(Vec<SocketAddr>),
    /// The servers of a `resolv.conf`.
    ResolvConf(PathBuf),
}

/// What changes when a file is written or replaced.
type Identity = (u64, u64, u64, i64, i64);

#[derive(Debug)]
pub(super) struct Servers {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// In the order in which they are asked.
    servers: Arc<[SocketAddr]>,
    identity: Option<Identity>,
    checked: Option<Instant>,
    changes: u64,
}

impl Servers {
    pub(super) fn new(upstreams: Upstreams) -> Self {
        let (path, servers) = match upstreams {
            Upstreams::Servers(servers) => (None, servers),
            Upstreams::ResolvConf(path) => (Some(path), Vec::new()),
        };
        let servers = servers.into_iter().take(UPSTREAMS_MAX).collect();
        Self {
            path,
            state: Mutex::new(State { servers, identity: None, checked: None, changes: 0 }),
        }
    }

    /// The servers, and how often they have changed.
    pub(super) fn current(&self) -> (Arc<[SocketAddr]>, u64) {
        let mut state = self.lock();
        if let Some(path) = &self.path {
            state.follow(path);
        }
        (Arc::clone(&state.servers), state.changes)
    }

    /// Asks a server first from now on.
    pub(super) fn prefer(&self, server: SocketAddr) {
        let mut state = self.lock();
        let position = state.servers.iter().position(|other| *other == server);
        if let Some(position @ 1..) = position {
            let mut servers = state.servers.to_vec();
            servers[..=position].rotate_right(1);
            state.servers = servers.into();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Reads the file if it has changed; looks at most once each [`RESOLV_CONF_CHECK`].
    fn follow(&mut self, path: &Path) {
        let now = Instant::now();
        if self.checked.is_some_and(|checked| now < checked + RESOLV_CONF_CHECK) {
            return;
        }
        let is_first = self.checked.replace(now).is_none();
        let identity = fs::metadata(path).ok().map(|metadata| identity(&metadata));
        if !is_first && identity == self.identity {
            return;
        }
        self.identity = identity;
        let mut servers = resolv_conf::servers(&resolv_conf::read(path));
        servers.truncate(UPSTREAMS_MAX);
        tracing::debug!(path = %path.display(), ?servers, "upstream DNS servers");
        self.servers = servers.into();
        self.changes += 1;
    }
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn addresses(servers: &Servers) -> Vec<String> {
        servers.current().0.iter().map(ToString::to_string).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_file_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("resolv.conf");
        let servers = Servers::new(Upstreams::ResolvConf(path.clone()));
        assert_eq!(addresses(&servers), ["127.0.0.1:53"], "no file");
        fs::write(&path, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").unwrap();
        assert_eq!(addresses(&servers), ["127.0.0.1:53"], "looked at within a second");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(servers.current().1, 2);
        assert_eq!(addresses(&servers), ["192.0.2.1:53", "192.0.2.2:53"]);
        // Replaced by a rename, as tools do it.
        let new = folder.path().join("new");
        fs::write(&new, "nameserver 192.0.2.3\nnameserver 192.0.2.4\n").unwrap();
        fs::rename(&new, &path).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(addresses(&servers), ["192.0.2.3:53", "192.0.2.4:53"]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(servers.current().1, 3);
    }

    #[test]
    fn the_server_that_answered_is_asked_first() {
        let all = [1, 2, 3].map(|n| SocketAddr::from(([192, 0, 2, n], 53)));
        let servers = Servers::new(Upstreams::Servers(all.to_vec()));
        servers.prefer(all[2]);
        assert_eq!(*servers.current().0, [all[2], all[0], all[1]]);
        servers.prefer(all[2]);
        servers.prefer(([192, 0, 2, 9], 53).into());
        assert_eq!(*servers.current().0, [all[2], all[0], all[1]]);
    }
}
