//! A registry in memory, for tests: the same contract as that of a real one, and faults on demand.
//!
//! A [`MemoryStore`] is the server. Each [`MemoryRegistry`] is a client with a link of its own, which can be cut. All time
//! is tokio's, so that a test with a paused clock takes no time. No URL opens it.

mod follow;
mod lease;
mod store;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::RegistryError;
use crate::api::{Registry, Reply};
use crate::key::{check_key, check_operations, check_prefix};
use crate::lease::Lease;
use crate::limits::{OPERATIONS_MAX, REQUEST_TIMEOUT};
use crate::types::{Entry, LeaseId, Listing, Operation, Revision, Status};
use crate::watch::Watch;
use store::{Power, State, Store};

/// A server: the entries of all clients.
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<Store>);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(OPERATIONS_MAX)
    }
}

impl MemoryStore {
    /// A server that takes transactions of so many operations.
    #[must_use]
    pub fn new(operations_max: usize) -> Self {
        Self(Arc::new(Store::new(operations_max)))
    }

    /// A client whose keys have a prefix of their own.
    #[must_use]
    pub fn client(&self, prefix: &str) -> MemoryRegistry {
        let shared = Shared {
            store: Arc::clone(&self.0),
            root: format!("{prefix}/"),
            is_linked: watch::Sender::new(true),
        };
        MemoryRegistry(Arc::new(shared))
    }

    /// Ends the server, and keeps its data.
    pub fn stop(&self) {
        self.0.set_power(Power::Stopped);
    }

    /// Starts a stopped server; leases get their whole time again, as after a restart of etcd.
    pub fn start(&self) {
        self.0.set_power(Power::Running);
    }

    /// Stops the server's clock: it answers nothing.
    pub fn freeze(&self) {
        self.0.set_power(Power::Frozen);
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.0.set_power(Power::Running);
    }

    /// Deletes all data; revisions begin anew.
    pub fn wipe(&self) {
        self.0.change(State::wipe);
    }

    /// Forgets the history before now.
    pub fn compact(&self) {
        self.0.change(State::compact);
    }

    /// Ends a lease with its entries, as if it had not been renewed.
    pub fn end_lease(&self, id: &str) {
        self.0.change(|state| state.end_lease(&LeaseId(id.to_owned())));
    }

    /// Time that each request takes from now on, half of it before it is carried out.
    pub fn set_latency(&self, latency: Duration) {
        self.0.change(|state| state.latency = latency);
    }

    /// Transactions that were carried out.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.0.change(|state| state.transactions)
    }
}

/// A client of a [`MemoryStore`]. Clones share its link.
#[derive(Clone)]
pub struct MemoryRegistry(Arc<Shared>);

/// What a client's tasks share.
struct Shared {
    store: Arc<Store>,
    root: String,
    is_linked: watch::Sender<bool>,
}

impl fmt::Debug for MemoryRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Shared::NAME)
    }
}

impl MemoryRegistry {
    /// Cuts the link to the server. A request that waits for its answer gets none.
    pub fn cut(&self) {
        self.0.is_linked.send_replace(false);
    }

    /// Mends the link.
    pub fn heal(&self) {
        self.0.is_linked.send_replace(true);
    }
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Change,
}

impl Shared {
    const NAME: &str = "memory";

    /// Carries out a request at the server.
    async fn request<T>(
        &self,
        kind: Kind,
        run: impl FnOnce(&mut State) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        self.check_link()?;
        let thaw = self.store.wait_while_frozen();
        if timeout(REQUEST_TIMEOUT, thaw).await.is_err() {
            return Err(self.lost(kind, "no answer"));
        }
        let latency = self.store.change(|state| state.latency);
        sleep(latency / 2).await;
        self.check_link()?;
        let result = self.store.change(run);
        sleep(latency / 2).await;
        match self.check_link() {
            Err(_) if result.is_ok() => Err(self.lost(kind, "the link was cut")),
            _ => result,
        }
    }

    fn check_link(&self) -> Result<(), RegistryError> {
        let problem = match self.store.power() {
            _ if !*self.is_linked.borrow() => "the link is cut",
            Power::Stopped => "the server is stopped",
            Power::Running | Power::Frozen => return Ok(()),
        };
        Err(Self::unreachable(problem))
    }

    fn lost(&self, kind: Kind, problem: &str) -> RegistryError {
        let (registry, problem) = (Self::NAME.to_owned(), problem.to_owned());
        match kind {
            Kind::Read => RegistryError::Unreachable { registry, problem },
            Kind::Change => RegistryError::Unanswered { registry, problem },
        }
    }

    fn unreachable(problem: &str) -> RegistryError {
        RegistryError::Unreachable { registry: Self::NAME.to_owned(), problem: problem.to_owned() }
    }

    async fn list(&self, prefix: &str) -> Result<Listing, RegistryError> {
        self.request(Kind::Read, |state| Ok(state.list(&self.root, prefix))).await
    }
}

impl Registry for MemoryRegistry {
    fn transact<'a>(&'a self, operations: &'a [Operation]) -> Reply<'a, Revision> {
        Box::pin(async move {
            check_operations(operations, self.operations_max())?;
            let root = &self.0.root;
            self.0.request(Kind::Change, |state| state.transact(root, operations)).await
        })
    }

    fn operations_max(&self) -> usize {
        self.0.store.operations_max
    }

    fn get<'a>(&'a self, key: &'a str) -> Reply<'a, Option<Entry>> {
        Box::pin(async move {
            check_key(key)?;
            let root = &self.0.root;
            self.0.request(Kind::Read, |state| Ok(state.get(root, key))).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Reply<'a, Listing> {
        Box::pin(async move {
            check_prefix(prefix)?;
            self.0.list(prefix).await
        })
    }

    fn watch(&self, listing: &Listing) -> Watch {
        let shared = Arc::clone(&self.0);
        let generation = shared.store.change(|state| state.generation);
        Watch::new(listing, |follower| follow::follow(shared, generation, follower))
    }

    fn grant(&self, ttl: Duration) -> Reply<'_, Lease> {
        Box::pin(lease::grant(Arc::clone(&self.0), ttl))
    }

    fn revoke<'a>(&'a self, lease: &'a LeaseId) -> Reply<'a, ()> {
        Box::pin(async move {
            let revoke = |state: &mut State| {
                state.end_lease(lease);
                Ok(())
            };
            self.0.request(Kind::Change, revoke).await
        })
    }

    fn status(&self) -> Reply<'_, Status> {
        let status = |state: &mut State| {
            Ok(Status { endpoint: Shared::NAME.to_owned(), revision: Revision(state.revision) })
        };
        Box::pin(self.0.request(Kind::Read, status))
    }
}
