//! The joined sockets in the kernel: listed, put in, taken out.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};

use crate::borrow::Borrowed;
use crate::layout::{CONNECTION_BYTES, Connection, Report};
use crate::load::{named_map, named_program};
use crate::shared::Words;
use crate::{Error, sys};

/// Sockets that are asked for at a time: `REPORTS` of `bpf/layout.h`.
const REPORTS: usize = 64;
const REPORT_WORDS: usize = Report::BYTES / 8;

/// The maps of sockets and connections, and the programs for the switch.
#[derive(Debug)]
pub(crate) struct JoinedSockets {
    sockets: MapHandle,
    connections: MapHandle,
    /// The cookies of all that may be in `sockets`, from which the kernel takes closed ones.
    cookies: BTreeSet<u64>,
    /// Cookies for the program that reports, and its answers.
    reports: Words,
    report: OwnedFd,
    /// The program that ends the redirects of a connection.
    leave: OwnedFd,
}

impl JoinedSockets {
    pub(crate) fn new(object: &Object) -> Result<Self, Error> {
        let map = |name| {
            let map = MapHandle::try_from(&named_map(object, name)?);
            map.map_err(Error::kernel("the maps of the programs cannot be had"))
        };
        let program = |name| {
            let program = named_program(object, name)?.as_fd().try_clone_to_owned();
            program.map_err(|error| Error::Kernel {
                step: "the programs for the switch cannot be had",
                reason: error.to_string(),
            })
        };
        let sockets = map("sockets")?;
        let number = |key: Vec<u8>| Some(u64::from_ne_bytes(key.try_into().ok()?));
        Ok(Self {
            connections: map("connections")?,
            cookies: sockets.keys().filter_map(number).collect(),
            sockets,
            reports: Words::of_map(map("reports")?.as_fd(), REPORTS * REPORT_WORDS)?,
            report: program("joined")?,
            leave: program("leave")?,
        })
    }

    /// All joined sockets, by cookie.
    pub(crate) fn reports(&mut self) -> Result<Vec<Report>, Error> {
        let cookies: Vec<u64> = self.cookies.iter().copied().collect();
        let mut all = Vec::with_capacity(cookies.len());
        for some in cookies.chunks(REPORTS) {
            let reports = self.ask(some).map_err(|error| Error::Kernel {
                step: "the joined sockets cannot be listed",
                reason: error.to_string(),
            })?;
            all.extend(reports);
        }
        self.cookies = all.iter().map(|it: &Report| it.cookie).collect();
        Ok(all)
    }

    /// Those of at most [`REPORTS`] sockets that are joined.
    fn ask(&mut self, cookies: &[u64]) -> std::io::Result<Vec<Report>> {
        let reports = self.reports.all();
        let ends = cookies.iter().copied().chain([0]);
        for (report, cookie) in reports.chunks_exact(REPORT_WORDS).zip(ends) {
            report[0].store(cookie, Ordering::Relaxed);
        }
        sys::run_with_frame(self.report.as_fd())?;
        let answers = reports.chunks_exact(REPORT_WORDS).take(cookies.len());
        let bytes = |report: &[AtomicU64]| -> Vec<u8> {
            report.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect()
        };
        Ok(answers.filter_map(|report| Report::read(&bytes(report))).collect())
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
    pub(crate) fn put(&mut self, cookie: u64, socket: &Borrowed) -> Result<(), libbpf_rs::Error> {
        self.cookies.insert(cookie);
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
