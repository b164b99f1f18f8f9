//! The joined sockets in the kernel: listed, put in, taken out.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libbpf_rs::{Iter, Link, MapCore, MapFlags, MapHandle, Object};

use crate::borrow::Borrowed;
use crate::layout::{CONNECTION_BYTES, Connection, Report};
use crate::load::{named_map, named_program};
use crate::{Error, sys};

/// The maps of sockets and connections, and the program that lists the sockets.
#[derive(Debug)]
pub(crate) struct JoinedSockets {
    sockets: MapHandle,
    connections: MapHandle,
    list: Link,
    /// The program that ends the redirects of a connection.
    leave: OwnedFd,
}

impl JoinedSockets {
    pub(crate) fn new(object: &Object) -> Result<Self, Error> {
        let own = |name| MapHandle::try_from(&named_map(object, name)?).map_err(unlisted());
        let sockets = own("sockets")?;
        let list = named_program(object, "joined")?.attach_iter(sockets.as_fd());
        let leave = named_program(object, "leave")?.as_fd().try_clone_to_owned();
        let leave = leave.map_err(|error| Error::Kernel {
            step: "the program that ends redirects cannot be had",
            reason: error.to_string(),
        })?;
        let list = list.map_err(unlisted())?;
        Ok(Self { connections: own("connections")?, list, sockets, leave })
    }

    /// All joined sockets.
    pub(crate) fn reports(&self) -> Result<Vec<Report>, Error> {
        let mut bytes = Vec::new();
        let read = Iter::new(&self.list).map_err(unlisted())?.read_to_end(&mut bytes);
        read.map_err(|error| Error::Kernel { step: UNLISTED, reason: error.to_string() })?;
        Ok(bytes.chunks_exact(Report::BYTES).filter_map(Report::read).collect())
    }

    /// A connection that may redirect, or is on its way back to TCP.
    pub(crate) fn connection(&self, id: u64) -> Option<Connection> {
        let found = self.connections.lookup(&id.to_ne_bytes(), MapFlags::ANY).ok().flatten()?;
        Connection::read(&found).filter(|_| found.len() == CONNECTION_BYTES)
    }

    /// Connections whose ends match.
    pub(crate) fn connections(&self, is_wanted: impl Fn(&Connection) -> bool) -> Vec<u64> {
        let ids = self
            .connections
            .keys()
            .filter_map(|key| Some(u64::from_ne_bytes(key.try_into().ok()?)));
        ids.filter(|&id| self.connection(id).is_some_and(|it| is_wanted(&it))).collect()
    }

    /// Joins a socket.
    pub(crate) fn put(&self, cookie: u64, socket: &Borrowed) -> Result<(), libbpf_rs::Error> {
        let descriptor = u64::try_from(socket.as_fd().as_raw_fd()).unwrap_or(u64::MAX);
        self.sockets.update(&cookie.to_ne_bytes(), &descriptor.to_ne_bytes(), MapFlags::ANY)
    }

    /// Makes it a plain TCP socket again. One that is closed is out already.
    pub(crate) fn take_out(&self, cookie: u64) {
        let _ = self.sockets.delete(&cookie.to_ne_bytes());
    }

    /// Forgets a connection that redirects no more.
    pub(crate) fn forget(&self, id: u64) {
        // One that was closed may be out already.
        let _ = self.connections.delete(&id.to_ne_bytes());
    }

    /// Programs that begin from now on redirect nothing in these connections.
    pub(crate) fn end_redirects(&self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            let ended = sys::run(self.leave.as_fd(), &mut id.to_ne_bytes());
            // A connection that is not known redirects nothing, either.
            if ended.is_err() {
                self.forget(id);
            }
        }
    }
}

const UNLISTED: &str = "the joined sockets cannot be listed";

fn unlisted() -> impl Fn(libbpf_rs::Error) -> Error {
    Error::kernel(UNLISTED)
}
