//! Ports of datagrams against the kernel, over loopback.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use vswitch_fastpath::datagram::{Header, LEN};
use vswitch_fastpath::engine::epoll::EpollEngine;
use vswitch_fastpath::engine::uring::UringEngine;
use vswitch_fastpath::limits::POOL_FRAMES;
use vswitch_fastpath::udp::{UdpConf, UdpTunnel};
use vswitch_fastpath::{
    Engine, EngineEvent, Frame, Pool, PortIndex, PortQueue, Received, TxDrop, Wait, Waker,
};

const A: PortIndex = PortIndex(3);
const B: PortIndex = PortIndex(7);
const LOCALS: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

struct Rig {
    name: String,
    engine: Box<dyn Engine>,
    pool: Pool,
    received: Vec<Received>,
}

/// Both engines on both families, and the address of the far end.
fn rigs() -> Vec<(Rig, UdpSocket)> {
    let rig = |name: &str, local: &str, build: fn(&Pool, Waker) -> Box<dyn Engine>| {
        let pool = Pool::new(POOL_FRAMES).expect("memory");
        let waker = Waker::new().expect("an eventfd");
        let far = UdpSocket::bind(local).expect("loopback");
        far.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let name = format!("{name}, {local}");
        let engine = build(&pool, waker);
        (Rig { name, engine, pool, received: Vec::new() }, far)
    };
    let uring = |pool: &Pool, waker| -> Box<dyn Engine> {
        Box::new(UringEngine::new(pool, waker).expect("io_uring"))
    };
    let epoll =
        |_: &Pool, waker| -> Box<dyn Engine> { Box::new(EpollEngine::new(waker).expect("epoll")) };
    let of = |local| [rig("io_uring", local, uring), rig("epoll", local, epoll)];
    LOCALS.into_iter().flat_map(of).collect()
}

fn conf(local: SocketAddr) -> UdpConf<'static> {
    UdpConf { local, device: None, workers: 1, senders: 4, checksum: true }
}

#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
fn now() -> Instant {
    Instant::now()
}

impl Rig {
    /// Attaches a tunnel's port on a free port of this address; returns where it receives.
    fn attach(&mut self, port: PortIndex, conf: UdpConf<'_>) -> SocketAddr {
        let local = SocketAddr::new(conf.local.ip(), 0);
        let mut tunnel = UdpTunnel::open(&UdpConf { local, ..conf }).expect("loopback");
        let queue = tunnel.queues.pop().expect("one worker");
        self.engine.attach(port, PortQueue::Datagrams(queue)).expect("the slot is free");
        tunnel.local
    }

    fn frame(&mut self, header: Header, payload: &[u8]) -> Frame {
        let mut frame = self.pool.alloc().expect("a buffer");
        frame.set_len(LEN + payload.len());
        let bytes = self.pool.bytes_mut(&frame).expect("one holder");
        assert!(header.write(bytes));
        bytes[LEN..].copy_from_slice(payload);
        frame
    }

    fn send(&mut self, port: PortIndex, header: Header, payload: &[u8]) {
        let frame = self.frame(header, payload);
        self.engine.send(&mut self.pool, port, frame);
    }

    fn round(&mut self, wait: Wait) {
        self.engine.round(&mut self.pool, wait, &mut self.received).expect("the engine works");
    }

    /// Rounds until `done`, for at most five seconds.
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let start = now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(5), "{}: nothing happens", self.name);
            self.round(Wait::For(Duration::from_millis(20)));
        }
    }

    /// Takes what was received: headers and payloads.
    fn take(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut taken = Vec::new();
        for Received { frame, .. } in self.received.drain(..) {
            let bytes = self.pool.bytes(&frame);
            taken.push((Header::read(bytes).expect("a header"), bytes[LEN..].to_vec()));
            self.pool.release(frame);
        }
        taken
    }

    fn assert_clean(&self) {
        assert_eq!(self.pool.available(), self.pool.capacity(), "{}", self.name);
        assert_eq!(self.engine.writes_in_flight(), 0, "{}", self.name);
    }
}

fn header(peer: SocketAddr, segment: u16, socket: u16) -> Header {
    Header { peer, segment, socket }
}

#[test]
fn datagrams_come_with_their_source_and_leave_for_their_peer() {
    for (mut rig, far) in rigs() {
        let there = far.local_addr().expect("bound");
        let here = rig.attach(A, conf(there));
        for number in 0..40_u8 {
            far.send_to(&[number; 60], here).expect("loopback");
        }
        let mut got = Vec::new();
        rig.until(|rig| {
            got.extend(rig.take());
            got.len() == 40
        });
        for (number, (from, payload)) in got.into_iter().enumerate() {
            assert_eq!(from, header(there, 0, 0), "{}", rig.name);
            assert_eq!(payload, [number as u8; 60], "{}", rig.name);
            rig.send(A, header(from.peer, 0, 0), &payload);
        }
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let mut bytes = [0; 100];
        for number in 0..40_u8 {
            let (len, from) = far.recv_from(&mut bytes).expect("a datagram");
            assert_eq!(bytes[..len], [number; 60], "{}", rig.name);
            assert_eq!(from.ip(), here.ip(), "{}", rig.name);
        }
        let io = rig.engine.port_io(A).traffic;
        assert_eq!((io.rx_frames, io.rx_bytes), (40, 40 * 60), "{}", rig.name);
        assert_eq!((io.tx_frames, io.tx_bytes), (40, 40 * 60), "{}", rig.name);
        rig.assert_clean();
    }
}

/// From one tunnel to another: `UDP_SEGMENT` on one side, `UDP_GRO` on the other.
#[test]
fn a_segmented_frame_arrives_as_one_frame() {
    for (mut rig, far) in rigs() {
        let local = far.local_addr().expect("bound");
        rig.attach(A, conf(local));
        let there = rig.attach(B, conf(local));
        let payload: Vec<u8> = (0..30_500_u32).map(|byte| byte as u8).collect();
        rig.send(A, header(there, 1_000, 2), &payload);
        rig.until(|rig| !rig.received.is_empty());
        let got = rig.take();
        assert_eq!(got.len(), 1, "{}", rig.name);
        assert_eq!((got[0].0.segment, got[0].1.len()), (1_000, 30_500), "{}", rig.name);
        assert!(got[0].1 == payload, "{}", rig.name);
        let counts = |port| {
            let io = rig.engine.port_io(port).traffic;
            [io.rx_frames, io.rx_bytes, io.tx_frames, io.tx_bytes]
        };
        assert_eq!(counts(A), [0, 0, 31, 30_500], "{}", rig.name);
        assert_eq!(counts(B), [31, 30_500, 0, 0], "{}", rig.name);
        rig.assert_clean();
    }
}

#[test]
fn the_header_chooses_the_source_port() {
    for (mut rig, far) in rigs() {
        let there = far.local_addr().expect("bound");
        rig.attach(A, conf(there));
        for socket in 0..16_u16 {
            rig.send(A, header(there, 0, socket), &socket.to_be_bytes());
        }
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let mut ports = std::collections::BTreeMap::<u16, Vec<u16>>::new();
        let mut bytes = [0; 2];
        for _ in 0..16 {
            let (_, from) = far.recv_from(&mut bytes).expect("a datagram");
            ports.entry(from.port()).or_default().push(u16::from_be_bytes(bytes));
        }
        assert_eq!(ports.len(), 4, "{}: {ports:?}", rig.name);
        for flows in ports.values() {
            let expected: Vec<_> = (0..4).map(|turn| flows[0] + 4 * turn).collect();
            assert_eq!(*flows, expected, "{}: in order", rig.name);
        }
    }
}

/// Answers to the sending sockets are refused: nobody would read them.
#[test]
fn sending_sockets_take_nothing() {
    for (mut rig, far) in rigs() {
        let there = far.local_addr().expect("bound");
        rig.attach(A, conf(there));
        rig.send(A, header(there, 0, 0), b"a question");
        rig.until(|rig| rig.engine.writes_in_flight() == 0);
        let (_, from) = far.recv_from(&mut [0; 20]).expect("a datagram");
        for _ in 0..10 {
            far.send_to(b"an answer", from).expect("loopback");
        }
        rig.round(Wait::For(Duration::from_millis(20)));
        let queue = {
            rig.engine.detach(A);
            rig.until(|rig| rig.engine.next_event() == Some(EngineEvent::Detached(A)));
            rig.engine.take_closed(A)
        };
        let Some(PortQueue::Datagrams(sockets)) = queue else { panic!("{}", rig.name) };
        for socket in sockets.send {
            let empty = UdpSocket::from(socket).recv(&mut [0; 20]);
            let kind = empty.expect_err("it has nothing").kind();
            assert_eq!(kind, std::io::ErrorKind::WouldBlock, "{}", rig.name);
        }
    }
}

/// A peer that is not there answers with ICMP; the port goes on, and hears the peer that comes later.
#[test]
fn a_port_survives_a_peer_that_is_not_there() {
    for (mut rig, far) in rigs() {
        let there = far.local_addr().expect("bound");
        let here = rig.attach(A, conf(there));
        drop(far);
        for socket in 0..8 {
            rig.send(A, header(there, 0, socket % 2), &[1; 60]);
            (0..10).for_each(|_| rig.round(Wait::For(Duration::from_millis(1))));
        }
        let far = UdpSocket::bind(there).expect("the port is free again");
        far.send_to(&[2; 60], here).expect("loopback");
        rig.until(|rig| !rig.received.is_empty());
        rig.take();
        assert!(rig.engine.is_open(A) && rig.engine.next_event().is_none(), "{}", rig.name);
        let io = rig.engine.port_io(A);
        assert_eq!((io.traffic.tx_frames, io.tx_drops), (8, [0; TxDrop::COUNT]), "{}", rig.name);
        rig.assert_clean();
    }
}
