//! TCP: accepts each connection and opens another one to the container.
//!
//! The container is asked before, as soon as the client's SYN is heard. A SYN that is not heard, or passes as there are too
//! many, is accepted at once, and its client gets a reset if the container refuses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::asked_container::{AskedContainer, connect};
use super::syn::Syn;
use crate::host::limits::{PROXY_CONNECTIONS_MAX, PROXY_ERROR_PAUSE};

#[cfg(test)]
mod tests;

/// Relays connections to one port as long as it is polled. Of `syns` it accepts those that the container accepts.
pub(super) async fn relay_all(
    listener: TcpListener,
    to: Vec<SocketAddr>,
    mut syns: mpsc::Receiver<Syn>,
) {
    let permits = Arc::new(Semaphore::new(PROXY_CONNECTIONS_MAX));
    let to = Arc::<[SocketAddr]>::from(to);
    let asked = AskedContainer::new(Arc::clone(&to));
    // Its connections end with this task.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        tokio::select! {
            Some(syn) = syns.recv() => match asked.begin(syn, permits.available_permits() > 0) {
                Ok(asking) => { connections.spawn(asking); }
                // It waits in the backlog.
                Err(syn) => syn.repeat(),
            },
            accepted = accept(&listener, &permits) => match accepted {
                Ok((client, from, permit)) => {
                    let (to, container) = (Arc::clone(&to), asked.take(from));
                    connections.spawn(async move {
                        let container = match container {
                            Some(container) => container.await.ok().flatten(),
                            None => connect(&to).await,
                        };
                        relay(client, container).await;
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
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.map_err(io::Error::other)?;
    let (client, from) = listener.accept().await?;
    Ok((client, from, permit))
}

async fn relay(mut client: TcpStream, container: Option<TcpStream>) {
    let Some(mut container) = container else {
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

/// Lets the connection end by a reset when it is closed.
fn reset(connection: &TcpStream) {
    let _ = connection.set_zero_linger();
}
