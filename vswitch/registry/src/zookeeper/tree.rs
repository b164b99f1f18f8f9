//! The part of ZooKeeper's tree that belongs to the registry, and the sessions that work on it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::jute::Decoder;
use super::requests::{Access, Request, Stat, code, stat};
use super::session::{Failure, Response, Servers, Session};
use crate::RegistryError;
use crate::limits::REQUEST_TIMEOUT;
use crate::secret::Secret;
use crate::tls::Connector;
use crate::types::LeaseId;
use crate::url::RegistryUrl;

/// Timeout of the session that reads; no entry ends with it.
const READER_TIMEOUT: Duration = Duration::from_secs(6);

/// A tree of nodes.
#[derive(Debug)]
pub(crate) struct Tree {
    name: String,
    /// `/PREFIX`
    root: String,
    pub(crate) servers: Servers,
    pub(crate) access: Access,
    reader: Mutex<Option<Arc<Session>>>,
    leases: Mutex<HashMap<LeaseId, Weak<Session>>>,
}

impl Tree {
    pub(crate) fn new(url: &RegistryUrl, secret: Option<Secret>) -> Result<Self, RegistryError> {
        let credentials = url.user.clone().zip(secret);
        let access = if credentials.is_some() { Access::Creator } else { Access::Anyone };
        let connector = Connector::new(url.tls.as_ref())?;
        Ok(Self {
            name: url.to_string(),
            root: format!("/{}", url.prefix),
            servers: Servers { endpoints: url.endpoints.clone(), connector, credentials },
            access,
            reader: Mutex::new(None),
            leases: Mutex::new(HashMap::new()),
        })
    }

    /// Scheme and endpoints, for errors.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Path of a key, or of a prefix without its slash.
    pub(crate) fn path(&self, key: &str) -> String {
        match key.trim_end_matches('/') {
            "" => self.root.clone(),
            key => format!("{}/{key}", self.root),
        }
    }

    /// Key of a path below the root.
    pub(crate) fn key<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.root)?.strip_prefix('/')
    }

    /// The session that reads, and makes changes without a lease. It begins with the first use, in its runtime.
    pub(crate) fn reader(&self) -> Arc<Session> {
        let mut reader = lock(&self.reader);
        let start = || Session::start(self.servers.clone(), READER_TIMEOUT, true);
        Arc::clone(reader.get_or_insert_with(|| Arc::new(start())))
    }

    /// The session that is a lease.
    pub(crate) fn leased(&self, lease: &LeaseId) -> Result<Arc<Session>, RegistryError> {
        let session = lock(&self.leases).get(lease).and_then(Weak::upgrade);
        session.ok_or_else(|| RegistryError::LeaseEnded { lease: lease.to_string() })
    }

    pub(crate) fn add_lease(&self, lease: LeaseId, session: &Arc<Session>) {
        let mut leases = lock(&self.leases);
        leases.retain(|_, session| session.strong_count() > 0);
        leases.insert(lease, Arc::downgrade(session));
    }

    pub(crate) fn remove_lease(&self, lease: &LeaseId) {
        lock(&self.leases).remove(lease);
    }

    /// Sends a request that changes nothing.
    pub(crate) async fn read(&self, request: Request) -> Result<Response, RegistryError> {
        let answer = self.reader().call(request, REQUEST_TIMEOUT).await;
        answer.map_err(|failure| match failure {
            Failure::NotSent(problem) | Failure::Lost(problem) | Failure::Ended(problem) => {
                self.unreachable(problem)
            }
        })
    }

    /// A node's stat; none: there is no node.
    pub(crate) async fn stat(&self, path: &str) -> Result<Option<Stat>, RegistryError> {
        let answer = self.read(Request::exists(path)).await?;
        match answer.error {
            0 => stat(&mut Decoder(&answer.body)).map(Some).map_err(|e| self.protocol(e)),
            code::NO_NODE => Ok(None),
            error => Err(self.error(error)),
        }
    }

    /// An error code of an answer.
    pub(crate) fn error(&self, error: i32) -> RegistryError {
        let registry = self.name.clone();
        match error {
            code::NO_AUTH => {
                RegistryError::Denied { registry, problem: "no permission (NoAuth)".to_owned() }
            }
            code::AUTH_FAILED => {
                RegistryError::Denied { registry, problem: "authentication failed".to_owned() }
            }
            _ => self.protocol(format!("error {error}")),
        }
    }

    pub(crate) fn unreachable(&self, problem: String) -> RegistryError {
        RegistryError::Unreachable { registry: self.name.clone(), problem }
    }

    pub(crate) fn unanswered(&self, problem: String) -> RegistryError {
        RegistryError::Unanswered { registry: self.name.clone(), problem }
    }

    pub(crate) fn protocol(&self, problem: impl ToString) -> RegistryError {
        RegistryError::Protocol { registry: self.name.clone(), problem: problem.to_string() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
