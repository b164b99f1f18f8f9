//! UDP: each client has a socket of its own towards the container, which separates the replies.
//!
//! A client expires when neither side sends for [`PROXY_CLIENT_IDLE`], the mapping timeout of the switch
//! (RFC 4787, REQ-5).

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Weak};

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::host::limits::{
    PROXY_CLIENT_DATAGRAMS, PROXY_CLIENT_IDLE, PROXY_CONNECTIONS_MAX, PROXY_ERROR_PAUSE,
};

/// The longest datagram.
const DATAGRAM_MAX: usize = 65_535;

/// Relays datagrams to one port as long as it is polled; drops those from other addresses.
pub(super) async fn relay_all(socket: UdpSocket, to: SocketAddr) {
    let socket = Arc::new(socket);
    let mut clients = HashMap::<SocketAddr, mpsc::Sender<Box<[u8]>>>::new();
    // Tasks of clients, which end with this one and return the client's address.
    let mut tasks = JoinSet::new();
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let (len, from) = tokio::select! {
            Some(Ok(ended)) = tasks.join_next() => {
                clients.remove(&ended);
                continue;
            }
            received = socket.recv_from(&mut buffer) => match received {
                Ok((len, from)) if from.ip().is_loopback() => (len, from),
                Ok((_, from)) => {
                    tracing::debug!(%from, "dropped: not from this host");
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot receive datagrams to [::1]");
                    tokio::time::sleep(PROXY_ERROR_PAUSE).await;
                    continue;
                }
            },
        };
        let datagram = Box::from(&buffer[..len]);
        if let Some(client) = clients.get(&from) {
            // A full queue drops, as that of a socket does.
            let _ = client.try_send(datagram);
            continue;
        }
        if clients.len() >= PROXY_CONNECTIONS_MAX {
            tracing::debug!(%from, "dropped: too many clients at [::1]");
            continue;
        }
        let (sender, receiver) = mpsc::channel(PROXY_CLIENT_DATAGRAMS);
        let _ = sender.try_send(datagram);
        clients.insert(from, sender);
        // A weak reference, so that the port is free when this task has ended.
        let back = Arc::downgrade(&socket);
        tasks.spawn(async move {
            if let Err(error) = relay(from, receiver, &back, to).await {
                tracing::debug!(%from, %to, %error, "datagrams to [::1] are not relayed");
            }
            from
        });
    }
}

/// Relays the datagrams of one client until it expires.
async fn relay(
    from: SocketAddr,
    mut datagrams: mpsc::Receiver<Box<[u8]>>,
    back: &Weak<UdpSocket>,
    to: SocketAddr,
) -> io::Result<()> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let container = UdpSocket::bind(any).await?;
    container.connect(to).await?;
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let next = async {
            tokio::select! {
                datagram = datagrams.recv() => match datagram {
                    Some(datagram) => container.send(&datagram).await.map(drop),
                    None => std::future::pending().await,
                },
                answer = container.recv(&mut buffer) => {
                    let len = answer?;
                    match back.upgrade() {
                        Some(back) => back.send_to(&buffer[..len], from).await.map(drop),
                        None => Err(io::ErrorKind::NotConnected.into()),
                    }
                }
            }
        };
        match timeout(PROXY_CLIENT_IDLE, next).await {
            Ok(done) => done?,
            Err(_) => return Ok(()),
        }
    }
}
