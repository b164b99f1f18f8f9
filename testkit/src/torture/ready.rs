//! Waiting for a socket: level-triggered by `poll`, edge-triggered by epoll.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

fn timespec(limit: Duration) -> Timespec {
    Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) }
}

/// Waits for one of these events.
///
/// # Errors
/// `EAGAIN` when the time is over.
pub(super) fn wait(socket: &OwnedFd, events: PollFlags, limit: Duration) -> Result<(), Errno> {
    let mut fds = [PollFd::new(socket, events)];
    match poll(&mut fds, Some(&timespec(limit)))? {
        0 => Err(Errno::AGAIN),
        _ => Ok(()),
    }
}

/// An edge-triggered epoll of one socket.
#[derive(Debug)]
pub(super) struct Edges(OwnedFd);

impl Edges {
    pub(super) fn new(socket: &OwnedFd, events: EventFlags) -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, socket, EventData::new_u64(0), events | EventFlags::ET)?;
        Ok(Self(epoll))
    }

    /// Waits for the next edge.
    ///
    /// # Errors
    /// `EAGAIN` when the time is over.
    pub(super) fn wait(&self, limit: Duration) -> Result<(), Errno> {
        let mut events = Vec::with_capacity(1);
        let buffer = rustix::buffer::spare_capacity(&mut events);
        match epoll::wait(self.0.as_fd(), buffer, Some(&timespec(limit)))? {
            0 => Err(Errno::AGAIN),
            _ => Ok(()),
        }
    }
}
