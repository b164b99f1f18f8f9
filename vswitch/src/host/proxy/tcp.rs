//! TCP: accepts each connection and opens another one to the container.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::host::limits::{PROXY_CONNECT_MAX, PROXY_CONNECTIONS_MAX, PROXY_ERROR_PAUSE};

/// Relays connections to one port as long as it is polled; closes those from other addresses.
pub(super) async fn relay_all(listener: TcpListener, to: SocketAddr) {
    let permits = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
    // Its connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, from)) if from.ip().is_loopback() => {
                connections.spawn(async move {
                    relay(client, to).await;
                    drop(permit);
                });
            }
            Ok((_, from)) => tracing::debug!(%from, "closed: not from this host"),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to [::1]");
                tokio::time::sleep(PROXY_ERROR_PAUSE).await;
            }
        }
    }
}

async fn relay(mut client: TcpStream, to: SocketAddr) {
    let connected = tokio::time::timeout(PROXY_CONNECT_MAX, TcpStream::connect(to)).await;
    let Ok(Ok(mut container)) = connected else {
        tracing::debug!(%to, "the container does not answer a connection to [::1]");
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = container.set_nodelay(true);
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut container).await {
        tracing::debug!(%to, %error, "a connection to [::1] failed");
    }
}
