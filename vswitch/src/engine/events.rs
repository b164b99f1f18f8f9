//! The stream of events: JSON objects, one after another, each on a line of its own.

use bytes::BytesMut;
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
    rest: BytesMut,
    /// So many of them have no end of a line.
    seen: usize,
    /// The line is longer than an event may be.
    is_overlong: bool,
    _connection: Connection,
}

impl EngineEvents {
    pub(super) fn new(body: Incoming, connection: Connection) -> Self {
        Self { body, rest: BytesMut::new(), seen: 0, is_overlong: false, _connection: connection }
    }

    /// The next event; `None` when the engine has ended. Lines that are no event are left out. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Option<EngineEvent> {
        loop {
            let new = self.rest[self.seen..].iter();
            if let Some(end) = new.copied().position(|byte| byte == b'\n').map(|at| self.seen + at)
            {
                // An engine that floods takes no more than its share of the thread.
                tokio::task::consume_budget().await;
                let line = self.rest.split_to(end + 1);
                self.seen = 0;
                if std::mem::take(&mut self.is_overlong) || line.trim_ascii().is_empty() {
                    continue;
                }
                match serde_json::from_slice(&line) {
                    Ok(event) => return Some(event),
                    // One line of the log for each would be the engine's to command.
                    Err(error) => tracing::debug!(%error, "no event"),
                }
                continue;
            }
            if self.rest.len() > ENGINE_EVENT_BYTES_MAX {
                self.is_overlong = true;
                self.rest.clear();
            }
            self.seen = self.rest.len();
            let frame = self.body.frame().await?.ok()?;
            self.rest.extend_from_slice(&frame.into_data().unwrap_or_default());
        }
    }
}
