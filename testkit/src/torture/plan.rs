//! The shape of one connection: both ends draw it from the seed and the connection's number.

use std::time::Duration;

use super::rng::{Rng, mix};

/// How often a shape is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Up to 2,000 bytes at a time, no pauses: for many connections in a short time.
    Short,
    /// Everything.
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
    /// To a pipe.
    Splice,
    /// Sleeps before its first reads.
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

/// How one end uses its socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub(super) receive: Receive,
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
    pub(super) phases: Vec<Phase>,
    pub(super) extra: Extra,
    pub(super) finish: Finish,
}

impl Plan {
    pub(super) fn new(seed: u64, number: u64, mix_of: Mix) -> Self {
        let rng = &mut Rng::new(mix(seed, number));
        let (listener, family) = target(rng, mix_of);
        let sizes = Sizes::draw(rng, mix_of, listener);
        let phases = phases(rng, mix_of, &sizes);
        let finish = finish(rng, &sizes);
        let extra = if rng.is_one_of(60) { extra(rng, &sizes, finish) } else { Extra::None };
        let is_glued = rng.is_one_of(500);
        let (client, server) = (side(rng, &sizes), side(rng, &sizes));
        Self { listener, family, is_glued, client, server, phases, extra, finish }
    }

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
}

fn target(rng: &mut Rng, mix_of: Mix) -> (Listener, Family) {
    let listeners = match mix_of {
        Mix::Short => &[Listener::Dual, Listener::V4, Listener::V6, Listener::Greets][..],
        Mix::All => &Listener::ALL,
    };
    let listener = rng.pick(listeners);
    let family = match listener {
        Listener::V4 => rng.pick(&[Family::V4, Family::Mapped]),
        Listener::V6 => Family::V6,
        _ => rng.pick(&[Family::V4, Family::V6, Family::V6, Family::Mapped]),
    };
    (listener, family)
}

/// Bytes of a phase, at most, and buffers that suit them: large transfers through tiny buffers take minutes over plain
/// TCP, which waits for its persist timer.
struct Sizes {
    max: usize,
    has_small_buffers: bool,
    is_short: bool,
}

impl Sizes {
    fn draw(rng: &mut Rng, mix_of: Mix, listener: Listener) -> Self {
        let class = rng.within(0, 99);
        let max = match (mix_of, class) {
            (Mix::Short, _) => 2000,
            (_, 0..45) => 100,
            (_, 45..75) => 4500,
            (_, 75..91) => 64 << 10,
            (_, 91..98) => 256 << 10,
            _ => 1 << 20,
        };
        let has_small_buffers =
            mix_of == Mix::All && (listener == Listener::Small || rng.is_one_of(100));
        let max = if has_small_buffers { max.min(16 << 10) } else { max };
        Self { max, has_small_buffers, is_short: mix_of == Mix::Short }
    }

    fn size(&self, rng: &mut Rng) -> usize {
        rng.within(1, self.max)
    }
}

fn phases(rng: &mut Rng, mix_of: Mix, sizes: &Sizes) -> Vec<Phase> {
    // Each stream has room for one MiB, and for half of one after the phases.
    let most = ((1 << 20) / sizes.max).max(1);
    let count = match rng.within(0, 99) {
        0..5 if mix_of == Mix::All => rng.within(10, 60),
        _ => rng.within(0, 4),
    };
    let is_ping_pong = rng.is_one_of(300);
    let phase = |_| {
        let order = match is_ping_pong {
            true => Order::UpFirst,
            false => rng.pick(&[Order::UpFirst, Order::DownFirst, Order::Together]),
        };
        let pause = match rng.within(0, 9999) {
            _ if mix_of == Mix::Short => Duration::ZERO,
            0 => Duration::from_millis(700),
            1..1500 => Duration::from_micros(rng.within(50, 3000) as u64),
            _ => Duration::ZERO,
        };
        Phase { pause, order, up: sizes.size(rng), down: sizes.size(rng) }
    };
    (0..count.min(most)).map(phase).collect()
}

fn end(rng: &mut Rng) -> End {
    rng.pick(&[End::Client, End::Server])
}

fn extra(rng: &mut Rng, sizes: &Sizes, finish: Finish) -> Extra {
    let by = end(rng);
    let max = sizes.max.min(20_000);
    if rng.is_one_of(500) {
        let (before, after) = (rng.within(0, max), rng.within(1, max));
        // No urgent byte is read out of band after a reset.
        let is_reset = matches!(finish, Finish::Reset { .. } | Finish::Disconnect);
        return Extra::Urgent { by, before, after, inline: is_reset || rng.is_one_of(500) };
    }
    Extra::Crowd { by, threads: rng.within(2, 4), each: rng.within(1, max) }
}

fn finish(rng: &mut Rng, sizes: &Sizes) -> Finish {
    let by = end(rng);
    let max = sizes.max.min(200_000);
    match rng.within(0, 99) {
        0..35 => Finish::Close { by, tail: rng.within(0, max) },
        35..75 => Finish::Shut { by, answer: rng.within(0, max) },
        75..95 => Finish::Reset { by, sent: rng.within(0, max), back: rng.within(0, max) },
        _ => Finish::Disconnect,
    }
}

fn side(rng: &mut Rng, sizes: &Sizes) -> Side {
    // A megabyte byte by byte would take too many calls.
    let smallest = if sizes.max > 5000 { 900 } else { 1 };
    let piece = |rng: &mut Rng| rng.pick(&[smallest, 100.max(smallest), 1400, 9000, 65_536]);
    let receive = match rng.within(0, 13) {
        0..6 => Receive::Plain(piece(rng)),
        6 => Receive::Vectored,
        7 => Receive::Peek,
        8 => Receive::WaitAll,
        9 => Receive::Queued,
        10 | 11 => Receive::EdgeTriggered,
        12 => Receive::Splice,
        _ if sizes.is_short => Receive::Plain(300),
        _ => Receive::Slow,
    };
    let send = match rng.within(0, 12) {
        0..5 => Send::Plain(piece(rng)),
        5 => Send::Vectored,
        6 | 7 => Send::File,
        8 => Send::Splice,
        9 | 10 => Send::EdgeTriggered,
        11 => Send::More,
        _ => Send::Threads(rng.within(2, 3)),
    };
    let buffer = |rng: &mut Rng| {
        let is_small = sizes.has_small_buffers && rng.is_one_of(500);
        is_small.then(|| rng.pick(&[4096, 4096, 16_384]))
    };
    let receive_buffer = buffer(rng);
    let send_buffer = buffer(rng).map(|len| if len == 4096 { 1 } else { len });
    Side { receive, send, receive_buffer, send_buffer, nodelay: rng.is_one_of(500) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::bytes::STREAM_MAX;

    #[test]
    fn both_ends_draw_the_same_and_streams_have_room() {
        for number in 0..3000 {
            let plan = Plan::new(7, number, Mix::All);
            let again = Plan::new(7, number, Mix::All);
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
            let up: usize = plan.phases.iter().map(|phase| phase.up).sum();
            let down: usize = plan.phases.iter().map(|phase| phase.down).sum();
            // What the extra and the finish add at most.
            assert!(up.max(down) + 40_001 + 200_000 <= STREAM_MAX, "{plan:?}");
        }
    }
}
