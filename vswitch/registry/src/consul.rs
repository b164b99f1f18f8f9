//! Consul by its HTTP API: `/v1/txn`, `/v1/kv` with blocking queries, `/v1/session`.
//!
//! Entries of a lease are locked by a session that deletes them when it ends. Consul answers a watch with the whole
//! prefix after each change, so that it suits small overlays.

mod client;
mod follow;
mod kv;
mod lease;
mod messages;

use std::sync::Arc;
use std::time::Duration;

use crate::RegistryError;
use crate::api::{Registry, Reply};
use crate::lease::Lease;
use crate::secret::Secret;
use crate::types::{Entry, LeaseId, Listing, Operation, Revision, Status};
use crate::url::RegistryUrl;
use crate::watch::Watch;
use client::Client;

/// A registry in Consul.
#[derive(Debug)]
pub(crate) struct Consul(Arc<Client>);

impl Consul {
    pub(crate) fn new(url: &RegistryUrl, token: Option<Secret>) -> Result<Self, RegistryError> {
        Client::new(url, token).map(|client| Self(Arc::new(client)))
    }
}

impl Registry for Consul {
    fn transact<'a>(&'a self, operations: &'a [Operation]) -> Reply<'a, Revision> {
        Box::pin(kv::transact(&self.0, operations))
    }

    fn operations_max(&self) -> usize {
        kv::OPERATIONS_MAX
    }

    fn get<'a>(&'a self, key: &'a str) -> Reply<'a, Option<Entry>> {
        Box::pin(kv::get(&self.0, key))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Reply<'a, Listing> {
        Box::pin(kv::list(&self.0, prefix))
    }

    fn watch(&self, listing: &Listing) -> Watch {
        let client = Arc::clone(&self.0);
        Watch::new(listing, |follower| follow::follow(client, follower))
    }

    fn grant(&self, ttl: Duration) -> Reply<'_, Lease> {
        Box::pin(lease::grant(Arc::clone(&self.0), ttl))
    }

    fn revoke<'a>(&'a self, lease: &'a LeaseId) -> Reply<'a, ()> {
        Box::pin(lease::revoke(&self.0, lease))
    }

    fn status(&self) -> Reply<'_, Status> {
        Box::pin(kv::status(&self.0))
    }
}
