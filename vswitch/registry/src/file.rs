//! `file:///PATH`: networks, nodes and endpoints in a TOML file, which somebody else writes. It is followed when it
//! changes; nothing is allocated.
//!
//! A change is noticed by the file's time, size and inode every half second, which also works for files that are replaced
//! and for network file systems. A file with an error interrupts the watch: what was known stays.

mod document;

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::RegistryError;
use crate::api::{Registry, Reply};
use crate::key::{check_key, check_prefix};
use crate::lease::Lease;
use crate::limits::{FILE_BYTES_MAX, FILE_PERIOD};
use crate::types::{Entry, LeaseId, Listing, Operation, Revision, Status};
use crate::url::RegistryUrl;
use crate::watch::{Follower, Watch};

/// A registry in a file.
#[derive(Debug)]
pub(crate) struct FileRegistry {
    path: PathBuf,
    name: String,
}

impl FileRegistry {
    pub(crate) fn new(url: &RegistryUrl) -> Self {
        Self { path: url.prefix.clone().into(), name: url.to_string() }
    }

    fn read_only<T: Send>(&self) -> Reply<'_, T> {
        let registry = self.name.clone();
        Box::pin(async { Err(RegistryError::ReadOnly { registry }) })
    }
}

impl Registry for FileRegistry {
    fn transact<'a>(&'a self, _: &'a [Operation]) -> Reply<'a, Revision> {
        self.read_only()
    }

    fn get<'a>(&'a self, key: &'a str) -> Reply<'a, Option<Entry>> {
        Box::pin(async move {
            check_key(key)?;
            let entries = list(&self.path, "")?.entries;
            Ok(entries.into_iter().find(|entry| entry.key == key))
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Reply<'a, Listing> {
        Box::pin(async move {
            check_prefix(prefix)?;
            list(&self.path, prefix)
        })
    }

    fn watch(&self, listing: &Listing) -> Watch {
        let path = self.path.clone();
        Watch::new(listing, |follower| follow(path, follower))
    }

    fn grant(&self, _: Duration) -> Reply<'_, Lease> {
        self.read_only()
    }

    fn revoke<'a>(&'a self, _: &'a LeaseId) -> Reply<'a, ()> {
        self.read_only()
    }

    fn status(&self) -> Reply<'_, Status> {
        Box::pin(async move {
            let revision = list(&self.path, "")?.revision;
            Ok(Status { endpoint: self.path.display().to_string(), revision })
        })
    }
}

async fn follow(path: PathBuf, mut follower: Follower) {
    let mut told = None;
    loop {
        let now = stamp(&path);
        if now.is_none() || now != told {
            match list(&path, follower.prefix()) {
                Ok(listing) => {
                    follower.restored().await;
                    follower.compare(listing).await;
                    told = now;
                }
                Err(error) => follower.interrupted(error).await,
            }
        }
        sleep(FILE_PERIOD).await;
    }
}

/// What differs when the file has changed.
fn stamp(path: &Path) -> Option<(u64, u64, i64, i64)> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.ino(), data.size(), data.mtime(), data.mtime_nsec()))
}

fn list(path: &Path, prefix: &str) -> Result<Listing, RegistryError> {
    let text = crate::file_text::read(path, FILE_BYTES_MAX)?;
    let fail = |problem| RegistryError::File { path: path.to_owned(), problem };
    let records = document::parse(&text).map_err(fail)?;
    let entries = records.into_iter().filter(|(key, _)| key.starts_with(prefix));
    // An entry has no history; its value tells whether it has changed.
    let entries = entries.map(|(key, value)| Entry { revision: digest(&value), key, value });
    Ok(Listing { prefix: prefix.to_owned(), entries: entries.collect(), revision: digest(&text) })
}

fn digest(value: &(impl Hash + ?Sized)) -> Revision {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    Revision(hasher.finish())
}
