//! The API on its Unix socket.
//!
//! HTTP/1.1 and JSON, as `docs/openapi.json` describes it. Root and the daemon's own user may use it;
//! anybody else gets 403. Every answer that is not 2xx carries a [`vswitch_api::error::ApiError`].
//! Connections, bodies and the time to send them are bounded by [`limits`].

mod error;
mod extract;
pub(crate) mod limits;
mod routes;
mod socket;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::control::Control;
pub(crate) use error::api_error;
pub use socket::SocketError;
pub(crate) use socket::{Socket, probe};

/// Serves the API until `stop` turns true, then lets requests that run come to their end.
pub(crate) async fn run(socket: &Socket, control: Control, stop: watch::Receiver<bool>) {
    let open = routes::router(control.clone());
    let closed = routes::denied();
    let places = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        let accepted = async {
            // Who comes when all places are taken waits in the socket's queue.
            let place = match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => Ok(place),
                Err(_) => {
                    control.count_refusal("CONNECTIONS_MAX");
                    Arc::clone(&places).acquire_owned().await
                }
            };
            (place, socket.listener().accept().await)
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let router = if is_permitted(&stream) { open.clone() } else { closed.clone() };
                    let stop = stop.clone();
                    let control = control.clone();
                    connections.spawn(async move {
                        serve(stream, router, control, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // No descriptor left, for instance; it would fail again at once.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    let drain = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits::DRAIN_MAX, drain).await.is_err() {
        tracing::warn!("requests were cut off");
    }
}

/// Root, or the user that the daemon runs as.
fn is_permitted(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn serve(
    stream: UnixStream,
    router: Router,
    control: Control,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::HEADER_READ_MAX);
    let service = TowerToHyperService::new(router);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                if error.downcast_ref().is_some_and(hyper::Error::is_timeout) {
                    control.count_refusal("HEADER_READ_MAX");
                }
                tracing::debug!(%error, "connection ended badly");
            }
        }
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
