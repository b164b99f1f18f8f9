//! Values of the registry's interface: entries, revisions, operations.

use std::fmt;

/// A state of the store, or the state in which an entry was last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(pub u64);

/// Identifier of a lease, in the words of its registry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LeaseId(pub(crate) String);

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key, relative to the URL's prefix.
    pub key: String,
    /// The value; other programs may have written anything.
    pub value: Vec<u8>,
    /// Revision of the last change.
    pub revision: Revision,
}

/// All entries below a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The prefix that was asked for.
    pub prefix: String,
    /// Entries, sorted by key. Those of ZooKeeper are read one by one, so that changes in the meantime may be seen or not.
    pub entries: Vec<Entry>,
    /// State of the store; a watch goes on from here.
    pub revision: Revision,
}

/// One operation of a transaction: a condition and a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Creates an entry whose key is absent.
    Create {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
        /// Lease with which the entry ends.
        lease: Option<LeaseId>,
    },
    /// Replaces an entry that nobody has changed since `revision`.
    Swap {
        /// The key.
        key: String,
        /// The new value.
        value: Vec<u8>,
        /// Revision that the entry must have.
        revision: Revision,
        /// Lease with which the entry ends from now on, whatever lease it had.
        lease: Option<LeaseId>,
    },
    /// Deletes an entry that nobody has changed since `revision`.
    Delete {
        /// The key.
        key: String,
        /// Revision that the entry must have.
        revision: Revision,
    },
    /// Changes nothing.
    Check {
        /// The key.
        key: String,
        /// Revision that the entry must have; none: the key must be absent.
        revision: Option<Revision>,
    },
}

impl Operation {
    /// Key of the operation.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Create { key, .. }
            | Self::Swap { key, .. }
            | Self::Delete { key, .. }
            | Self::Check { key, .. } => key,
        }
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Create { value, .. } | Self::Swap { value, .. } => Some(value),
            Self::Delete { .. } | Self::Check { .. } => None,
        }
    }

    /// Revision that the key must have; none: it must be absent.
    pub(crate) fn condition(&self) -> Option<Revision> {
        match self {
            Self::Create { .. } => None,
            Self::Swap { revision, .. } | Self::Delete { revision, .. } => Some(*revision),
            Self::Check { revision, .. } => *revision,
        }
    }

    pub(crate) fn lease(&self) -> Option<&LeaseId> {
        match self {
            Self::Create { lease, .. } | Self::Swap { lease, .. } => lease.as_ref(),
            Self::Delete { .. } | Self::Check { .. } => None,
        }
    }
}

/// The registry as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Endpoint that answered.
    pub endpoint: String,
    /// State of the store.
    pub revision: Revision,
}
