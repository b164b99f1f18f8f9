//! What every registry does: conditional changes, listings, watches and leases.
//!
//! A registry maps keys to values. A key is a path such as `v1/networks/blue`, relative to the URL's prefix; no key
//! lies below another one (`a/b` excludes `a`), since ZooKeeper keeps no other value for a folder. A value is never
//! empty.
//!
//! Each change raises the store's [`Revision`](crate::Revision). An entry has the revision of its last change, all entries of one
//! transaction the same one. After a store lost its data revisions begin anew, so they are compared for equality only.
//!
//! A [`Watch`](crate::Watch) tells each entry's last state after each change. States in between may be left out, and a
//! key that was deleted and created again may come as one put.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::error::RegistryError;
use crate::lease::Lease;
use crate::limits::OPERATIONS_MAX;
use crate::types::{Entry, LeaseId, Listing, Operation, Revision, Status};
use crate::watch::Watch;

/// What a method of [`Registry`] returns.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, RegistryError>> + Send + 'a>>;

/// A registry. Each method may be called by many tasks at once; each returns within a bounded time.
pub trait Registry: Send + Sync + fmt::Debug {
    /// Carries out all operations, each on another key, or none; returns the revision of what was changed. All leases
    /// must be the same one.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] where a condition does not hold, [`RegistryError::Unanswered`] where nobody knows.
    fn transact<'a>(&'a self, operations: &'a [Operation]) -> Reply<'a, Revision>;

    /// Most operations of a transaction here, at most [`OPERATIONS_MAX`].
    fn operations_max(&self) -> usize {
        OPERATIONS_MAX
    }

    /// One entry.
    ///
    /// # Errors
    /// [`RegistryError`]
    fn get<'a>(&'a self, key: &'a str) -> Reply<'a, Option<Entry>>;

    /// All entries whose key begins with `prefix`, which is empty or ends with `/`.
    ///
    /// # Errors
    /// [`RegistryError`]
    fn list<'a>(&'a self, prefix: &'a str) -> Reply<'a, Listing>;

    /// Changes of a listing's prefix since the listing; spawns a task on the caller's tokio runtime.
    fn watch(&self, listing: &Listing) -> Watch;

    /// A new lease, which a task keeps alive as long as the returned value lives.
    ///
    /// # Errors
    /// [`RegistryError`]
    fn grant(&self, ttl: Duration) -> Reply<'_, Lease>;

    /// Ends a lease and deletes its entries.
    ///
    /// # Errors
    /// [`RegistryError`]
    fn revoke<'a>(&'a self, lease: &'a LeaseId) -> Reply<'a, ()>;

    /// Asks the registry for its state: that it answers, and takes the credentials.
    ///
    /// # Errors
    /// [`RegistryError`]
    fn status(&self) -> Reply<'_, Status>;
}

impl dyn Registry + '_ {
    /// Creates an entry whose key is absent.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] where the key exists.
    pub async fn create(
        &self,
        key: &str,
        value: impl Into<Vec<u8>>,
        lease: Option<&LeaseId>,
    ) -> Result<Revision, RegistryError> {
        let (key, value, lease) = (key.to_owned(), value.into(), lease.cloned());
        self.transact(&[Operation::Create { key, value, lease }]).await
    }

    /// Replaces an entry that nobody has changed since `revision` (compare and swap).
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] where somebody has.
    pub async fn swap(
        &self,
        key: &str,
        value: impl Into<Vec<u8>>,
        revision: Revision,
        lease: Option<&LeaseId>,
    ) -> Result<Revision, RegistryError> {
        let (key, value, lease) = (key.to_owned(), value.into(), lease.cloned());
        self.transact(&[Operation::Swap { key, value, revision, lease }]).await
    }

    /// Deletes an entry that nobody has changed since `revision` (compare and delete).
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] where somebody has.
    pub async fn delete(&self, key: &str, revision: Revision) -> Result<Revision, RegistryError> {
        self.transact(&[Operation::Delete { key: key.to_owned(), revision }]).await
    }
}
