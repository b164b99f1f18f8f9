//! TCP: accepts each connection and opens another one to the container.
//!
//! The container is asked before, as soon as the client's SYN is heard. A SYN that is not heard, or passes as there are too
//! many, is accepted at once, and its client gets a reset if the container refuses. So is each one that DNAT leads to it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;

use super::asked_container::{AskedContainer, connect};
use super::counters::CONNECTIONS_REFUSED;
use super::publications::{Publication, Publications};
use super::syn::Syn;
use crate::host::limits::{
    PROXY_CONNECTIONS_MAX, PROXY_ERROR_PAUSE, RELAYED_CONNECTIONS_MAX, RELAYED_KEEP_ALIVE_IDLE,
    RELAYED_KEEP_ALIVE_INTERVAL, RELAYED_KEEP_ALIVE_PROBES,
};
use crate::host::nft::Protocol;

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
            // A client that the kernel has accepted is one whose SYN has been heard.
            biased;
            Some(syn) = syns.recv() => match asked.begin(syn, permits.available_permits() > 0) {
                Ok(asking) => { connections.spawn(asking); }
                // It waits in the backlog.
                Err(syn) => syn.repeat(),
            },
            accepted = accept(&listener, &permits) => match accepted {
                Ok((client, from, permit)) => {
                    let (to, container, served) = (Arc::clone(&to), asked.take(from), asked.serve(from));
                    connections.spawn(async move {
                        let container = match container {
                            Some(container) => container.await.ok().flatten(),
                            None => connect(&to).await,
                        };
                        relay(client, container).await;
                        drop((permit, served));
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
    match container {
        Some(mut container) => copy(&mut client, &mut container).await,
        None => reset(&client),
    }
}

async fn copy(client: &mut TcpStream, container: &mut TcpStream) {
    let _ = client.set_nodelay(true);
    let _ = container.set_nodelay(true);
    if let Err(error) = tokio::io::copy_bidirectional(client, container).await {
        tracing::debug!(%error, "a connection of the proxy failed");
        reset(client);
        reset(container);
    }
}

/// Lets the connection end by a reset when it is closed.
fn reset(connection: &TcpStream) {
    let _ = connection.set_zero_linger();
}

/// Relays connections that DNAT has led to a socket, each to the publication that it asked for.
pub(super) async fn relay_redirected(listener: TcpListener, publications: Arc<Publications>) {
    let permits = Arc::new(Semaphore::new(RELAYED_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match accept(&listener, &permits).await {
            Ok((client, from, permit)) => {
                let asked = asked(&client);
                let find = |asked| publications.find(Protocol::Tcp, asked, from.ip());
                let Some(publication) = asked.and_then(find) else {
                    reset(&client);
                    continue;
                };
                let Some(own_permit) = publication.connect() else {
                    CONNECTIONS_REFUSED.count();
                    reset(&client);
                    continue;
                };
                connections.spawn(async move {
                    serve(client, publication).await;
                    drop((permit, own_permit));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection to a published port");
                tokio::time::sleep(PROXY_ERROR_PAUSE).await;
            }
        }
    }
}

/// The destination of a connection before DNAT.
fn asked(client: &TcpStream) -> Option<SocketAddr> {
    let at = client.local_addr().ok()?;
    let original = match at {
        SocketAddr::V4(_) => SockRef::from(client).original_dst_v4(),
        SocketAddr::V6(_) => SockRef::from(client).original_dst_v6(),
    };
    original.ok()?.as_socket()
}

/// Relays a connection until it ends, or its publication does.
async fn serve(mut client: TcpStream, mut publication: Publication) {
    let keep_alive = TcpKeepalive::new()
        .with_time(RELAYED_KEEP_ALIVE_IDLE)
        .with_interval(RELAYED_KEEP_ALIVE_INTERVAL)
        .with_retries(RELAYED_KEEP_ALIVE_PROBES);
    let _ = SockRef::from(&client).set_tcp_keepalive(&keep_alive);
    let targets = std::mem::take(&mut publication.targets);
    let container = tokio::select! {
        () = publication.end() => None,
        container = connect(&targets) => container,
    };
    let Some(mut container) = container else { return reset(&client) };
    tokio::select! {
        () = publication.end() => {
            reset(&client);
            reset(&container);
        }
        () = copy(&mut client, &mut container) => {}
    }
}
