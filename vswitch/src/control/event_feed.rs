//! The feed of events: what happens goes to all clients that listen, and is forgotten.
//!
//! ```text
//! a change -- send() --> broadcast ring --> one task a client --> bounded queue --> its connection
//! ```
//!
//! A client whose queue is full, or whose task has missed a whole ring, is too slow: it is disconnected, and
//! counted under the limit `event-queue`. A change never waits for a client. At the end of the daemon the
//! feed is closed, which ends all streams.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fastpath::Clock;
use tokio::sync::broadcast::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use vswitch_api::event::{Event, EventKind};

use super::error::ControlError;
use super::limits::{EVENT_CLIENTS_MAX, EVENT_QUEUE_MAX};
use super::model::EndpointKey;

/// The feed.
#[derive(Debug)]
pub(super) struct EventFeed {
    /// None once the daemon ends.
    sender: Mutex<Option<Sender<Event>>>,
    clients: Arc<Semaphore>,
}

/// A place in the feed.
#[derive(Debug)]
pub(crate) struct Subscription {
    receiver: Receiver<Event>,
    _client: OwnedSemaphorePermit,
}

impl Default for EventFeed {
    fn default() -> Self {
        Self {
            sender: Mutex::new(Some(broadcast::channel(EVENT_QUEUE_MAX).0)),
            clients: Arc::new(Semaphore::new(EVENT_CLIENTS_MAX)),
        }
    }
}

impl EventFeed {
    /// Reports an event of an endpoint.
    pub(super) fn send(&self, event: EventKind, key: &EndpointKey, detail: impl Into<String>) {
        self.report(event, key.name.to_string(), Some(key.network.to_string()), detail.into());
    }

    /// Reports an event that is of no network.
    pub(super) fn report(
        &self,
        event: EventKind,
        name: String,
        network: Option<String>,
        detail: String,
    ) {
        let event = Event { unix_ms: Clock.unix_ms(), event, name, network, detail };
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // Without listeners the event is lost, as it should be.
            let _ = sender.send(event);
        }
    }

    /// Events from now on.
    pub(super) fn subscribe(&self) -> Result<Subscription, ControlError> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = sender.as_ref().ok_or(ControlError::Ending)?;
        let client = Arc::clone(&self.clients).try_acquire_owned();
        let client = client.map_err(|_| ControlError::EventClientsMax)?;
        Ok(Subscription { receiver: sender.subscribe(), _client: client })
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        *self.sender.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// The end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEnd {
    /// The client is gone, or the daemon ends.
    Closed,
    /// The client does not keep up.
    TooSlow,
}

impl Subscription {
    /// Moves events into the queue of a client, as lines of JSON, until either is closed.
    pub(crate) async fn forward(mut self, queue: mpsc::Sender<Bytes>) -> StreamEnd {
        loop {
            let event = tokio::select! {
                () = queue.closed() => return StreamEnd::Closed,
                event = self.receiver.recv() => event,
            };
            let event = match event {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Closed) => return StreamEnd::Closed,
                Err(broadcast::error::RecvError::Lagged(_)) => return StreamEnd::TooSlow,
            };
            let Ok(mut line) = serde_json::to_vec(&event) else { continue };
            line.push(b'\n');
            match queue.try_send(line.into()) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Closed(_)) => return StreamEnd::Closed,
                Err(mpsc::error::TrySendError::Full(_)) => return StreamEnd::TooSlow,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attach(feed: &EventFeed, name: &str) {
        let key = EndpointKey { name: name.parse().unwrap(), network: "br0".parse().unwrap() };
        feed.send(EventKind::Attach, &key, "10.99.0.2");
    }

    #[tokio::test]
    async fn events_reach_all_clients_in_order_until_the_feed_is_closed() {
        let feed = EventFeed::default();
        attach(&feed, "before");
        let clients = [feed.subscribe().unwrap(), feed.subscribe().unwrap()];
        attach(&feed, "a");
        attach(&feed, "b");
        feed.close();
        assert!(matches!(feed.subscribe(), Err(ControlError::Ending)));
        for client in clients {
            let (queue, mut lines) = mpsc::channel(8);
            assert_eq!(client.forward(queue).await, StreamEnd::Closed);
            for name in ["a", "b"] {
                let line = lines.recv().await.unwrap();
                let event: Event = serde_json::from_slice(&line).unwrap();
                assert_eq!((event.name.as_str(), event.event), (name, EventKind::Attach));
                assert_eq!(event.network.as_deref(), Some("br0"));
            }
            assert_eq!(lines.recv().await, None);
        }
    }

    #[tokio::test]
    async fn a_client_that_does_not_keep_up_is_dropped() {
        let feed = EventFeed::default();
        let (client, late) = (feed.subscribe().unwrap(), feed.subscribe().unwrap());
        let (queue, _lines) = mpsc::channel(2);
        (0..3).for_each(|_| attach(&feed, "a"));
        assert_eq!(client.forward(queue).await, StreamEnd::TooSlow);
        (0..=EVENT_QUEUE_MAX).for_each(|_| attach(&feed, "a"));
        let (queue, _lines) = mpsc::channel(2);
        assert_eq!(late.forward(queue).await, StreamEnd::TooSlow);
    }

    #[tokio::test]
    async fn clients_are_bounded_and_leave() {
        let feed = EventFeed::default();
        let mut clients: Vec<_> =
            (0..EVENT_CLIENTS_MAX).map(|_| feed.subscribe().unwrap()).collect();
        assert!(matches!(feed.subscribe(), Err(ControlError::EventClientsMax)));
        let (queue, lines) = mpsc::channel(1);
        drop(lines);
        assert_eq!(clients.pop().unwrap().forward(queue).await, StreamEnd::Closed);
        assert!(feed.subscribe().is_ok());
    }
}
