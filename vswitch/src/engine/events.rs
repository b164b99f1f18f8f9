//! The stream of events: JSON objects, one after another, each on a line of its own.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;

use super::http::Connection;
use super::limits::ENGINE_EVENT_BYTES_MAX;

/// The events that are asked for: a container may run now, is gone (podman's word is `remove`), or has another
/// name.
pub(super) const FOLLOWED: [&str; 4] = ["start", "destroy", "remove", "rename"];

/// An event of a container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EngineEvent {
    actor: Actor,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
}

impl EngineEvent {
    /// The whole id of the container.
    pub(crate) fn into_container(self) -> String {
        self.actor.id
    }
}

/// Events of an engine, in their order. Dropped, the connection ends.
#[derive(Debug)]
pub(crate) struct EngineEvents {
    body: Incoming,
    /// Bytes that are no whole line yet.
    rest: Vec<u8>,
    _connection: Connection,
}

impl EngineEvents {
    pub(super) fn new(body: Incoming, connection: Connection) -> Self {
        Self { body, rest: Vec::new(), _connection: connection }
    }

    /// The next event; `None` when the engine has ended, or sends what is no event. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<EngineEvent> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                if line.trim_ascii().is_empty() {
                    continue;
                }
                let event = serde_json::from_slice(&line);
                return event.inspect_err(|error| tracing::warn!(%error, "no event")).ok();
            }
            if self.rest.len() > ENGINE_EVENT_BYTES_MAX {
                tracing::warn!("an event without an end");
                return None;
            }
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend(frame.into_data().unwrap_or_default());
        }
    }
}
