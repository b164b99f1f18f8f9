//! The API client for commands, which block: a runtime of one thread below [`vswitch_client`].

use std::ops::Deref;
use std::path::Path;

use tokio::runtime::Runtime;
use vswitch_api::error::ErrorCode;
use vswitch_api::network::FIRST_NETWORK_NAMES;
use vswitch_api::port::Port;
use vswitch_client::ClientError;

use crate::error::{Failure, Outcome};
use crate::{similar, value};

/// A client of one daemon, with the runtime of its requests.
#[derive(Debug)]
pub(crate) struct Client {
    client: vswitch_client::Client,
    runtime: Runtime,
}

/// The thing that a name in a request stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Attachment,
    Network,
    /// An attachment, or the host's port of a network.
    Port,
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

    /// Runs a request about a name. If there is no such name, the failure suggests the nearest one.
    pub(crate) fn wait_for<T>(
        &self,
        named: Named,
        name: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Outcome<T> {
        self.wait(request).map_err(|error| match &error {
            ClientError::Api(api) if api.code == ErrorCode::NotFound => {
                let hint = self.meant(named, name);
                let failure = Failure::from(error);
                hint.map_or(failure.clone(), |hint| failure.with_hint(hint))
            }
            _ => error.into(),
        })
    }

    /// Refuses a name that the daemon does not know.
    pub(crate) fn check(&self, named: Named, name: &str) -> Outcome<()> {
        if named == Named::Port && name.contains('@') {
            let is_so = |port: Port| value::is_called(&port.name, &port.network, name);
            if self.wait(self.ports())?.into_iter().any(is_so) {
                return Ok(());
            }
        }
        let is_first = named != Named::Attachment && FIRST_NETWORK_NAMES.contains(&name);
        if is_first || self.names(named)?.iter().any(|known| known == name) {
            return Ok(());
        }
        let (what, list) = named.words();
        let hint = self.meant(named, name).unwrap_or_else(|| format!("see `{list}`"));
        Err(Failure::new(format!("there is no {what} named {name}")).with_hint(hint))
    }

    /// The names that the daemon knows.
    pub(crate) fn names(&self, named: Named) -> Outcome<Vec<String>> {
        let mut names = Vec::new();
        if named != Named::Network {
            names.extend(self.wait(self.ports())?.into_iter().map(|port| port.name));
        }
        if named != Named::Attachment {
            names.extend(self.wait(self.networks())?.into_iter().map(|network| network.name));
        }
        // A container on several networks has one name.
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// The name that was meant, as a hint; none if the name exists, or is like no other.
    fn meant(&self, named: Named, name: &str) -> Option<String> {
        let names = self.names(named).ok()?;
        if names.iter().any(|known| known == name) {
            return None;
        }
        let nearest = similar::nearest(name, names.iter().map(String::as_str))?;
        Some(format!("did you mean {nearest}? see `{}`", named.words().1))
    }
}

impl Named {
    /// The thing, and the command that lists it.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Attachment => ("attachment", "vswitch ls"),
            Self::Network => ("network", "vswitch network ls"),
            Self::Port => ("attachment or network", "vswitch ls"),
        }
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
