//! `GET /metrics`: Prometheus' text, on the API's socket and on a TCP address of its own.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use vswitch_api::routes;

use super::{Bounds, Limits, Peer, accept, limits};
use crate::control::Control;

/// An error of the TCP listener for metrics.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot serve metrics on {address}: {source}; choose another address with --metrics, or end the \
     process that `ss -ltnp` shows on it"
)]
pub struct MetricsError {
    /// The address.
    address: SocketAddr,
    source: io::Error,
}

/// Listens on the address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, MetricsError> {
    TcpListener::bind(address).await.map_err(|source| MetricsError { address, source })
}

/// Serves `GET /metrics` and nothing else, until `stop` turns true.
pub(crate) async fn run(
    listener: Option<TcpListener>,
    control: Control,
    stop: watch::Receiver<bool>,
) {
    let Some(listener) = listener else { return };
    let router = Router::new().route(routes::METRICS, get(scrape)).with_state(control.clone());
    let bounds = Bounds {
        name: "metrics-connections",
        connections: Limits {
            served: limits::METRICS_CONNECTIONS_MAX,
            of_peer: limits::METRICS_CONNECTIONS_MAX,
            spare: 0,
        },
        lifetime: limits::METRICS_TIME_MAX,
        keep_alive: false,
    };
    let next = async || Ok((listener.accept().await?.0, Peer::Any, router.clone()));
    accept(next, bounds, control, stop).await;
}

/// The text, or 503 once the workers have ended.
pub(super) async fn scrape(State(control): State<Control>) -> Response {
    match control.scrape().await {
        Ok(scrape) => {
            ([(CONTENT_TYPE, vswitch_counters::CONTENT_TYPE)], scrape.render()).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
    }
}
