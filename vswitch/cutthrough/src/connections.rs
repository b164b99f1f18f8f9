//! The connections in the kernel that may redirect, or are on their way back to TCP.

use std::os::fd::{AsFd, OwnedFd};

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};

use crate::layout::{CONNECTION_BYTES, Connection};
use crate::load::{map_handle, program_handle};
use crate::{Error, sys};

/// Their map, and the program that ends redirects.
#[derive(Debug)]
pub(crate) struct Connections {
    map: MapHandle,
    leave: OwnedFd,
}

impl Connections {
    pub(crate) fn new(object: &Object) -> Result<Self, Error> {
        Ok(Self {
            map: map_handle(object, "connections")?,
            leave: program_handle(object, "leave")?,
        })
    }

    /// The one with this id.
    pub(crate) fn get(&self, id: u64) -> Option<Connection> {
        let found = self.map.lookup(&id.to_ne_bytes(), MapFlags::ANY).ok().flatten()?;
        Connection::read(&found).filter(|_| found.len() == CONNECTION_BYTES)
    }

    /// The ids of those that match.
    pub(crate) fn ids(&self, is_wanted: impl Fn(&Connection) -> bool) -> Vec<u64> {
        let ids = self.map.keys().filter_map(|key| Some(u64::from_ne_bytes(key.try_into().ok()?)));
        ids.filter(|&id| self.get(id).is_some_and(|it| is_wanted(&it))).collect()
    }

    /// Programs that begin from now on redirect nothing in these.
    pub(crate) fn end_redirects(&self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            let ended = sys::run(self.leave.as_fd(), &mut id.to_ne_bytes());
            // One that is not known redirects nothing, either.
            if ended.is_err() {
                self.forget(id);
            }
        }
    }

    /// Forgets one that redirects no more.
    pub(crate) fn forget(&self, id: u64) {
        // One that was closed may be out already.
        let _ = self.map.delete(&id.to_ne_bytes());
    }
}
