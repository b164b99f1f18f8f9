//! The stream of events: one JSON object a line, until the daemon ends or drops a client that is too slow.

use http_body_util::BodyExt;
use hyper::Method;
use hyper::body::{Bytes, Incoming};
use tokio::time::timeout;
use vswitch_api::error::ApiError;
use vswitch_api::event::Event;
use vswitch_api::routes;

use crate::ClientError;
use crate::http::{Connection, Endpoint};
use crate::limits::{EVENT_BYTES_MAX, RESPONSE_TIMEOUT};

/// Events of the daemon, in their order.
#[derive(Debug)]
pub struct Events {
    endpoint: Endpoint,
    body: Incoming,
    connection: Connection,
    /// Bytes that are no whole line yet.
    rest: Vec<u8>,
}

impl Events {
    pub(crate) async fn open(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let opened = endpoint.send(&Method::GET, routes::EVENTS, Bytes::new());
        let opened = timeout(RESPONSE_TIMEOUT, opened).await.map_err(|_| ClientError::Timeout {
            socket: endpoint.0.clone(),
            request: format!("GET {}", routes::EVENTS),
        })?;
        let (response, connection) = opened?;
        let status = response.status();
        let events = Self {
            endpoint: endpoint.clone(),
            body: response.into_body(),
            connection,
            rest: vec![],
        };
        if status.is_success() {
            return Ok(events);
        }
        let refused = events.body_of_error().await;
        Err(match serde_json::from_slice::<ApiError>(&refused) {
            Ok(error) => error.into(),
            Err(_) => endpoint.unexpected(
                &Method::GET,
                routes::EVENTS,
                &format_args!("HTTP status {status}"),
            ),
        })
    }

    async fn body_of_error(mut self) -> Vec<u8> {
        while self.read().await {}
        std::mem::take(&mut self.rest)
    }

    /// The next event; `None` when the daemon has ended, or dropped this client.
    ///
    /// # Errors
    /// [`ClientError::Protocol`]
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|e| self.unexpected(&e));
            }
            if self.rest.len() > EVENT_BYTES_MAX {
                return Err(self.unexpected(&"an event without an end"));
            }
            if !self.read().await {
                return Ok(None);
            }
        }
    }

    /// Reads some bytes; says whether there were any. A connection that breaks is an end, too.
    async fn read(&mut self) -> bool {
        match self.body.frame().await {
            Some(Ok(frame)) => {
                self.rest.extend(frame.into_data().unwrap_or_default());
                true
            }
            Some(Err(_)) | None => false,
        }
    }

    fn unexpected(&self, problem: &dyn std::fmt::Display) -> ClientError {
        self.endpoint.unexpected(&Method::GET, routes::EVENTS, problem)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
