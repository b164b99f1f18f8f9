//! Errors of the registry, each with the registry, key or file it concerns.

use std::path::PathBuf;

/// Why a registry did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No endpoint could be asked: nothing was changed.
    #[error("registry {registry} cannot be reached: {problem}")]
    Unreachable {
        /// Scheme and endpoints.
        registry: String,
        /// The last endpoint's fault.
        problem: String,
    },
    /// The request was sent and no answer came: a change may have been made or not.
    #[error(
        "registry {registry} did not answer, so the change may have been made or not: {problem}"
    )]
    Unanswered {
        /// Scheme and endpoints.
        registry: String,
        /// The fault of the connection.
        problem: String,
    },
    /// Wrong credentials, or no permission.
    #[error(
        "registry {registry} denies access: {problem}; check user, password or token of --registry"
    )]
    Denied {
        /// Scheme and endpoints.
        registry: String,
        /// The server's words.
        problem: String,
    },
    /// A condition of the operation does not hold; nothing was changed.
    #[error("key {key} of the registry has changed or exists already")]
    Conflict {
        /// Key of the first operation whose condition does not hold.
        key: String,
    },
    /// The lease has ended, by itself or on request.
    #[error("the registry's lease {lease} has ended")]
    LeaseEnded {
        /// Identifier of the lease.
        lease: String,
    },
    /// The registry is a file.
    #[error("registry {registry} is a file that the switch only reads; edit the file instead")]
    ReadOnly {
        /// The file's URL.
        registry: String,
    },
    /// A request that no registry would take.
    #[error("bad request to the registry: {0}")]
    BadRequest(String),
    /// A file that the URL names is of no use.
    #[error("cannot use {} of --registry: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The fault.
        problem: String,
    },
    /// An answer that this version does not understand.
    #[error("unexpected answer of registry {registry}: {problem}")]
    Protocol {
        /// Scheme and endpoints.
        registry: String,
        /// The fault.
        problem: String,
    },
}

impl RegistryError {
    /// Whether the same request may succeed later without a change on this side.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unanswered { .. } | Self::Protocol { .. })
    }
}
