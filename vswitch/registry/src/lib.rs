//! The registry of overlay networks: what the nodes of a network tell each other, kept by etcd, ZooKeeper, Consul or a file.
//!
//! [`open`] makes a [`Registry`] of a [`RegistryUrl`]. The registry knows keys and values; [`record`] knows what they
//! mean; [`Registration`] and [`claim_block`] are what a node does with them. [`memory`] is a registry for tests.
#![forbid(unsafe_code)]

mod api;
mod blocks;
mod consul;
mod error;
mod etcd;
mod file;
mod file_text;
mod http;
mod key;
mod lease;
pub mod limits;
pub mod memory;
mod open;
pub mod record;
mod registration;
mod secret;
mod task;
mod tls;
mod types;
mod url;
mod watch;
mod zookeeper;

pub use api::{Registry, Reply};
pub use blocks::{BlockError, claim_block, claimed_blocks};
pub use error::RegistryError;
pub use lease::{Lease, LeaseState};
pub use open::open;
pub use registration::{Registration, RegistrationError};
pub use secret::Secret;
pub use types::{Entry, LeaseId, Listing, Operation, Revision, Status};
pub use url::{Endpoint, RegistryUrl, Scheme, TlsFiles, UrlError};
pub use watch::{Change, Watch, WatchEvent};
