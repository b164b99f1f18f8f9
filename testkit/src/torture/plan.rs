//! The shape of one connection: both ends draw it from the seed and the connection's number.

use std::time::Duration;

use super::rng::{Rng, mix};
use super::shape::{
    End, Extra, Family, Finish, Listener, Mix, Order, Phase, Plan, Receive, Send, Side, Wait,
};

impl Plan {
    pub(super) fn new(seed: u64, number: u64, mix_of: Mix) -> Self {
        let rng = &mut Rng::new(mix(seed, number));
        let (listener, family) = target(rng, mix_of);
        let sizes = Sizes::draw(rng, mix_of, listener);
        let phases = if sizes.is_lasting { lasting(rng, &sizes) } else { phases(rng, &sizes) };
        let finish = finish(rng, &sizes);
        let with_extra = if sizes.is_short { 15 } else { 60 };
        let extra =
            if rng.is_one_of(with_extra) { extra(rng, &sizes, finish) } else { Extra::None };
        let is_glued = rng.is_one_of(500);
        let mut side = || side(rng, &sizes, phases.len());
        let (client, server) = (side(), side());
        let has_signals = mix_of == Mix::All && rng.is_one_of(100);
        let signals = has_signals.then(|| end(rng));
        Self { listener, family, is_glued, client, server, signals, extra, finish, phases }
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
    /// Bytes of a call, at least: a megabyte byte by byte would take too many.
    smallest: usize,
    has_small_buffers: bool,
    is_short: bool,
    /// Has many phases.
    is_lasting: bool,
}

impl Sizes {
    fn draw(rng: &mut Rng, mix_of: Mix, listener: Listener) -> Self {
        let is_short = mix_of == Mix::Short;
        let is_lasting = !is_short && rng.is_one_of(650);
        let class = rng.within(0, 99);
        let max = match class {
            0..60 if is_short => 100,
            _ if is_short => 2000,
            0..15 if is_lasting => 100,
            15..45 if is_lasting => 4500,
            45..75 if is_lasting => 64 << 10,
            75..96 if is_lasting => 256 << 10,
            _ if is_lasting => 1 << 20,
            0..45 => 100,
            45..75 => 4500,
            75..91 => 64 << 10,
            91..98 => 256 << 10,
            _ => 1 << 20,
        };
        let has_small_buffers = !is_short && (listener == Listener::Small || rng.is_one_of(100));
        let max = if has_small_buffers { max.min(16 << 10) } else { max };
        let smallest = match max {
            4501.. => 900,
            101.. if is_short => 100,
            101.. if is_lasting => 10,
            _ => 1,
        };
        Self { max, smallest, has_small_buffers, is_short, is_lasting }
    }

    fn size(&self, rng: &mut Rng) -> usize {
        rng.within(1, self.max)
    }

    /// How many phases of a stream there may be: it has room for one MiB, and for half of one after the phases.
    fn count_max(&self) -> usize {
        ((1 << 20) / self.max).max(1)
    }
}

const ORDERS: [Order; 3] = [Order::UpFirst, Order::DownFirst, Order::Together];

fn phases(rng: &mut Rng, sizes: &Sizes) -> Vec<Phase> {
    let count = match rng.within(0, 99) {
        0..5 if !sizes.is_short => rng.within(10, 60),
        _ => rng.within(0, 4),
    };
    let is_ping_pong = rng.is_one_of(300);
    let phase = |_| {
        let order = if is_ping_pong { Order::UpFirst } else { rng.pick(&ORDERS) };
        let pause = match rng.within(0, 9999) {
            _ if sizes.is_short => Duration::ZERO,
            0 => Duration::from_millis(700),
            1..1500 => micros(rng, 50, 3000),
            _ => Duration::ZERO,
        };
        Phase { pause, order, up: sizes.size(rng), down: sizes.size(rng) }
    };
    (0..count.min(sizes.count_max())).map(phase).collect()
}

fn micros(rng: &mut Rng, low: usize, high: usize) -> Duration {
    Duration::from_micros(rng.within(low, high) as u64)
}

/// A life long enough to be cut through: dozens of small phases and some ms, then larger ones; in some connections
/// larger ones before, in half of them small and larger ones once more.
fn lasting(rng: &mut Rng, sizes: &Sizes) -> Vec<Phase> {
    let mut all = Vec::new();
    let mut left = sizes.count_max();
    if rng.is_one_of(200) {
        large_ones(rng, sizes, &mut all, &mut left, 2);
    }
    small_ones(rng, &mut all, 20, 60);
    large_ones(rng, sizes, &mut all, &mut left, 6);
    if rng.is_one_of(500) {
        small_ones(rng, &mut all, 4, 30);
        large_ones(rng, sizes, &mut all, &mut left, 6);
    }
    all
}

/// Bytes of a small phase, at most.
const SMALL_MAX: usize = 200;

fn small_ones(rng: &mut Rng, all: &mut Vec<Phase>, low: usize, high: usize) {
    let count = rng.within(low, high);
    let orders = match rng.within(0, 3) {
        0 | 1 => &ORDERS[..1],
        2 => &ORDERS[1..2],
        _ => &ORDERS,
    };
    let first = all.len();
    all.extend((0..count).map(|_| Phase {
        pause: Duration::ZERO,
        order: rng.pick(orders),
        up: rng.within(1, SMALL_MAX),
        down: rng.within(1, SMALL_MAX),
    }));
    for _ in 0..rng.within(1, 4) {
        let at = first + rng.within(0, count - 1);
        all[at].pause = micros(rng, 500, 9000);
    }
}

fn large_ones(
    rng: &mut Rng,
    sizes: &Sizes,
    all: &mut Vec<Phase>,
    left: &mut usize,
    count_max: usize,
) {
    let count = rng.within(1, count_max).min(*left);
    *left -= count;
    all.extend((0..count).map(|_| {
        let pause = if rng.is_one_of(200) { micros(rng, 50, 4000) } else { Duration::ZERO };
        Phase { pause, order: rng.pick(&ORDERS), up: sizes.size(rng), down: sizes.size(rng) }
    }));
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

/// Bytes of a call.
fn piece(rng: &mut Rng, sizes: &Sizes) -> usize {
    let smallest = sizes.smallest;
    rng.pick(&[smallest, 100.max(smallest), 1400, 9000, 65_536])
}

/// How an end reads and waits.
fn reader(rng: &mut Rng, sizes: &Sizes) -> (Receive, Wait) {
    let receive = match rng.within(0, 16) {
        0..6 => Receive::Plain(piece(rng, sizes)),
        6 => Receive::Vectored,
        7 => Receive::Peek,
        8 => Receive::WaitAll,
        9 => Receive::Queued,
        10 => Receive::EdgeTriggered,
        11 | 12 => Receive::EdgeShort,
        13 | 14 => Receive::EdgeQueued,
        15 => Receive::Splice,
        _ if sizes.is_short => Receive::Plain(300),
        _ => Receive::Slow,
    };
    let may_block = !matches!(receive, Receive::EdgeShort | Receive::EdgeQueued);
    let blocks = rng.is_one_of(300) && may_block;
    let wait = if blocks { Wait::Block } else { rng.pick(&[Wait::Poll, Wait::Level, Wait::Edge]) };
    (receive, wait)
}

fn side(rng: &mut Rng, sizes: &Sizes, phases: usize) -> Side {
    let (receive, wait) = reader(rng, sizes);
    let turns = sizes.is_lasting && rng.is_one_of(200);
    let turn = turns.then(|| {
        let (receive, wait) = reader(rng, sizes);
        // Nobody sees that a program begins to splice.
        let receive = if receive == Receive::Splice { Receive::Plain(1400) } else { receive };
        (rng.within(0, phases), receive, wait)
    });
    let send = match rng.within(0, 12) {
        0..5 => Send::Plain(piece(rng, sizes)),
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
    // Without it each phase of several calls may wait 40 ms for a delayed acknowledgement.
    let nodelay = rng.is_one_of(if sizes.is_lasting || sizes.is_short { 950 } else { 500 });
    Side { receive, wait, turn, send, receive_buffer, send_buffer, nodelay }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torture::bytes::STREAM_MAX;

    #[test]
    fn both_ends_draw_the_same_and_streams_have_room() {
        let mut lasting = 0;
        for number in 0..3000 {
            let plan = Plan::new(7, number, Mix::All);
            let again = Plan::new(7, number, Mix::All);
            assert_eq!(format!("{plan:?}"), format!("{again:?}"));
            let up: usize = plan.phases.iter().map(|phase| phase.up).sum();
            let down: usize = plan.phases.iter().map(|phase| phase.down).sum();
            // What the extra and the finish add at most.
            assert!(up.max(down) + 40_001 + 200_000 <= STREAM_MAX, "{plan:?}");
            let pauses: Duration = plan.phases.iter().map(|phase| phase.pause).sum();
            lasting += u32::from(plan.phases.len() > 20 && pauses > Duration::from_millis(3));
        }
        assert!(lasting > 1500, "{lasting} of 3,000 connections last");
    }
}
