//! A client of container engines: Docker's API on its Unix socket, which podman serves, too.
//!
//! Each request has a connection of its own, a time limit and a longest answer, since an engine may hang or
//! another program may own the socket. Whose program it is, the kernel says (`Container::engine_uid`): an engine
//! of a user other than root is believed about that user's things only. Paths have no version, so that each
//! engine answers in its own; of an answer only the keys in `types` and `networks` are read, and words that
//! this program does not know are no errors.
//!
//! An engine is asked for what it knows only. Nothing of it is changed.

mod error;
mod events;
mod http;
pub(crate) mod limits;
mod networks;
mod null;
#[cfg(test)]
mod tests;
mod types;

use std::path::{Path, PathBuf};

pub use error::EngineError;
pub(crate) use events::EngineEvents;
use http::Socket;
pub(crate) use networks::EngineNetwork;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
pub(crate) use types::Container;
pub use types::ListedContainer;

/// Words of an engine that knows a container no more, in small letters. Another 404 says nothing about it.
const NO_CONTAINER: &str = "no such container";

/// A container engine.
#[derive(Debug, Clone)]
pub struct Engine(Socket);

impl Engine {
    /// The engine that listens at an absolute path; connects with each request.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self(Socket(socket.to_owned()))
    }

    /// Containers that run.
    ///
    /// # Errors
    /// [`EngineError`]
    pub async fn running(&self) -> Result<Vec<ListedContainer>, EngineError> {
        self.0.get("/containers/json").await
    }

    /// All containers.
    pub(crate) async fn all(&self) -> Result<Vec<ListedContainer>, EngineError> {
        self.0.get("/containers/json?all=1").await
    }

    /// The container of a name, an id, or the begin of an id.
    pub(crate) async fn container(&self, name: &str) -> Result<Container, EngineError> {
        let path = format!("/containers/{}/json", escaped(name));
        let found = self.0.get_of::<Container>(&path).await.map_err(|error| match error {
            // Podman has status 500 for one that it is removing.
            EngineError::NotFound { socket, message }
            | EngineError::Refused { socket, message }
                if message.to_lowercase().contains(NO_CONTAINER) =>
            {
                EngineError::NoContainer { name: name.to_owned(), socket }
            }
            error => error,
        });
        let (mut container, engine_uid) = found?;
        container.engine_uid = engine_uid;
        Ok(container)
    }

    /// The network of an id, with the endpoints of its containers. Docker answers even while it starts one of them.
    pub(crate) async fn network(&self, id: &str) -> Result<EngineNetwork, EngineError> {
        self.0.get(&format!("/networks/{}", escaped(id))).await
    }

    /// Events of containers from now on.
    pub(crate) async fn events(&self) -> Result<EngineEvents, EngineError> {
        let filters = serde_json::json!({ "type": ["container"], "event": events::FOLLOWED });
        let path = format!("/events?filters={}", escaped(&filters.to_string()));
        let (body, connection) = self.0.stream(&path).await?;
        Ok(EngineEvents::new(body, connection))
    }

    /// Its socket.
    pub(crate) fn socket(&self) -> &PathBuf {
        &self.0.0
    }
}

/// Text as one segment of a path, or one value of a query.
fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
