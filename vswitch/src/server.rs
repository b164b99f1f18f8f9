//! The API on its Unix socket.
//!
//! The API is HTTP/1.1 and JSON, described in `docs/openapi.json`. Root and the daemon's own user may use it;
//! other users get 403. A response other than 2xx carries a [`vswitch_api::error::ApiError`]. [`limits`] bounds
//! connections, bodies and the time to send them. [`metrics`] serves `GET /metrics` over TCP as well.

mod error;
mod events;
mod extract;
pub(crate) mod limits;
pub(crate) mod metrics;
mod routes;
mod socket;
#[cfg(test)]
mod tests;

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::control::Control;
pub(crate) use error::api_error;
use events::Closer;
pub(crate) use metrics::MetricsError;
pub use socket::SocketError;
pub(crate) use socket::{Presence, Socket, probe};

/// Serves the API until `stop` turns true, then waits for the requests in progress.
pub(crate) async fn run(socket: &Socket, control: Control, stop: watch::Receiver<bool>) {
    let open = routes::router(control.clone());
    let closed = routes::denied();
    let bounds = Bounds {
        name: "api-connections",
        connections: limits::CONNECTIONS_MAX,
        lifetime: Duration::MAX,
        keep_alive: true,
    };
    let next = async || {
        let (stream, _) = socket.listener().accept().await?;
        let router = if is_permitted(&stream) { open.clone() } else { closed.clone() };
        Ok((stream, router))
    };
    accept(next, bounds, control, stop).await;
}

/// Bounds of the connections of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Name of the limit of connections.
    pub(crate) name: &'static str,
    /// Connections at a time; further ones wait in the listener's queue.
    pub(crate) connections: usize,
    /// Longest life of a connection.
    pub(crate) lifetime: Duration,
    /// Whether a connection carries several requests.
    pub(crate) keep_alive: bool,
}

/// Serves each connection with its router, until `stop` turns true; then waits for the requests in progress.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    next: impl AsyncFn() -> io::Result<(S, Router)>,
    bounds: Bounds,
    control: Control,
    stop: watch::Receiver<bool>,
) {
    let permits = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        let accepted = async {
            let permit = match Arc::clone(&permits).try_acquire_owned() {
                Ok(permit) => Ok(permit),
                Err(_) => {
                    control.count_refusal(bounds.name);
                    Arc::clone(&permits).acquire_owned().await
                }
            };
            (permit, next().await)
        };
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            (permit, accepted) = accepted => match accepted {
                Ok((stream, router)) => {
                    let served = serve(stream, router, bounds.keep_alive, control.clone(), stop.clone());
                    connections.spawn(async move {
                        let _ = tokio::time::timeout(bounds.lifetime, served).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    // For instance, no descriptor is left: another attempt would fail at once.
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
pub(crate) fn is_permitted(stream: &UnixStream) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    keep_alive: bool,
    control: Control,
    mut stop: watch::Receiver<bool>,
) {
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_READ_MAX)
        .keep_alive(keep_alive);
    let closer = Closer::default();
    let service = TowerToHyperService::new(router.layer(Extension(closer.clone())));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let stopped = async {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    tokio::select! {
        result = connection.as_mut() => {
            if let Err(error) = result {
                if error.downcast_ref().is_some_and(hyper::Error::is_timeout) {
                    control.count_refusal("request-head-time");
                }
                tracing::debug!(%error, "connection ended badly");
            }
        }
        // Dropped as it is: its client does not read.
        () = closer.asked() => {}
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
