//! The reading half of an end: reads as its plan says, and compares each byte.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::event::epoll::EventFlags;
use rustix::io::{Errno, ioctl_fionread, read, readv};
use rustix::net::{RecvFlags, recv};
use rustix::pipe::{SpliceFlags, pipe, splice};

use super::bytes::Stream;
use super::fault::Fault;
use super::plan::Receive;
use super::ready::{Edges, wait};

const BUFFER_LEN: usize = 65_536;

/// Reads of a slow reader that it sleeps before.
const SLOW_READS: u32 = 8;
const SLOW_SLEEP: Duration = Duration::from_micros(700);

/// Reads one direction of a connection.
#[derive(Debug)]
pub(super) struct Receiver<'a> {
    socket: &'a OwnedFd,
    stream: Stream<'a>,
    at: usize,
    how: Receive,
    limit: Duration,
    is_strict: bool,
    buffer: Vec<u8>,
    reads: u32,
    edges: Option<Edges>,
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(
        socket: &'a OwnedFd,
        stream: Stream<'a>,
        how: Receive,
        limit: Duration,
    ) -> Self {
        let buffer = vec![0; BUFFER_LEN];
        let (edges, pipe) = (None, None);
        Self { socket, stream, at: 0, how, limit, is_strict: true, buffer, reads: 0, edges, pipe }
    }

    /// Whether `FIONREAD` may say nothing, and `MSG_WAITALL` give less than there will be.
    pub(super) fn with_strictness(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }

    /// Reads by plain `recv` from now on.
    pub(super) fn be_plain(&mut self) {
        self.how = Receive::Plain(4096);
    }

    /// Reads so many bytes.
    pub(super) fn exact(&mut self, count: usize) -> Result<(), Fault> {
        let end = self.at + count;
        while self.at < end {
            let start = Instant::now();
            let found = self.some(end - self.at);
            if found.map_err(|fault| fault.timed(start, self.limit))? == 0 {
                let at = self.at;
                return Err(Fault::Short(format!("the end at offset {at}, not {end}")));
            }
        }
        Ok(())
    }

    /// Reads the end of the stream.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        let (mut more, start) = ([0; 64], Instant::now());
        let found = recv(self.socket, &mut more, RecvFlags::empty());
        let fault = |errno| Fault::of("recv of the end", self.at, errno);
        let found = found.map_err(|errno| fault(errno).timed(start, self.limit));
        let (len, _) = found?;
        if len == 0 {
            return Ok(());
        }
        let what = match self.stream.check(self.at, &more[..len]) {
            Ok(()) => "that follow in the stream".into(),
            Err(text) => text,
        };
        Err(Fault::Corrupt(format!("{len} bytes after the end at offset {}: {what}", self.at)))
    }

    /// Reads what there is of so many bytes, and then the end or a reset.
    pub(super) fn until_gone(&mut self, count: usize) -> Result<(), Fault> {
        match self.exact(count).and_then(|()| self.end()) {
            Err(fault) if fault.is_of_death() => Ok(()),
            other => other,
        }
    }

    /// Reads an urgent byte out of band.
    pub(super) fn urgent(&mut self) -> Result<(), Fault> {
        let fault = |errno| Fault::of("poll of an urgent byte", self.at, errno);
        wait(self.socket, PollFlags::PRI, self.limit).map_err(fault)?;
        let mut byte = [0];
        let found = recv(self.socket, &mut byte, RecvFlags::OOB);
        found.map_err(|errno| Fault::of("recv(MSG_OOB)", self.at, errno))?;
        self.stream
            .check(self.at, &byte)
            .map_err(|text| Fault::Corrupt(format!("urgent: {text}")))?;
        self.at += 1;
        Ok(())
    }

    /// Reads at least one byte, unless the stream is at its end, and `max` at most.
    fn some(&mut self, max: usize) -> Result<usize, Fault> {
        self.reads += 1;
        let max = max.min(BUFFER_LEN);
        match self.how {
            Receive::Plain(size) => self.recv(max.min(size), RecvFlags::empty(), "recv"),
            Receive::Slow => {
                if self.reads <= SLOW_READS {
                    std::thread::sleep(SLOW_SLEEP);
                }
                self.recv(max.min(3000), RecvFlags::empty(), "recv")
            }
            Receive::Vectored => self.vectored(max),
            Receive::Peek => self.peek(max),
            Receive::WaitAll => self.wait_all(max),
            Receive::Queued => self.queued(max),
            Receive::EdgeTriggered => self.edge_triggered(max),
            Receive::Splice => self.splice(max),
        }
    }

    /// Compares the first bytes of the buffer.
    fn took(&mut self, len: usize, call: &str) -> Result<usize, Fault> {
        let checked = self.stream.check(self.at, &self.buffer[..len]);
        checked.map_err(|text| Fault::Corrupt(format!("by {call}: {text}")))?;
        self.at += len;
        Ok(len)
    }

    fn recv(&mut self, max: usize, flags: RecvFlags, call: &str) -> Result<usize, Fault> {
        let found = recv(self.socket, &mut self.buffer[..max], flags);
        let (len, _) = found.map_err(|errno| Fault::of(call, self.at, errno))?;
        self.took(len, call)
    }

    fn vectored(&mut self, max: usize) -> Result<usize, Fault> {
        let (first, rest) = self.buffer[..max].split_at_mut(max / 3);
        let (second, third) = rest.split_at_mut(max / 3);
        let mut parts = [first, second, third].map(IoSliceMut::new);
        let found = readv(self.socket, &mut parts);
        let len = found.map_err(|errno| Fault::of("readv", self.at, errno))?;
        self.took(len, "readv")
    }

    /// Peeks twice, with different lengths, and reads what it has seen.
    fn peek(&mut self, max: usize) -> Result<usize, Fault> {
        let mut seen = 0;
        for len in [max.div_ceil(2), max] {
            let found = recv(self.socket, &mut self.buffer[..len], RecvFlags::PEEK);
            let (len, _) = found.map_err(|errno| Fault::of("recv(MSG_PEEK)", self.at, errno))?;
            let checked = self.stream.check(self.at, &self.buffer[..len]);
            checked.map_err(|text| Fault::Corrupt(format!("by recv(MSG_PEEK): {text}")))?;
            if len < seen {
                let text = format!("MSG_PEEK gives {len} bytes after {seen}");
                return Err(Fault::Error(text));
            }
            seen = len;
        }
        let len = self.recv(seen.max(1), RecvFlags::empty(), "recv")?;
        if len < seen {
            return Err(Fault::Error(format!("recv gives {len} bytes after a peek of {seen}")));
        }
        Ok(len)
    }

    /// Less than all comes at the end of the stream only.
    fn wait_all(&mut self, max: usize) -> Result<usize, Fault> {
        let len = self.recv(max, RecvFlags::WAITALL, "recv(MSG_WAITALL)")?;
        if self.is_strict && len > 0 && len < max {
            let (more, _) = match recv(self.socket, &mut [0; 1], RecvFlags::PEEK) {
                Err(Errno::AGAIN) => {
                    let text = format!("waits in recv(MSG_WAITALL) at offset {}", self.at);
                    return Err(Fault::Stuck(text));
                }
                found => found.map_err(|errno| Fault::of("recv(MSG_PEEK)", self.at, errno))?,
            };
            if more > 0 {
                let text = format!("recv(MSG_WAITALL) of {max} bytes gives {len} before the end");
                return Err(Fault::Error(text));
            }
        }
        Ok(len)
    }

    fn queued(&mut self, max: usize) -> Result<usize, Fault> {
        let fault = |errno| Fault::of("poll before FIONREAD", self.at, errno);
        wait(self.socket, PollFlags::IN, self.limit).map_err(fault)?;
        let queued = ioctl_fionread(self.socket);
        let queued = queued.map_err(|errno| Fault::of("FIONREAD", self.at, errno))? as usize;
        if queued == 0 {
            let found = recv(self.socket, &mut [0; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
            return match found.map_err(|errno| Fault::of("recv after FIONREAD", self.at, errno))? {
                (0, _) => Ok(0),
                _ if !self.is_strict => self.recv(max, RecvFlags::empty(), "recv after FIONREAD"),
                _ => Err(Fault::Error("FIONREAD says 0, but there are bytes".into())),
            };
        }
        let want = queued.min(max);
        let len = self.recv(want, RecvFlags::empty(), "recv after FIONREAD")?;
        if self.is_strict && len != want {
            return Err(Fault::Error(format!(
                "FIONREAD says {queued}, recv of {want} gives {len}"
            )));
        }
        Ok(len)
    }

    fn edge_triggered(&mut self, max: usize) -> Result<usize, Fault> {
        loop {
            match recv(self.socket, &mut self.buffer[..max], RecvFlags::DONTWAIT) {
                Ok((len, _)) => return self.took(len, "recv(MSG_DONTWAIT)"),
                Err(Errno::AGAIN) => {}
                Err(errno) => return Err(Fault::of("recv(MSG_DONTWAIT)", self.at, errno)),
            }
            let waited = match &self.edges {
                Some(edges) => edges.wait(self.limit),
                None => Edges::new(self.socket, EventFlags::IN | EventFlags::RDHUP)
                    .map(|edges| self.edges = Some(edges)),
            };
            waited.map_err(|errno| Fault::of("epoll_wait(EPOLLIN)", self.at, errno))?;
        }
    }

    fn splice(&mut self, max: usize) -> Result<usize, Fault> {
        let fault = |call, at| move |errno| Fault::of(call, at, errno);
        if self.pipe.is_none() {
            self.pipe = Some(pipe().map_err(fault("pipe", self.at))?);
        }
        let (from, into) = self.pipe.as_ref().expect("made above");
        let moved = splice(self.socket, None, into, None, max, SpliceFlags::empty());
        let moved = moved.map_err(fault("splice from the socket", self.at))?;
        let mut len = 0;
        while len < moved {
            let found = read(from, &mut self.buffer[len..moved]);
            len += found.map_err(fault("read of a pipe", self.at))?;
        }
        self.took(len, "splice")
    }
}
