//! The writing half of an end: writes as its plan says.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::epoll::EventFlags;
use rustix::fs::sendfile;
use rustix::io::{Errno, writev};
use rustix::net::{SendFlags, send};
use rustix::pipe::{SpliceFlags, pipe, splice};

use super::bytes::Stream;
use super::fault::Fault;
use super::plan::Send;
use super::ready::Edges;

/// Bytes that one call is given, at most.
const PIECE_MAX: usize = 65_536;

/// Bytes of a call of several threads in turn.
const TURN_MAX: usize = 3000;

/// Writes one direction of a connection.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    socket: &'a OwnedFd,
    stream: Stream<'a>,
    at: usize,
    how: Send,
    limit: Duration,
    edges: Option<Edges>,
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(socket: &'a OwnedFd, stream: Stream<'a>, how: Send, limit: Duration) -> Self {
        Self { socket, stream, at: 0, how, limit, edges: None, pipe: None }
    }

    /// Writes so many bytes.
    pub(super) fn all(&mut self, count: usize) -> Result<(), Fault> {
        let end = self.at + count;
        if let Send::Threads(threads) = self.how {
            return self.in_turn(threads, end);
        }
        while self.at < end {
            let start = Instant::now();
            let sent = self.some(end - self.at);
            self.at += sent.map_err(|fault| fault.timed(start, self.limit))?;
        }
        Ok(())
    }

    /// Writes one urgent byte.
    pub(super) fn urgent(&mut self) -> Result<(), Fault> {
        let sent = send(self.socket, self.stream.get(self.at, 1), SendFlags::OOB);
        self.at += sent.map_err(|errno| Fault::of("send(MSG_OOB)", self.at, errno))?;
        Ok(())
    }

    /// Writes at least one byte and `max` at most.
    fn some(&mut self, max: usize) -> Result<usize, Fault> {
        let at = self.at;
        let max = max.min(PIECE_MAX);
        let fault = |call| move |errno| Fault::of(call, at, errno);
        match self.how {
            Send::Plain(size) => {
                let piece = self.stream.get(at, max.min(size));
                send(self.socket, piece, SendFlags::empty()).map_err(fault("send"))
            }
            Send::More => {
                let len = max.min(1000);
                let flags = if len < max { SendFlags::MORE } else { SendFlags::empty() };
                send(self.socket, self.stream.get(at, len), flags).map_err(fault("send(MSG_MORE)"))
            }
            Send::Vectored => {
                let (first, rest) = self.stream.get(at, max).split_at(max / 3);
                let (second, third) = rest.split_at(max / 3);
                let parts = [first, second, third].map(IoSlice::new);
                writev(self.socket, &parts).map_err(fault("writev"))
            }
            Send::File => {
                let (file, mut offset) = self.stream.in_file(at);
                sendfile(self.socket, file, Some(&mut offset), max).map_err(fault("sendfile"))
            }
            Send::Splice => self.splice(max),
            Send::EdgeTriggered | Send::Threads(_) => self.edge_triggered(max),
        }
    }

    fn edge_triggered(&mut self, max: usize) -> Result<usize, Fault> {
        loop {
            match send(self.socket, self.stream.get(self.at, max), SendFlags::DONTWAIT) {
                Ok(len) => return Ok(len),
                Err(Errno::AGAIN) => {}
                Err(errno) => return Err(Fault::of("send(MSG_DONTWAIT)", self.at, errno)),
            }
            let waited = match &self.edges {
                Some(edges) => edges.wait(self.limit),
                None => {
                    Edges::new(self.socket, EventFlags::OUT).map(|edges| self.edges = Some(edges))
                }
            };
            waited.map_err(|errno| Fault::of("epoll_wait(EPOLLOUT)", self.at, errno))?;
        }
    }

    fn splice(&mut self, max: usize) -> Result<usize, Fault> {
        let fault = |call, at| move |errno| Fault::of(call, at, errno);
        if self.pipe.is_none() {
            self.pipe = Some(pipe().map_err(fault("pipe", self.at))?);
        }
        let (from, into) = self.pipe.as_ref().expect("made above");
        let (file, mut offset) = self.stream.in_file(self.at);
        let moved = splice(file, Some(&mut offset), into, None, max, SpliceFlags::empty());
        let moved = moved.map_err(fault("splice of a file", self.at))?;
        let mut sent = 0;
        while sent < moved {
            let more = splice(from, None, self.socket, None, moved - sent, SpliceFlags::empty());
            sent += more.map_err(fault("splice to the socket", self.at + sent))?;
        }
        Ok(sent)
    }

    /// Threads write the next piece each, one after the other.
    fn in_turn(&mut self, threads: usize, end: usize) -> Result<(), Fault> {
        let (socket, stream) = (self.socket, self.stream);
        let next = Mutex::new(self.at);
        let write = || -> Result<(), Fault> {
            loop {
                let mut at = next.lock().expect("no thread panics");
                if *at == end {
                    return Ok(());
                }
                let piece = stream.get(*at, (end - *at).min(TURN_MAX));
                let sent = send(socket, piece, SendFlags::empty());
                *at += sent.map_err(|errno| Fault::of("send of a thread", *at, errno))?;
            }
        };
        let written = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..threads).map(|_| scope.spawn(write)).collect();
            let ends = writers.into_iter().map(|writer| writer.join().expect("no thread panics"));
            ends.collect::<Vec<_>>().into_iter().collect()
        });
        self.at = next.into_inner().expect("no thread panics");
        written
    }
}
