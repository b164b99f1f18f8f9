//! The watch: a stream of lines, opened again after the last revision told, with a probe beside it.
//!
//! Before each stream the store is asked for the state that was told last. A store that lacks it (compacted, its data
//! deleted, another cluster) is listed again. The probe notices a server that hangs and a link that is cut, which an idle
//! stream does not.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::client::Client;
use super::kv::{entry, has_history, list, status};
use super::messages::{EventType, Line, WatchResponse};
use crate::RegistryError;
use crate::limits::{PROBE_PERIOD, PROBE_TIMEOUT, RESPONSE_BYTES_MAX};
use crate::task::Backoff;
use crate::types::Revision;
use crate::watch::{Change, Follower};

pub(crate) async fn follow(client: Arc<Client>, mut follower: Follower) {
    let mut backoff = Backoff::new();
    loop {
        let Err(error) = follow_stream(&client, &mut follower, &mut backoff).await;
        follower.interrupted(error).await;
        backoff.pause().await;
    }
}

/// Follows one stream to its end, which is an error.
async fn follow_stream(
    client: &Client,
    follower: &mut Follower,
    backoff: &mut Backoff,
) -> Result<Infallible, RegistryError> {
    if !has_history(client, follower).await? {
        let listing = list(client, follower.prefix()).await?;
        follower.restored().await;
        follower.resync(listing).await;
    }
    let (key, end) = client.range(follower.prefix());
    let create = json!({
        "key": key,
        "range_end": end,
        "start_revision": (follower.revision().0 + 1).to_string(),
        "progress_notify": true,
    });
    let response = client.stream("/v3/watch", &json!({ "create_request": create })).await?;
    let mut lines = Lines { body: response.into_body(), buffer: Vec::new(), scanned: 0 };
    let mut probe = std::pin::pin!(probe(client, follower.revision()));
    loop {
        let line = tokio::select! {
            line = lines.next(client) => line?,
            error = &mut probe => return Err(error),
        };
        handle(client, follower, line).await?;
        backoff.reset();
    }
}

/// Asks the server for its state again and again; returns the first fault.
async fn probe(client: &Client, revision: Revision) -> RegistryError {
    loop {
        sleep(PROBE_PERIOD).await;
        match timeout(PROBE_TIMEOUT, status(client)).await {
            Ok(Ok(status)) if status.revision >= revision => {}
            Ok(Ok(_)) => return client.http.protocol("the store has lost its data"),
            Ok(Err(error)) => return error,
            Err(_) => {
                let seconds = PROBE_TIMEOUT.as_secs();
                return client.http.unreachable(format!("no answer within {seconds} s"));
            }
        }
    }
}

async fn handle(
    client: &Client,
    follower: &mut Follower,
    line: WatchResponse,
) -> Result<(), RegistryError> {
    if line.canceled {
        let problem = format!("watch canceled: {}", line.cancel_reason);
        if line.compact_revision == 0 {
            return Err(client.http.protocol(problem));
        }
        let listing = list(client, follower.prefix()).await?;
        follower.resync(listing).await;
        return Err(client.http.protocol(problem));
    }
    if line.created {
        follower.restored().await;
        return Ok(());
    }
    let Some(last) = line.events.iter().map(|event| event.kv.mod_revision).max() else {
        // A notice of progress.
        let revision = follower.revision().max(Revision(line.header.revision));
        follower.set_revision(revision);
        return Ok(());
    };
    let changes = line.events.into_iter().filter_map(|event| match event.r#type {
        EventType::Put => entry(client, event.kv).map(Change::Put),
        EventType::Delete => client.short_key(event.kv.key).map(|key| Change::Delete { key }),
    });
    follower.changes(changes.collect()).await;
    follower.set_revision(Revision(last));
    Ok(())
}

/// Lines of a body.
struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are known to have no end of line.
    scanned: usize,
}

impl Lines {
    /// The next line. Nothing is lost when the caller gives up waiting.
    async fn next(&mut self, client: &Client) -> Result<WatchResponse, RegistryError> {
        loop {
            let end = self.buffer[self.scanned..].iter().position(|byte| *byte == b'\n');
            if let Some(end) = end {
                let line: Vec<u8> = self.buffer.drain(..=self.scanned + end).collect();
                self.scanned = 0;
                return decode(client, &line);
            }
            self.scanned = self.buffer.len();
            if self.buffer.len() > RESPONSE_BYTES_MAX {
                return Err(client.http.protocol("a line of the watch is too long"));
            }
            let frame = self.body.frame().await;
            let frame = frame.ok_or_else(|| client.http.unreachable("the watch's stream ended"))?;
            let frame = frame.map_err(|error| client.http.unreachable(error))?;
            if let Ok(data) = frame.into_data() {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}

fn decode(client: &Client, line: &[u8]) -> Result<WatchResponse, RegistryError> {
    let line: Line<WatchResponse> =
        serde_json::from_slice(line).map_err(|error| client.http.protocol(error))?;
    let error = line.error.unwrap_or_default();
    line.result.ok_or_else(|| client.http.protocol(format!("watch: {error}")))
}
