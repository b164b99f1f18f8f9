//! `GET /v1/events`: what happens, as newline-delimited JSON, until the daemon ends.
//!
//! hyper reads the queue of a stream only while the client reads its socket. A client that does not is found
//! out by its full queue, and its connection is closed from outside ([`Closer`]).

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::{Notify, mpsc};

use super::error::Failure;
use crate::control::limits::EVENT_QUEUE_MAX;
use crate::control::{Control, StreamEnd};

/// Closes one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Closer(Arc<Notify>);

impl Closer {
    /// Asks for the end of the connection.
    fn close(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody asks for it.
    pub(super) async fn asked(&self) {
        self.0.notified().await;
    }
}

/// Answers with the stream.
pub(super) async fn stream(
    State(control): State<Control>,
    Extension(closer): Extension<Closer>,
) -> Result<Response, Failure> {
    let subscription = control.subscribe()?;
    let (queue, lines) = mpsc::channel(EVENT_QUEUE_MAX);
    tokio::spawn(async move {
        if subscription.forward(queue).await == StreamEnd::TooSlow {
            control.count_refusal("event-queue");
            tracing::warn!("a client that listens to events is too slow: disconnected");
            closer.close();
        }
    });
    let lines = stream::unfold(lines, |mut lines| async move {
        let line = lines.recv().await?;
        Some((Ok::<_, Infallible>(line), lines))
    });
    let body = Body::from_stream(lines);
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}
