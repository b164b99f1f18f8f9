//! The writing half of an end: writes as its plan says.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::fs::sendfile;
use rustix::io::{Errno, writev};
use rustix::net::sockopt::socket_send_buffer_size;
use rustix::net::{SendFlags, send};
use rustix::pipe::{SpliceFlags, pipe, splice};

use super::bytes::Stream;
use super::fault::Fault;
use super::ready::{For, Ready, wait};
use super::shape::{Send, Wait};

/// Bytes that one call is given, at most.
const PIECE_MAX: usize = 65_536;

/// Bytes of a call of several threads in turn.
const TURN_MAX: usize = 3000;

/// Bytes up to which several threads are not worth it.
const ALONE_MAX: usize = 300;

/// Writes one direction of a connection.
#[derive(Debug)]
pub(super) struct Sender<'a> {
    socket: &'a OwnedFd,
    stream: Stream<'a>,
    at: usize,
    how: Send,
    wait: Wait,
    ready: Ready,
    limit: Duration,
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl<'a> Sender<'a> {
    pub(super) fn new(
        socket: &'a OwnedFd,
        stream: Stream<'a>,
        (how, wait): (Send, Wait),
        limit: Duration,
    ) -> Self {
        let ready = Ready::new(wait, For::Writing);
        let mut this = Self { socket, stream, at: 0, how, wait, ready, limit, pipe: None };
        this.turn(wait);
        this
    }

    /// Waits in another way from now on.
    pub(super) fn turn(&mut self, wait: Wait) {
        self.wait = if self.how == Send::EdgeTriggered { Wait::Edge } else { wait };
        self.ready = Ready::new(self.wait, For::Writing);
    }

    /// Writes so many bytes.
    pub(super) fn all(&mut self, count: usize) -> Result<(), Fault> {
        let end = self.at + count;
        if let Send::Threads(threads) = self.how
            && count > ALONE_MAX
        {
            return self.in_turn(threads, end);
        }
        while self.at < end {
            let start = Instant::now();
            let sent = self.some(end - self.at);
            self.at += sent.map_err(|fault| self.seen(fault.timed(start, self.limit)))?;
        }
        Ok(())
    }

    /// A fault that is stuck, with what the socket says.
    fn seen(&self, fault: Fault) -> Fault {
        let Fault::Stuck(text) = fault else { return fault };
        let is_writable = wait(self.socket, PollFlags::OUT, Duration::ZERO).is_ok();
        let buffer = socket_send_buffer_size(self.socket);
        Fault::Stuck(format!("{text}; writable {is_writable}, SO_SNDBUF {buffer:?}"))
    }

    /// Writes one urgent byte.
    pub(super) fn urgent(&mut self) -> Result<(), Fault> {
        self.at += self.send(1, SendFlags::OOB, "send(MSG_OOB)")?;
        Ok(())
    }

    /// Writes at least one byte and `max` at most.
    fn some(&mut self, max: usize) -> Result<usize, Fault> {
        let (at, stream) = (self.at, self.stream);
        let max = max.min(PIECE_MAX);
        match self.how {
            Send::Plain(size) => self.send(max.min(size), SendFlags::empty(), "send"),
            Send::Threads(_) => self.send(max, SendFlags::empty(), "send"),
            Send::EdgeTriggered => self.send(max, SendFlags::DONTWAIT, "send(MSG_DONTWAIT)"),
            Send::More => {
                let len = max.min(1000);
                let flags = if len < max { SendFlags::MORE } else { SendFlags::empty() };
                self.send(len, flags, "send(MSG_MORE)")
            }
            Send::Vectored => {
                let (first, rest) = stream.get(at, max).split_at(max / 3);
                let (second, third) = rest.split_at(max / 3);
                let parts = [first, second, third].map(IoSlice::new);
                self.until_ready("writev", |socket| writev(socket, &parts))
            }
            Send::File => {
                let (file, offset) = stream.in_file(at);
                self.until_ready("sendfile", |socket| {
                    let mut offset = offset;
                    sendfile(socket, file, Some(&mut offset), max)
                })
            }
            Send::Splice => self.splice(max),
        }
    }

    fn send(&mut self, len: usize, flags: SendFlags, call: &str) -> Result<usize, Fault> {
        let piece = self.stream.get(self.at, len);
        self.until_ready(call, |socket| send(socket, piece, flags))
    }

    fn until_ready(
        &mut self,
        call: &str,
        mut write: impl FnMut(&OwnedFd) -> Result<usize, Errno>,
    ) -> Result<usize, Fault> {
        let socket = self.socket;
        let written = self.ready.until(socket, self.limit, || write(socket));
        written.map_err(|errno| Fault::of(call, self.at, errno))
    }

    fn splice(&mut self, max: usize) -> Result<usize, Fault> {
        let (socket, at) = (self.socket, self.at);
        let fault = |call, at| move |errno| Fault::of(call, at, errno);
        if self.pipe.is_none() {
            self.pipe = Some(pipe().map_err(fault("pipe", at))?);
        }
        let (from, into) = self.pipe.as_ref().expect("made above");
        let (file, mut offset) = self.stream.in_file(at);
        let moved = splice(file, Some(&mut offset), into, None, max, SpliceFlags::empty());
        let moved = moved.map_err(fault("splice of a file", at))?;
        let mut sent = 0;
        while sent < moved {
            let more = self.ready.until(socket, self.limit, || {
                splice(from, None, socket, None, moved - sent, SpliceFlags::empty())
            });
            sent += more.map_err(fault("splice to the socket", at + sent))?;
        }
        Ok(sent)
    }

    /// Threads write the next piece each, one after the other.
    fn in_turn(&mut self, threads: usize, end: usize) -> Result<(), Fault> {
        let (socket, stream, wait, limit) = (self.socket, self.stream, self.wait, self.limit);
        let next = Mutex::new(self.at);
        let write = || -> Result<(), Fault> {
            let mut ready = Ready::new(wait, For::Writing);
            loop {
                let mut at = next.lock().expect("no thread panics");
                if *at == end {
                    return Ok(());
                }
                let piece = stream.get(*at, (end - *at).min(TURN_MAX));
                let sent = ready.until(socket, limit, || send(socket, piece, SendFlags::empty()));
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
