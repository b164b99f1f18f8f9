//! Waiting for a socket, by `poll` or epoll, after a call that said `EAGAIN`.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::shape::Wait;

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    Reading,
    Writing,
}

/// Calls with what is left of the time limit until something has come; signals do not end the wait.
///
/// # Errors
/// `EAGAIN` when the time is over.
fn until_one(
    limit: Duration,
    mut call: impl FnMut(&Timespec) -> Result<usize, Errno>,
) -> Result<(), Errno> {
    let start = Instant::now();
    loop {
        let left = limit.saturating_sub(start.elapsed());
        let left =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match call(&left) {
            Err(Errno::INTR) => {}
            Ok(0) => return Err(Errno::AGAIN),
            other => return other.map(drop),
        }
    }
}

/// Waits for one of these events by `poll`.
///
/// # Errors
/// `EAGAIN` when the time is over.
pub(super) fn wait(socket: &OwnedFd, events: PollFlags, limit: Duration) -> Result<(), Errno> {
    let mut fds = [PollFd::new(socket, events)];
    until_one(limit, |left| poll(&mut fds, Some(left)))
}

/// An epoll of one socket.
#[derive(Debug)]
pub(super) struct Epoll(OwnedFd);

impl Epoll {
    pub(super) fn new(socket: &OwnedFd, events: EventFlags) -> Result<Self, Errno> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, socket, EventData::new_u64(0), events)?;
        Ok(Self(epoll))
    }

    /// Waits for the next events, and returns them.
    ///
    /// # Errors
    /// `EAGAIN` when the time is over.
    pub(super) fn wait(&self, limit: Duration) -> Result<EventFlags, Errno> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(1);
        until_one(limit, |left| {
            let buffer = rustix::buffer::spare_capacity(&mut events);
            epoll::wait(self.0.as_fd(), buffer, Some(left))
        })?;
        Ok(events[0].flags)
    }
}

/// Repeats calls of a socket that does not block.
#[derive(Debug)]
pub(super) struct Ready {
    how: Wait,
    what: For,
    epoll: Option<Epoll>,
}

impl Ready {
    pub(super) fn new(how: Wait, what: For) -> Self {
        Self { how, what, epoll: None }
    }

    pub(super) fn blocks(&self) -> bool {
        self.how == Wait::Block
    }

    /// Repeats a call while it says `EAGAIN` and the socket does not block, with a wait before each further one.
    ///
    /// # Errors
    /// That of the call; `EAGAIN` when a wait took longer than the limit.
    pub(super) fn until<T>(
        &mut self,
        socket: &OwnedFd,
        limit: Duration,
        mut call: impl FnMut() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        loop {
            match call() {
                Err(Errno::AGAIN) if !self.blocks() => self.wait(socket, limit)?,
                other => return other,
            }
        }
    }

    fn wait(&mut self, socket: &OwnedFd, limit: Duration) -> Result<(), Errno> {
        let is_read = self.what == For::Reading;
        if self.how == Wait::Poll {
            let events = if is_read { PollFlags::IN } else { PollFlags::OUT };
            return wait(socket, events, limit);
        }
        if self.epoll.is_none() {
            let events = if is_read { EventFlags::IN | EventFlags::RDHUP } else { EventFlags::OUT };
            let edge = if self.how == Wait::Edge { EventFlags::ET } else { EventFlags::empty() };
            // A socket that is ready already is an event of its own.
            self.epoll = Some(Epoll::new(socket, events | edge)?);
        }
        self.epoll.as_ref().expect("made above").wait(limit).map(drop)
    }
}
