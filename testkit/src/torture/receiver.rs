//! The reading half of an end: reads as its plan says, and compares each byte.

use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::{Errno, ioctl_fionread, read, readv};
use rustix::net::{RecvFlags, recv};
use rustix::pipe::{SpliceFlags, pipe, splice};

use super::bytes::Stream;
use super::edge::{EdgeReader, Rule};
use super::fault::Fault;
use super::ready::{For, Ready, wait};
use super::shape::{Receive, Side, Wait};
use super::waits::Waits;

const BUFFER_LEN: usize = 65_536;

/// Reads of a slow reader, of which it sleeps before one.
const SLOW_EVERY: u32 = 12;
const SLOW_SLEEP: Duration = Duration::from_micros(900);

/// How long a socket that was made to block may say `EAGAIN`, where the run is not strict.
const EXCUSED: Duration = Duration::from_secs(2);

/// Reads one direction of a connection.
#[derive(Debug)]
pub(super) struct Receiver<'a> {
    socket: &'a OwnedFd,
    stream: Stream<'a>,
    at: usize,
    how: Receive,
    ready: Ready,
    edge: EdgeReader,
    limit: Duration,
    is_strict: bool,
    /// Where waits are counted, and for which connection.
    waits: Option<(&'a Waits, u64)>,
    buffer: Vec<u8>,
    reads: u32,
    /// When it has begun to read in another way, or a connection after another.
    turned_at: Option<Instant>,
    pipe: Option<(OwnedFd, OwnedFd)>,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(
        socket: &'a OwnedFd,
        stream: Stream<'a>,
        side: Side,
        limit: Duration,
    ) -> Self {
        let mut this = Self {
            socket,
            stream,
            at: 0,
            how: side.receive,
            ready: Ready::new(side.wait, For::Reading),
            edge: EdgeReader::new(Rule::Short),
            limit,
            is_strict: true,
            waits: None,
            buffer: Vec::new(),
            reads: 0,
            turned_at: None,
            pipe: None,
        };
        this.turn(side.receive, side.wait);
        this.turned_at = None;
        this
    }

    /// Reads and waits in another way from now on.
    pub(super) fn turn(&mut self, how: Receive, wait: Wait) {
        let wait = if how == Receive::EdgeTriggered { Wait::Edge } else { wait };
        let rule = if how == Receive::EdgeQueued { Rule::Queued } else { Rule::Short };
        self.how = how;
        self.ready = Ready::new(wait, For::Reading);
        self.edge = EdgeReader::new(rule);
        self.turned_at = Some(Instant::now());
    }

    /// Its socket has had another connection, and may be joined for that still.
    pub(super) fn of_reused(mut self, is_reused: bool) -> Self {
        self.turned_at = is_reused.then(Instant::now);
        self
    }

    /// Counts its waits for a connection.
    pub(super) fn with_waits(mut self, waits: &'a Waits, number: u64) -> Self {
        self.waits = Some((waits, number));
        self
    }

    /// Whether `FIONREAD` may say nothing, and `MSG_WAITALL` give less than there will be.
    pub(super) fn with_strictness(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }

    /// Reads by plain `recv` from now on, and waits by `poll` where it does not block.
    pub(super) fn be_plain(&mut self) {
        self.how = Receive::Plain(4096);
        if !self.ready.blocks() {
            self.ready = Ready::new(Wait::Poll, For::Reading);
        }
    }

    /// Reads so many bytes.
    pub(super) fn exact(&mut self, count: usize) -> Result<(), Fault> {
        let end = self.at + count;
        while self.at < end {
            if self.timed(end - self.at)? == 0 {
                let at = self.at;
                return Err(Fault::Short(format!("the end at offset {at}, not {end}")));
            }
        }
        Ok(())
    }

    /// Reads the end of the stream.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        let at = self.at;
        match self.timed(64)? {
            0 => Ok(()),
            len => {
                let text = format!("{len} bytes that follow in the stream after the end at {at}");
                Err(Fault::Corrupt(text))
            }
        }
    }

    /// Counts how long a read waits, and says whether it was stuck.
    fn timed(&mut self, max: usize) -> Result<usize, Fault> {
        let start = Instant::now();
        let found = self.some(max);
        if let Some((waits, number)) = self.waits {
            waits.add(start.elapsed(), number);
        }
        match found {
            Err(Fault::Stuck(_)) if self.is_excused(start) => self.timed(max),
            Err(fault) => Err(self.seen(fault.timed(start, self.limit))),
            found => found,
        }
    }

    /// Until when `EAGAIN` is no fault: a joined socket that was made to block, or has another connection, may say it until
    /// it is a plain one (docs/cut-through.md).
    pub(super) fn excused_until(&self) -> Option<Instant> {
        let turned_at = self.turned_at.filter(|_| !self.is_strict && self.ready.blocks());
        turned_at.map(|at| at + EXCUSED)
    }

    fn is_excused(&self, start: Instant) -> bool {
        let is_new = self.excused_until().is_some_and(|until| Instant::now() < until);
        is_new && start.elapsed() < self.limit / 2
    }

    /// A fault that is stuck, with what the socket has.
    fn seen(&self, fault: Fault) -> Fault {
        let Fault::Stuck(text) = fault else { return fault };
        let queued = ioctl_fionread(self.socket);
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        let peeked = recv(self.socket, &mut [0; 4096], flags).map(|(len, _)| len);
        let text = format!("{text}; FIONREAD {queued:?}, peek {peeked:?}");
        if peeked == Err(Errno::AGAIN) { Fault::Silent(text) } else { Fault::Stuck(text) }
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
        let max = match self.how {
            Receive::Plain(size) => max.min(size),
            Receive::Slow => max.min(3000),
            _ => max.min(BUFFER_LEN),
        };
        if self.buffer.len() < max {
            self.buffer.resize(max, 0);
        }
        match self.how {
            Receive::Plain(_) => self.recv(max, RecvFlags::empty(), "recv"),
            Receive::Slow => {
                if self.reads.is_multiple_of(SLOW_EVERY) {
                    std::thread::sleep(SLOW_SLEEP);
                }
                self.recv(max, RecvFlags::empty(), "recv")
            }
            Receive::Vectored => self.vectored(max),
            Receive::Peek => self.peek(max),
            Receive::WaitAll => self.wait_all(max),
            Receive::Queued => self.queued(max),
            Receive::EdgeTriggered => self.recv(max, RecvFlags::DONTWAIT, "recv(MSG_DONTWAIT)"),
            Receive::EdgeShort | Receive::EdgeQueued => self.edge(max),
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
        let (socket, buffer) = (self.socket, &mut self.buffer[..max]);
        let found = self.ready.until(socket, self.limit, || recv(socket, &mut *buffer, flags));
        let (len, _) = found.map_err(|errno| Fault::of(call, self.at, errno))?;
        self.took(len, call)
    }

    fn vectored(&mut self, max: usize) -> Result<usize, Fault> {
        let (socket, buffer) = (self.socket, &mut self.buffer[..max]);
        let found = self.ready.until(socket, self.limit, || {
            let (first, rest) = buffer.split_at_mut(max / 3);
            let (second, third) = rest.split_at_mut(max / 3);
            readv(socket, &mut [first, second, third].map(IoSliceMut::new))
        });
        let len = found.map_err(|errno| Fault::of("readv", self.at, errno))?;
        self.took(len, "readv")
    }

    /// Peeks twice, with different lengths, and reads what it has seen.
    fn peek(&mut self, max: usize) -> Result<usize, Fault> {
        let (socket, mut seen) = (self.socket, 0);
        for len in [max.div_ceil(2), max] {
            let buffer = &mut self.buffer[..len];
            let mut call = || recv(socket, &mut *buffer, RecvFlags::PEEK);
            // The second one does not wait.
            let found = match seen {
                0 => self.ready.until(socket, self.limit, call),
                _ => call(),
            };
            let (len, _) = found.map_err(|errno| Fault::of("recv(MSG_PEEK)", self.at, errno))?;
            let checked = self.stream.check(self.at, &self.buffer[..len]);
            checked.map_err(|text| Fault::Corrupt(format!("by recv(MSG_PEEK): {text}")))?;
            if len < seen {
                let text = format!("MSG_PEEK gives {len} bytes after {seen}");
                return Err(Fault::Error(text));
            }
            seen = len;
        }
        let found = recv(socket, &mut self.buffer[..seen.max(1)], RecvFlags::empty());
        let (len, _) = found.map_err(|errno| Fault::of("recv after a peek", self.at, errno))?;
        if len < seen {
            return Err(Fault::Error(format!("recv gives {len} bytes after a peek of {seen}")));
        }
        self.took(len, "recv")
    }

    /// Where the socket blocks, less than all comes at the end of the stream only.
    fn wait_all(&mut self, max: usize) -> Result<usize, Fault> {
        let len = self.recv(max, RecvFlags::WAITALL, "recv(MSG_WAITALL)")?;
        if self.is_strict && self.ready.blocks() && len > 0 && len < max {
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
        let found = recv(self.socket, &mut self.buffer[..want], RecvFlags::empty());
        let (len, _) = found.map_err(|errno| Fault::of("recv after FIONREAD", self.at, errno))?;
        if self.is_strict && len != want {
            return Err(Fault::Error(format!(
                "FIONREAD says {queued}, recv of {want} gives {len}"
            )));
        }
        self.took(len, "recv after FIONREAD")
    }

    fn edge(&mut self, max: usize) -> Result<usize, Fault> {
        let found = self.edge.read(self.socket, &mut self.buffer[..max], self.limit);
        let len = found.map_err(|errno| Fault::of("recv after an edge", self.at, errno))?;
        self.took(len, "recv after an edge")
    }

    fn splice(&mut self, max: usize) -> Result<usize, Fault> {
        let fault = |call, at| move |errno| Fault::of(call, at, errno);
        if self.pipe.is_none() {
            self.pipe = Some(pipe().map_err(fault("pipe", self.at))?);
        }
        let (from, into) = self.pipe.as_ref().expect("made above");
        let socket = self.socket;
        let moved = self.ready.until(socket, self.limit, || {
            splice(socket, None, into, None, max, SpliceFlags::empty())
        });
        let moved = moved.map_err(fault("splice from the socket", self.at))?;
        let mut len = 0;
        while len < moved {
            let found = read(from, &mut self.buffer[len..moved]);
            len += found.map_err(fault("read of a pipe", self.at))?;
        }
        self.took(len, "splice")
    }
}
