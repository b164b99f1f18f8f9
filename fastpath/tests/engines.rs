//! What every engine promises, against the kernel: frames in order, buffers back, ports that close,
//! wakers that wake. A port is one end of a pair of datagram sockets, which keeps frames apart as a
//! TAP does; TAPs themselves are in the end-to-end tests.

use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use vswitch_fastpath::engine::epoll::EpollEngine;
use vswitch_fastpath::engine::uring::UringEngine;
use vswitch_fastpath::limits::{POOL_FRAMES, VNET_LEN};
use vswitch_fastpath::{
    Engine, EngineEvent, Pool, PortIndex, PortQueue, Received, TxDrop, Wait, Waker,
};

const A: PortIndex = PortIndex(3);
const B: PortIndex = PortIndex(7);
const FRAMES: u32 = 500;

struct Rig {
    engine: Box<dyn Engine>,
    pool: Pool,
    waker: Waker,
    received: Vec<Received>,
}

fn rigs() -> [(&'static str, Rig); 2] {
    let rig = |build: fn(&Pool, Waker) -> Box<dyn Engine>| {
        let pool = Pool::new(POOL_FRAMES).expect("memory");
        let waker = Waker::new().expect("an eventfd");
        Rig { engine: build(&pool, waker.clone()), pool, waker, received: Vec::new() }
    };
    let uring = rig(|pool, waker| Box::new(UringEngine::new(pool, waker).expect("io_uring")));
    let epoll = rig(|_, waker| Box::new(EpollEngine::new(waker).expect("epoll")));
    [("io_uring", uring), ("epoll", epoll)]
}

impl Rig {
    /// A port, and the far end of it.
    fn attach(&mut self, port: PortIndex) -> OwnedFd {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (near, far) =
            socketpair(AddressFamily::UNIX, SocketType::DGRAM, flags, None).expect("sockets");
        self.engine.attach(port, PortQueue::Tap(near)).expect("the slot is free");
        far
    }

    fn round(&mut self, wait: Wait) {
        self.engine.round(&mut self.pool, wait, &mut self.received).expect("the engine works");
    }

    /// Rounds until `done`, for at most five seconds.
    fn until(&mut self, name: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let start = now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(5), "{name}: nothing happens");
            self.round(Wait::For(Duration::from_millis(20)));
        }
    }

    fn release_all(&mut self) {
        for Received { frame, .. } in self.received.drain(..) {
            self.pool.release(frame);
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn now() -> Instant {
    Instant::now()
}

/// An offload header of zeros and a number.
fn numbered(number: u32) -> Vec<u8> {
    let mut bytes = vec![0; VNET_LEN];
    bytes.extend(number.to_be_bytes());
    bytes
}

fn write_retrying(fd: impl AsFd, bytes: &[u8]) {
    while let Err(error) = rustix::io::write(&fd, bytes) {
        assert_eq!(error, rustix::io::Errno::AGAIN);
        thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn frames_come_in_order_and_whole() {
    for (name, mut rig) in rigs() {
        let far = rig.attach(A);
        let writer = thread::spawn(move || {
            for number in 0..FRAMES {
                write_retrying(&far, &numbered(number));
            }
            far
        });
        rig.until(name, |rig| rig.received.len() == FRAMES as usize);
        for (number, received) in rig.received.iter().enumerate() {
            assert_eq!(received.port, A, "{name}");
            assert_eq!(rig.pool.bytes(&received.frame), numbered(number as u32), "{name}");
        }
        rig.release_all();
        assert_eq!(rig.engine.port_io(A).traffic.rx_frames, u64::from(FRAMES), "{name}");
        assert_eq!(rig.pool.available(), rig.pool.capacity(), "{name}");
        drop(writer.join());
    }
}

#[test]
fn frames_leave_in_order_and_a_flood_shares_its_buffer() {
    for (name, mut rig) in rigs() {
        let fars = [(A, rig.attach(A)), (B, rig.attach(B))];
        for number in 0..8 {
            let frame = rig.pool.alloc_with(&number_bytes(number)).expect("a buffer");
            let copy = rig.pool.share(&frame).expect("a holder");
            rig.engine.send(&mut rig.pool, A, copy);
            rig.engine.send(&mut rig.pool, B, frame);
        }
        rig.until(name, |rig| rig.engine.writes_in_flight() == 0);
        for (port, far) in fars {
            for number in 0..8 {
                let mut buffer = [0; 64];
                let len = rustix::io::read(&far, &mut buffer).expect("it was written");
                assert_eq!(buffer[..len], numbered(number), "{name}");
            }
            assert_eq!(rig.engine.port_io(port).traffic.tx_frames, 8, "{name}");
        }
        assert_eq!(rig.pool.available(), rig.pool.capacity(), "{name}");
    }
}

fn number_bytes(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

#[test]
fn a_full_receiver_is_a_counted_drop() {
    for (name, mut rig) in rigs() {
        let _far = rig.attach(A);
        for number in 0..FRAMES {
            let frame = rig.pool.alloc_with(&number_bytes(number)).expect("a buffer");
            rig.engine.send(&mut rig.pool, A, frame);
            // A write that is made to wait in the kernel would be cancelled at detach.
            rig.round(Wait::No);
        }
        rig.engine.detach(A);
        let mut events = Vec::new();
        rig.until(name, |rig| {
            events.extend(rig.engine.next_event());
            events.contains(&EngineEvent::Detached(A))
        });
        let io = rig.engine.port_io(A);
        let drops: u64 = io.tx_drops.iter().sum();
        assert!(io.traffic.tx_frames > 0 && drops > 0, "{name}: {io:?}");
        assert_eq!(io.traffic.tx_frames + drops, u64::from(FRAMES), "{name}: {io:?}");
        assert_eq!(rig.pool.available(), rig.pool.capacity(), "{name}");
    }
}

#[test]
fn a_detached_port_is_closed_and_its_slot_free() {
    for (name, mut rig) in rigs() {
        let far = rig.attach(A);
        rig.round(Wait::No);
        rig.engine.detach(A);
        rig.until(name, |rig| rig.engine.next_event() == Some(EngineEvent::Detached(A)));
        let frame = rig.pool.alloc_with(&number_bytes(1)).expect("a buffer");
        rig.engine.send(&mut rig.pool, A, frame);
        assert_eq!(rig.engine.port_io(A).tx_drops[TxDrop::Gone as usize], 1, "{name}");
        assert!(rustix::io::write(&far, b"anybody there").is_ok(), "{name}: not ours to close");
        drop(rig.engine.take_closed(A).expect("the descriptor"));
        let refused = rustix::io::write(&far, b"anybody there");
        assert_eq!(refused, Err(rustix::io::Errno::CONNREFUSED), "{name}: something holds it");
        let again = rig.attach(A);
        write_retrying(&again, &numbered(5));
        rig.until(name, |rig| rig.received.len() == 1);
        rig.release_all();
    }
}

/// Nine ports that always have more than a round can take: each is read as often as any other.
#[test]
fn no_port_starves() {
    const PORTS: u16 = 12;
    for (name, mut rig) in rigs() {
        let fars: Vec<_> = (0..PORTS).map(|port| rig.attach(PortIndex(port))).collect();
        for _ in 0..300 {
            for far in &fars {
                while rustix::io::write(far, &numbered(1)).is_ok() {}
            }
            rig.round(Wait::No);
            rig.release_all();
        }
        let counts: Vec<u64> =
            (0..PORTS).map(|port| rig.engine.port_io(PortIndex(port)).traffic.rx_frames).collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        assert!(least.zip(most).is_some_and(|(l, m)| l * 2 > *m), "{name}: {counts:?}");
    }
}

#[test]
#[should_panic(expected = "memory of one pool")]
fn a_ring_refuses_another_pool() {
    let [(_, mut rig), _] = rigs();
    let _far = rig.attach(A);
    let mut other = Pool::new(4).expect("memory");
    let frame = other.alloc_with(&number_bytes(1)).expect("a buffer");
    rig.engine.send(&mut other, A, frame);
}

#[test]
fn the_bell_wakes_a_sleeping_engine() {
    for (name, mut rig) in rigs() {
        let _far = rig.attach(A);
        rig.round(Wait::No);
        let waker = rig.waker.clone();
        let ringer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            waker.wake();
        });
        let start = now();
        let woken = (0..100).any(|_| {
            rig.round(Wait::For(Duration::from_secs(5)));
            rig.engine.next_event() == Some(EngineEvent::Woken)
        });
        assert!(woken && start.elapsed() < Duration::from_secs(4), "{name}");
        ringer.join().expect("no panic");
    }
}

#[test]
fn a_quiet_engine_sleeps_and_a_frame_wakes_it() {
    for (name, mut rig) in rigs() {
        let far = rig.attach(A);
        rig.engine.set_spin_rounds(0);
        for _ in 0..5 {
            rig.round(Wait::For(Duration::from_millis(1)));
        }
        let before = rig.engine.stats().sleeps;
        let writer = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            write_retrying(&far, &numbered(1));
            far
        });
        rig.until(name, |rig| !rig.received.is_empty());
        assert!(rig.engine.stats().sleeps > before, "{name}");
        rig.release_all();
        drop(writer.join());
    }
}

/// A port that may have no more frames read is left alone, also by a sleeping engine, until it may.
#[test]
fn a_bounded_port_rests() {
    for (name, mut rig) in rigs() {
        let far = rig.attach(A);
        for number in 0..10 {
            write_retrying(&far, &numbered(number));
        }
        rig.engine.set_spin_rounds(0);
        rig.engine.set_rx_budget(A, Some(4));
        let before = rig.engine.stats().sleeps;
        let mut frames = 0;
        for _ in 0..20 {
            rig.round(Wait::For(Duration::from_millis(1)));
            frames += rig.received.len();
            rig.release_all();
        }
        assert_eq!(frames, 4, "{name}");
        assert_eq!(rig.engine.active(), [A], "{name}");
        assert!(rig.engine.stats().sleeps >= before + 10, "{name}: it spins");
        rig.engine.set_rx_budget(A, None);
        rig.until(name, |rig| rig.received.len() == 6);
        rig.release_all();
    }
}

/// Writes of the round before go with the wait, and do not hide a frame from it.
#[test]
fn without_spin_rounds_a_frame_ends_the_wait_and_writes_do_not() {
    let limit = Duration::from_secs(5);
    for (name, mut rig) in rigs() {
        let (far_a, far_b) = (rig.attach(A), rig.attach(B));
        rig.engine.set_spin_rounds(0);
        for _ in 0..5 {
            rig.round(Wait::For(Duration::from_millis(1)));
        }
        for number in 0..60 {
            for _ in 0..3 {
                let frame = rig.pool.alloc_with(&[7; 60]).expect("a buffer");
                rig.engine.send(&mut rig.pool, B, frame);
            }
            // The frame is there before the wait, comes about when it begins, or while it lasts.
            let far = far_a.try_clone().expect("a descriptor");
            let pause = Duration::from_micros([0, 50, 2_000][number as usize % 3]);
            let writer = thread::spawn(move || {
                thread::sleep(pause);
                write_retrying(far, &numbered(number));
            });
            let start = now();
            while rig.received.is_empty() {
                rig.round(Wait::For(limit));
            }
            assert!(start.elapsed() < limit / 2, "{name}: frame {number} waited");
            rig.release_all();
            writer.join().expect("no panic");
            for _ in 0..3 {
                let mut bytes = [0; 128];
                assert!(rustix::io::read(&far_b, &mut bytes).is_ok(), "{name}: it was written");
            }
        }
        let sleeps = rig.engine.stats().sleeps;
        let frame = rig.pool.alloc_with(&[7; 60]).expect("a buffer");
        rig.engine.send(&mut rig.pool, B, frame);
        let start = now();
        rig.round(Wait::For(Duration::from_millis(60)));
        assert!(start.elapsed() > Duration::from_millis(40), "{name}: the write ended the wait");
        assert_eq!(rig.engine.stats().sleeps, sleeps + 1, "{name}");
        assert_eq!(rig.pool.available(), rig.pool.capacity(), "{name}");
    }
}
