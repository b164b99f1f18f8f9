//! The joined sockets in the kernel: put in, reported, taken out.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use libbpf_rs::{MapCore, MapFlags, MapHandle, Object};

use crate::borrow::Borrowed;
use crate::layout::Report;
use crate::load::{map_handle, program_handle};
use crate::shared::Words;
use crate::{Error, sys};

const REPORT_WORDS: usize = Report::BYTES / 8;
/// The word of a report that says whether the socket is joined.
const IS_JOINED: usize = REPORT_WORDS - 1;

/// Their map, and the program that reports their state.
#[derive(Debug)]
pub(crate) struct JoinedSockets {
    map: MapHandle,
    /// The cookies of all that may be in the map. The kernel takes those out that are closed or connect again.
    cookies: BTreeSet<u64>,
    report: OwnedFd,
    /// Questions to that program, and its answers.
    reports: Words,
}

impl JoinedSockets {
    pub(crate) fn new(object: &Object) -> Result<Self, Error> {
        let (map, reports) = (map_handle(object, "sockets")?, map_handle(object, "reports")?);
        let number = |key: Vec<u8>| Some(u64::from_ne_bytes(key.try_into().ok()?));
        Ok(Self {
            cookies: map.keys().filter_map(number).collect(),
            map,
            report: program_handle(object, "joined")?,
            reports: Words::of_map(reports.as_fd(), reports.max_entries() as usize * REPORT_WORDS)?,
        })
    }

    /// Whether none is there.
    pub(crate) fn is_empty(&self) -> bool {
        self.cookies.is_empty()
    }

    /// The state of all, by cookie.
    pub(crate) fn reports(&mut self) -> Result<Vec<Report>, Error> {
        let cookies: Vec<u64> = self.cookies.iter().copied().collect();
        let mut all = Vec::with_capacity(cookies.len());
        for some in cookies.chunks(self.reports.all().len() / REPORT_WORDS) {
            let reported = self.report_some(some).map_err(|error| Error::Kernel {
                step: "the state of joined sockets cannot be had",
                reason: error.to_string(),
            })?;
            all.extend(reported);
        }
        self.cookies = all.iter().map(|report: &Report| report.cookie).collect();
        // No handshake has the id 0.
        all.retain(|report| report.id != 0);
        Ok(all)
    }

    /// The state of those that are joined, of no more than there is room for.
    fn report_some(&mut self, cookies: &[u64]) -> io::Result<Vec<Report>> {
        let reports = self.reports.all();
        let questions = cookies.iter().copied().chain([0]);
        for (report, cookie) in reports.chunks_exact(REPORT_WORDS).zip(questions) {
            report[0].store(cookie, Ordering::Relaxed);
            report[IS_JOINED].store(0, Ordering::Relaxed);
        }
        sys::run_with_frame(self.report.as_fd())?;
        let bytes = |report: &[AtomicU64]| -> Vec<u8> {
            report.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect()
        };
        let answers = reports.chunks_exact(REPORT_WORDS).take(cookies.len());
        Ok(answers.filter_map(|report| Report::read(&bytes(report))).collect())
    }

    /// Joins a socket.
    pub(crate) fn put(&mut self, cookie: u64, socket: &Borrowed) -> Result<(), libbpf_rs::Error> {
        let descriptor = u64::try_from(socket.as_fd().as_raw_fd()).unwrap_or(u64::MAX);
        self.map.update(&cookie.to_ne_bytes(), &descriptor.to_ne_bytes(), MapFlags::ANY)?;
        self.cookies.insert(cookie);
        Ok(())
    }

    /// Makes it a plain TCP socket again. One that is closed is out already.
    pub(crate) fn take_out(&self, cookie: u64) {
        let _ = self.map.delete(&cookie.to_ne_bytes());
    }
}
