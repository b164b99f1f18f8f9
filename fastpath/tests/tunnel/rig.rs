//! An engine with ports of datagrams.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use vswitch_fastpath::datagram::{Header, LEN};
use vswitch_fastpath::engine::epoll::EpollEngine;
use vswitch_fastpath::engine::uring::UringEngine;
use vswitch_fastpath::limits::POOL_FRAMES;
use vswitch_fastpath::udp::{UdpConf, UdpError, UdpTunnel};
use vswitch_fastpath::{
    Engine, EngineEvent, Frame, Pool, PortIndex, PortQueue, Received, UdpSockets, Wait, Waker,
};

pub(crate) const A: PortIndex = PortIndex(3);
pub(crate) const B: PortIndex = PortIndex(7);

pub(crate) struct Rig {
    pub(crate) name: &'static str,
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) pool: Pool,
    pub(crate) received: Vec<Received>,
}

/// Both engines.
pub(crate) fn rigs() -> [Rig; 2] {
    let rig = |name, build: fn(&Pool, Waker) -> Box<dyn Engine>| {
        let pool = Pool::new(POOL_FRAMES).expect("memory");
        let engine = build(&pool, Waker::new().expect("an eventfd"));
        Rig { name, engine, pool, received: Vec::new() }
    };
    [
        rig("io_uring", |pool, waker| Box::new(UringEngine::new(pool, waker).expect("io_uring"))),
        rig("epoll", |_, waker| Box::new(EpollEngine::new(waker).expect("epoll"))),
    ]
}

pub(crate) fn conf(local: SocketAddr) -> UdpConf<'static> {
    UdpConf { local, device: None, workers: 1, senders: 4, checksum: true }
}

#[allow(clippy::disallowed_methods, reason = "a test may look at the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

impl Rig {
    pub(crate) fn attach(&mut self, port: PortIndex, queue: UdpSockets) {
        self.engine.attach(port, PortQueue::Datagrams(queue)).expect("the slot is free");
    }

    /// Sockets of a detached port.
    pub(crate) fn detach(&mut self, port: PortIndex) -> UdpSockets {
        self.engine.detach(port);
        self.until(|rig| rig.engine.next_event() == Some(EngineEvent::Detached(port)));
        let Some(PortQueue::Datagrams(sockets)) = self.engine.take_closed(port) else {
            panic!("{}: no sockets", self.name);
        };
        sockets
    }

    pub(crate) fn frame(&mut self, header: Header, payload: &[u8]) -> Frame {
        let mut frame = self.pool.alloc().expect("a buffer");
        frame.set_len(LEN + payload.len());
        let bytes = self.pool.bytes_mut(&frame).expect("one holder");
        assert!(header.write(bytes));
        bytes[LEN..].copy_from_slice(payload);
        frame
    }

    pub(crate) fn send(&mut self, port: PortIndex, header: Header, payload: &[u8]) {
        let frame = self.frame(header, payload);
        self.engine.send(&mut self.pool, port, frame);
    }

    pub(crate) fn round(&mut self, wait: Wait) {
        self.engine.round(&mut self.pool, wait, &mut self.received).expect("the engine works");
    }

    /// Rounds until `done`, for at most five seconds.
    pub(crate) fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) {
        let start = now();
        while !done(self) {
            assert!(start.elapsed() < Duration::from_secs(5), "{}: nothing happens", self.name);
            self.round(Wait::For(Duration::from_millis(20)));
        }
    }

    /// Takes what was received: headers and payloads.
    pub(crate) fn take(&mut self) -> Vec<(Header, Vec<u8>)> {
        let mut taken = Vec::new();
        for Received { frame, .. } in self.received.drain(..) {
            let bytes = self.pool.bytes(&frame);
            taken.push((Header::read(bytes).expect("a header"), bytes[LEN..].to_vec()));
            self.pool.release(frame);
        }
        taken
    }

    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.pool.available(), self.pool.capacity(), "{}", self.name);
        assert_eq!(self.engine.writes_in_flight(), 0, "{}", self.name);
    }
}

pub(crate) fn header(peer: SocketAddr, segment: u16, socket: u16) -> Header {
    Header { peer, segment, socket, tos: 0 }
}

/// Opens the sockets of one worker; returns where they receive. A port that was free a moment ago may be taken by a
/// sending socket of another rig.
pub(crate) fn open(conf: &UdpConf<'_>) -> (UdpSockets, SocketAddr) {
    let mut tries = (0..10).map(|_| UdpTunnel::open(conf));
    let is_settled = |it: &Result<UdpTunnel, UdpError>| !matches!(it, Err(UdpError::Taken { .. }));
    let opened = tries.find(is_settled).expect("a port is free");
    let mut tunnel = opened.expect("the address is there");
    (tunnel.queues.pop().expect("one worker"), tunnel.local)
}

/// A plain socket on a free port of the address.
pub(crate) fn plain(local: SocketAddr) -> UdpSocket {
    let far = UdpSocket::bind(local).expect("the address is there");
    far.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    far
}
