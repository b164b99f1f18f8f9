//! Queries by UDP.

use std::sync::Arc;

use hickory_server::net::xfer::Protocol;
use tokio::net::UdpSocket;

use super::limits::{QUERY_BYTES_MAX, SOCKET_PAUSE};
use super::service::{Outcome, Service};

/// Answers the queries of a socket, until it is dropped.
pub(super) async fn run(socket: UdpSocket, service: Arc<Service>) {
    let socket = Arc::new(socket);
    // One more byte, so that a query that is too long is seen to be.
    let mut buffer = vec![0; QUERY_BYTES_MAX + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "cannot receive a DNS query");
                tokio::time::sleep(SOCKET_PAUSE).await;
                continue;
            }
        };
        let answer = match service.handle(&buffer[..length], from, Protocol::Udp) {
            Outcome::Answer(answer) => answer,
            Outcome::Ignore => continue,
            Outcome::Wait(waiting) => {
                let (socket, service) = (Arc::clone(&socket), Arc::clone(&service));
                tokio::spawn(async move {
                    let answer = service.forward(*waiting).await;
                    let _ = socket.send_to(&answer, from).await;
                });
                continue;
            }
        };
        // A client that is gone is no fault.
        if let Err(error) = socket.send_to(&answer, from).await {
            tracing::debug!(%error, %from, "cannot send a DNS answer");
        }
    }
}
