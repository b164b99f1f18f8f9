//! The API client for commands, which block: a runtime of one thread below [`vswitch_client`].

use std::ops::Deref;
use std::path::Path;

use tokio::runtime::Runtime;
use vswitch_client::ClientError;

use crate::error::{Failure, Outcome};

/// A client of one daemon, with the runtime of its requests.
#[derive(Debug)]
pub(crate) struct Client {
    client: vswitch_client::Client,
    runtime: Runtime,
}

impl Client {
    /// A client of the daemon that listens at `socket`.
    pub(crate) fn new(socket: &Path) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(format!("cannot start the HTTP client: {error}")))?;
        Ok(Self { client: vswitch_client::Client::new(socket), runtime })
    }

    /// Runs a request to its end.
    pub(crate) fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.block_on(request)
    }
}

impl Deref for Client {
    type Target = vswitch_client::Client;

    fn deref(&self) -> &Self::Target {
        &self.client
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Api(error) => error.into(),
            error => match error.hint() {
                Some(hint) => Self::new(error.to_string()).with_hint(hint),
                None => Self::new(error.to_string()),
            },
        }
    }
}
