//! The host's own way to a published TCP port by ::1.
//!
//! The kernel does not translate connections to ::1, so they are accepted here, by the socket that holds the port
//! ([`reserve::sockets`](super::reserve::sockets)), and carried to the container: the client's address, ::1,
//! would mean nothing there anyway. Connections from elsewhere are closed: they come by the switch. UDP and
//! SCTP, and ranges that are longer than what is held by sockets, are not available on ::1.
//!
//! At most [`PROXY_CONNECTIONS_MAX`] connections of a port at once; further ones wait in the backlog. Dropping
//! the proxy closes them all.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

use super::limits::{PROXY_CONNECT_MAX, PROXY_CONNECTIONS_MAX};

/// Carries connections to one port.
#[derive(Debug)]
pub(super) struct Proxy(JoinHandle<()>);

impl Proxy {
    pub(super) fn start(listener: TcpListener, to: SocketAddr) -> Self {
        Self(tokio::spawn(accept(listener, to)))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn accept(listener: TcpListener, to: SocketAddr) {
    let places = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
    // Its connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, from)) if from.ip().is_loopback() => {
                connections.spawn(async move {
                    carry(client, to).await;
                    drop(place);
                });
            }
            Ok((_, from)) => tracing::debug!(%from, "closed: not from this host"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to [::1]");
                tokio::time::sleep(crate::server::limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn carry(mut client: TcpStream, to: SocketAddr) {
    let connected = tokio::time::timeout(PROXY_CONNECT_MAX, TcpStream::connect(to)).await;
    let Ok(Ok(mut container)) = connected else {
        tracing::debug!(%to, "the container does not answer a connection to [::1]");
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = container.set_nodelay(true);
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut container).await {
        tracing::debug!(%to, %error, "a connection to [::1] broke off");
    }
}
