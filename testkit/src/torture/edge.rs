//! Readers that save a call: they wait for the next edge where they take it that nothing is left to read.
//!
//! With `Rule::Short` a read that gives less than asked for has emptied the socket, as epoll(7) allows and tokio
//! does. With `Rule::Queued` a read that filled its buffer is followed by `FIONREAD`, and 0 means empty, as in
//! nginx. Both read to the end once they have seen `EPOLLRDHUP`. A reader that is wrong about it waits for ever.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::epoll::EventFlags;
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{RecvFlags, recv};

use super::ready::Epoll;

/// When a socket counts as empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Short,
    Queued,
}

/// Such a reader of one socket.
#[derive(Debug)]
pub(super) struct EdgeReader {
    rule: Rule,
    epoll: Option<Epoll>,
    is_ready: bool,
    /// The other end sends no more.
    is_ended: bool,
    /// What is left of the bytes that `FIONREAD` told.
    queued: Option<usize>,
}

impl EdgeReader {
    pub(super) fn new(rule: Rule) -> Self {
        // tokio tries first, nginx waits first.
        let is_ready = rule == Rule::Short;
        Self { rule, epoll: None, is_ready, is_ended: false, queued: None }
    }

    /// Reads at least one byte, unless the stream is at its end.
    ///
    /// # Errors
    /// `EAGAIN` when no edge comes within the limit.
    pub(super) fn read(
        &mut self,
        socket: &OwnedFd,
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<usize, Errno> {
        if self.epoll.is_none() {
            let events = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
            self.epoll = Some(Epoll::new(socket, events)?);
        }
        loop {
            if !self.is_ready || self.queued == Some(0) && !self.is_ended {
                self.edge(limit)?;
            }
            match recv(socket, &mut *buffer, RecvFlags::empty()) {
                Ok((len, _)) => {
                    self.took(socket, len, buffer.len())?;
                    return Ok(len);
                }
                Err(Errno::AGAIN) => self.is_ready = false,
                Err(errno) => return Err(errno),
            }
        }
    }

    fn edge(&mut self, limit: Duration) -> Result<(), Errno> {
        let events = self.epoll.as_ref().expect("made by the reader").wait(limit)?;
        let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        self.is_ended |= events.intersects(ends);
        self.is_ready = true;
        self.queued = None;
        Ok(())
    }

    fn took(&mut self, socket: &OwnedFd, len: usize, asked: usize) -> Result<(), Errno> {
        let is_short = len < asked;
        if self.rule == Rule::Queued {
            match self.queued {
                Some(queued) => {
                    // More than was told: there will be an edge for the rest.
                    self.is_ready &= len <= queued;
                    self.queued = Some(queued.saturating_sub(len));
                }
                None if !is_short => self.queued = Some(ioctl_fionread(socket)? as usize),
                None => {}
            }
            if is_short {
                self.queued = Some(0);
            }
        }
        self.is_ready &= !is_short || self.is_ended;
        Ok(())
    }
}
