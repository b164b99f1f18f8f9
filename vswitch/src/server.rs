//! The API on its Unix socket.
//!
//! The API is HTTP/1.1 and JSON, described in `docs/openapi.json`. Root and the daemon's own user may use it;
//! other users get 403. A response other than 2xx carries a [`vswitch_api::error::ApiError`]. [`limits`] bounds
//! connections, bodies and the time to send them. [`metrics`] serves `GET /metrics` over TCP as well.

mod connections;
mod error;
mod events;
mod extract;
pub(crate) mod limits;
pub(crate) mod metrics;
mod routes;
mod socket;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::control::Control;
use connections::{ConnectionGuard, Connections};
pub(crate) use connections::{Limits, Peer};
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
        connections: Limits {
            served: limits::CONNECTIONS_MAX,
            of_peer: limits::PEER_CONNECTIONS_MAX,
            spare: limits::SPARE_CONNECTIONS,
        },
        lifetime: Duration::MAX,
        keep_alive: true,
    };
    let next = async || {
        let stream = socket.accept().await?;
        let (peer, is_permitted) = peer(&stream);
        let router = if is_permitted { open.clone() } else { closed.clone() };
        Ok((stream, peer, router))
    };
    accept(next, bounds, control, stop).await;
}

/// Bounds of the connections of a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Name of the limit of connections.
    pub(crate) name: &'static str,
    /// Connections at a time; further ones wait.
    pub(crate) connections: Limits,
    /// Longest life of a connection.
    pub(crate) lifetime: Duration,
    /// Whether a connection carries several requests.
    pub(crate) keep_alive: bool,
}

/// Serves each connection with its router, until `stop` turns true; then waits for the requests in progress.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    next: impl AsyncFn() -> io::Result<(S, Peer, Router)>,
    bounds: Bounds,
    control: Control,
    stop: watch::Receiver<bool>,
) {
    let held = Connections::new(bounds.connections);
    let mut connections = JoinSet::new();
    let mut stopping = stop.clone();
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => break,
            accepted = next() => match accepted {
                Ok((stream, peer, router)) => {
                    let admitted = held.admit(peer, Instant::now());
                    if admitted.as_ref().is_none_or(|held| !held.is_served()) {
                        control.count_refusal(bounds.name);
                    }
                    // One too many is closed.
                    let Some(held) = admitted else { continue };
                    let (control, stop) = (control.clone(), stop.clone());
                    let served = serve(stream, router, bounds.keep_alive, held, control, stop);
                    connections.spawn(async move {
                        let _ = tokio::time::timeout(bounds.lifetime, served).await;
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

/// The process at the other end, and whether it may control the switch: root, or the user that the daemon runs as.
pub(crate) fn peer(stream: &UnixStream) -> (Peer, bool) {
    let own = nix::unistd::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(peer) if peer.uid() == 0 || peer.uid() == own => (Peer::process(&peer), true),
        _ => (Peer::Denied, false),
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    keep_alive: bool,
    held: ConnectionGuard,
    control: Control,
    mut stop: watch::Receiver<bool>,
) {
    tokio::select! {
        is_served = held.served() => if !is_served { return },
        _ = stop.wait_for(|stop| *stop) => return,
    }
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_READ_MAX)
        .keep_alive(keep_alive);
    let (closer, held) = (Closer::default(), Arc::new(held));
    let service = TowerToHyperService::new(router.layer(Extension(closer.clone())));
    let service = counted(service, Arc::clone(&held));
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
        // Idle, while others wait. Its client may still read the last answer.
        () = held.closed() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(limits::ANSWER_READ_MAX, connection).await;
        }
        () = stopped => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}

/// A service that notes when a request begins, and when its answer does not stream on.
fn counted(
    service: impl Service<
        Request<Incoming>,
        Response = Response<Body>,
        Error = Infallible,
        Future: Send + 'static,
    >,
    held: Arc<ConnectionGuard>,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
{
    service_fn(move |request| {
        held.begin_request();
        let (answer, held) = (service.call(request), Arc::clone(&held));
        async move {
            let answer = answer.await;
            let streams =
                answer.as_ref().is_ok_and(|answer| answer.body().size_hint().exact().is_none());
            if !streams {
                held.end_request();
            }
            answer
        }
    })
}
