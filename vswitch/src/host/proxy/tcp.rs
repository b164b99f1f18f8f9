//! TCP: accepts each connection and opens another one to the container.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::host::limits::{PROXY_CONNECT_MAX, PROXY_CONNECTIONS_MAX, PROXY_ERROR_PAUSE};

#[cfg(test)]
mod tests;

/// Relays connections to one port as long as it is polled.
pub(super) async fn relay_all(listener: TcpListener, to: Vec<SocketAddr>) {
    let permits = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
    let to = Arc::<[SocketAddr]>::from(to);
    // Its connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                let to = Arc::clone(&to);
                connections.spawn(async move {
                    relay(client, &to).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to [::1]");
                tokio::time::sleep(PROXY_ERROR_PAUSE).await;
            }
        }
    }
}

async fn relay(mut client: TcpStream, to: &[SocketAddr]) {
    let Some(mut container) = connect(to).await else {
        reset(&client);
        return;
    };
    let _ = client.set_nodelay(true);
    let _ = container.set_nodelay(true);
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut container).await {
        tracing::debug!(%error, "a connection to [::1] failed");
        reset(&client);
        reset(&container);
    }
}

/// A connection to the first address that accepts one.
async fn connect(to: &[SocketAddr]) -> Option<TcpStream> {
    for to in to {
        match tokio::time::timeout(PROXY_CONNECT_MAX, TcpStream::connect(to)).await {
            Ok(Ok(container)) => return Some(container),
            Ok(Err(error)) => {
                tracing::debug!(%to, %error, "the container refuses a client on [::1]")
            }
            Err(_) => tracing::debug!(%to, "the container does not answer a client on [::1]"),
        }
    }
    None
}

/// Lets the connection end by a reset when it is closed.
fn reset(connection: &TcpStream) {
    let _ = connection.set_zero_linger();
}
