//! ZooKeeper 3.6 and later, by its own protocol (jute over TCP or TLS).
//!
//! An entry is a node with data; a folder above entries is a persistent node without data, made when it is needed. A
//! lease is a session of its own, its entries are ephemeral nodes.
//!
//! ZooKeeper compares versions of a node only, which begin anew when a node is deleted and created again. So each
//! creation also writes the folder above, whose version then differs, and a change of an existing entry compares both:
//! an entry that another node has put in its place is never taken for the old one.

mod follow;
mod jute;
mod lease;
mod list;
mod requests;
mod session;
mod transact;
mod tree;

use std::sync::Arc;
use std::time::Duration;

use crate::RegistryError;
use crate::api::{Registry, Reply};
use crate::key::{check_key, check_prefix};
use crate::lease::Lease;
use crate::secret::Secret;
use crate::types::{Entry, LeaseId, Listing, Operation, Revision, Status};
use crate::url::RegistryUrl;
use crate::watch::Watch;
use tree::Tree;

/// A registry in ZooKeeper.
#[derive(Debug)]
pub(crate) struct ZooKeeper(Arc<Tree>);

impl ZooKeeper {
    pub(crate) fn new(url: &RegistryUrl, secret: Option<Secret>) -> Result<Self, RegistryError> {
        Tree::new(url, secret).map(|tree| Self(Arc::new(tree)))
    }
}

impl Registry for ZooKeeper {
    fn transact<'a>(&'a self, operations: &'a [Operation]) -> Reply<'a, Revision> {
        Box::pin(transact::transact(&self.0, operations))
    }

    fn get<'a>(&'a self, key: &'a str) -> Reply<'a, Option<Entry>> {
        Box::pin(async move {
            check_key(key)?;
            list::get(&self.0, key).await
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Reply<'a, Listing> {
        Box::pin(async move {
            check_prefix(prefix)?;
            list::list(&self.0, prefix).await
        })
    }

    fn watch(&self, listing: &Listing) -> Watch {
        let tree = Arc::clone(&self.0);
        Watch::new(listing, |follower| follow::follow(tree, follower))
    }

    fn grant(&self, ttl: Duration) -> Reply<'_, Lease> {
        Box::pin(lease::grant(&self.0, ttl))
    }

    fn revoke<'a>(&'a self, lease: &'a LeaseId) -> Reply<'a, ()> {
        Box::pin(lease::revoke(&self.0, lease))
    }

    fn status(&self) -> Reply<'_, Status> {
        Box::pin(list::status(&self.0))
    }
}
