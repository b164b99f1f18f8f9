//! What the shape of one connection is made of.

use std::time::Duration;

/// How often a shape is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Up to 2,000 bytes at a time, no pauses: for many connections in a short time.
    Short,
    /// Everything. Most connections have dozens of small requests and answers before larger ones, and last some ms.
    All,
}

/// Where the client connects to: each is a port of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// Of both families: IPv4 clients are v4-mapped.
    Dual,
    V4,
    V6,
    /// Its connections have small receive buffers from the handshake on.
    Small,
    /// Accepts late: the client's first bytes are there before.
    Late,
    /// The server sends first, before it knows which connection it is.
    Greets,
}

impl Listener {
    pub(super) const ALL: [Self; 6] =
        [Self::Dual, Self::V4, Self::V6, Self::Small, Self::Late, Self::Greets];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    /// An IPv6 socket that connects to a v4-mapped address.
    Mapped,
}

/// How an end reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receive {
    /// `recv` of so many bytes.
    Plain(usize),
    /// `readv` with three buffers.
    Vectored,
    /// `MSG_PEEK` before each read.
    Peek,
    /// `MSG_WAITALL`.
    WaitAll,
    /// As many bytes as `FIONREAD` says.
    Queued,
    /// `MSG_DONTWAIT` until nothing is left, then edge-triggered epoll.
    EdgeTriggered,
    /// Edge-triggered epoll; less than asked for means that nothing is left (epoll(7)), as in tokio.
    EdgeShort,
    /// Edge-triggered epoll; after a read that filled its buffer `FIONREAD` tells what is left, as in nginx.
    EdgeQueued,
    /// To a pipe.
    Splice,
    /// Sleeps before some of its reads.
    Slow,
}

/// How an end writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Send {
    /// `send` of so many bytes.
    Plain(usize),
    /// `writev` of three buffers.
    Vectored,
    /// `sendfile`.
    File,
    /// From a pipe.
    Splice,
    /// `MSG_DONTWAIT` until the buffer is full, then edge-triggered epoll.
    EdgeTriggered,
    /// `MSG_MORE` on all pieces but the last.
    More,
    /// So many threads in turn.
    Threads(usize),
}

/// Whether the calls of an end block, and how it waits after `EAGAIN` where they do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    Block,
    Poll,
    /// Level-triggered epoll.
    Level,
    /// Edge-triggered epoll.
    Edge,
}

/// How one end uses its socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) receive: Receive,
    pub(super) wait: Wait,
    /// Reads and waits in another way from this phase on.
    pub(super) turn: Option<(usize, Receive, Wait)>,
    pub(super) send: Send,
    pub(super) receive_buffer: Option<usize>,
    pub(super) send_buffer: Option<usize>,
    pub(super) nodelay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    UpFirst,
    DownFirst,
    Together,
}

/// Whether ends of a run are killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deaths {
    None,
    /// Some of them, which are started again.
    Many,
    /// The server, once.
    Last,
}

/// Bytes in both directions: up is from the client to the server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phase {
    pub(super) pause: Duration,
    pub(super) order: Order,
    pub(super) up: usize,
    pub(super) down: usize,
}

/// Once in a connection, after its phases.
#[derive(Clone, Copy, Debug)]
pub(super) enum Extra {
    None,
    /// One byte between others is urgent; in line or out of band.
    Urgent {
        by: End,
        before: usize,
        after: usize,
        inline: bool,
    },
    /// Threads that send at the same time, without a lock.
    Crowd {
        by: End,
        threads: usize,
        each: usize,
    },
}

/// How the connection ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Finish {
    /// One end sends and closes at once.
    Close { by: End, tail: usize },
    /// One end shuts down its direction, the other answers and closes at once.
    Shut { by: End, answer: usize },
    /// One end sends and resets the connection (`SO_LINGER` 0) while the other one may send.
    Reset { by: End, sent: usize, back: usize },
    /// The client disconnects by `connect(AF_UNSPEC)`, and uses the socket for its next connection.
    Disconnect,
}

/// The shape of one connection.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) listener: Listener,
    pub(super) family: Family,
    /// The header goes with the first bytes, by `MSG_MORE`.
    pub(super) is_glued: bool,
    pub(super) client: Side,
    pub(super) server: Side,
    /// An end whose thread gets signals.
    pub(super) signals: Option<End>,
    pub(super) extra: Extra,
    pub(super) finish: Finish,
    /// The last field, since lines of faults are cut.
    pub(super) phases: Vec<Phase>,
}

impl Plan {
    /// Whether the connection ends with a reset by the other end.
    pub(super) fn is_reset_by_other(&self, own: End) -> bool {
        match self.finish {
            Finish::Reset { by, .. } => by != own,
            Finish::Disconnect => own == End::Server,
            Finish::Close { .. } | Finish::Shut { .. } => false,
        }
    }

    pub(super) fn side(&self, end: End) -> Side {
        match end {
            End::Client => self.client,
            End::Server => self.server,
        }
    }

    /// Whether a buffer is smaller than the default.
    pub(super) fn has_small_buffers(&self) -> bool {
        let is_small = |side: Side| side.receive_buffer.is_some() || side.send_buffer.is_some();
        self.listener == Listener::Small || is_small(self.client) || is_small(self.server)
    }
}
