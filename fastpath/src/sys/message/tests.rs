//! Datagrams that are longer than their buffer.

use std::net::UdpSocket;
use std::os::fd::AsFd;

use crate::datagram::{Header, LEN, Part};
use crate::engine::Wait;
use crate::engine::uring::ring::{Completion, Op, Ring};
use crate::pool::{Frame, Pool};
use crate::port::PortIndex;
use crate::sys::batch::Batch;
use crate::sys::uring::KernelRing;
use crate::waker::Waker;

const LENS: [usize; 3] = [10, 11, 9];

/// A socket at which datagrams of [`LENS`] wait, and their source.
fn socket() -> (UdpSocket, Header) {
    let (near, far) = (UdpSocket::bind("[::1]:0"), UdpSocket::bind("[::1]:0"));
    let (near, far) = (near.expect("a socket"), far.expect("a socket"));
    for len in LENS {
        far.send_to(&[7; 20][..len], near.local_addr().expect("bound")).expect("loopback");
    }
    (near, Header { peer: far.local_addr().expect("bound"), segment: 0, socket: 0, tos: 0 })
}

fn buffer(pool: &mut Pool) -> Frame {
    let mut frame = pool.alloc().expect("a buffer");
    frame.set_len(LEN + 10);
    frame
}

#[test]
fn a_batch_marks_the_one_that_was_longer() {
    let (near, source) = socket();
    let mut pool = Pool::new(4).expect("memory");
    let mut frames: Vec<_> = (0..4).map(|_| buffer(&mut pool)).collect();
    assert_eq!(Batch::new().receive(near.as_fd(), &mut pool, &mut frames), Ok(3));
    let lens: Vec<_> = frames.iter().take(3).map(Frame::len).collect();
    assert_eq!(lens, [LEN + 10, 0, LEN + 9]);
    assert_eq!(Header::read(pool.bytes(&frames[2])), Some(source));
    assert_eq!(pool.bytes(&frames[0])[LEN..], [7; 10]);
    frames.into_iter().for_each(|frame| pool.release(frame));
}

#[test]
fn a_ring_ends_it_with_an_error() {
    let (near, source) = socket();
    let mut pool = Pool::new(4).expect("memory");
    let waker = Waker::new().expect("an eventfd");
    let mut ring = KernelRing::new(&pool, waker.as_fd()).expect("io_uring");
    let port = PortIndex(0);
    ring.register(port, Some(near.as_fd())).expect("a slot");
    for _ in 0..4 {
        let frame = buffer(&mut pool);
        assert_eq!(ring.push(&pool, Op::Receive { port, frame }), Ok(()));
    }
    ring.enter(Wait::No, 0).expect("the ring works");
    let mut results = Vec::new();
    while let Some(Completion { op: Op::Receive { frame, .. }, result }) = ring.complete(&mut pool)
    {
        if result.is_ok() {
            assert_eq!(Header::read(pool.bytes(&frame)), Some(source));
        }
        results.push(result);
        pool.release(frame);
    }
    let len = |payload| (LEN + payload) as u32;
    assert_eq!(results, [Ok(len(10)), Err(libc::EMSGSIZE), Ok(len(9)), Err(libc::EAGAIN)]);
}

/// A ring that is dropped gives nothing of its operations to the kernel afterwards.
#[test]
fn a_ring_that_is_dropped_ends_what_it_was_to_send() {
    let (near, to) = socket();
    let mut pool = Pool::new(4).expect("memory");
    let waker = Waker::new().expect("an eventfd");
    let mut ring = KernelRing::new(&pool, waker.as_fd()).expect("io_uring");
    let frame = buffer(&mut pool);
    assert!(to.write(pool.bytes_mut(&frame).expect("one holder")));
    let part = to.parts(10, true).next().expect("one part");
    let socket = std::os::fd::AsRawFd::as_raw_fd(&near);
    let op = Op::Transmit { port: PortIndex(0), frame, socket, part };
    assert_eq!(ring.push(&pool, op), Ok(()));
    drop(ring);
    assert_eq!(pool.available(), 3, "its frame went with the ring");
}

/// A part beyond its frame is no message; a call without one would succeed, and be tried again for ever.
#[test]
fn a_batch_of_nothing_is_an_error() {
    let (near, source) = socket();
    let mut pool = Pool::new(1).expect("memory");
    let frame = buffer(&mut pool);
    let beyond = Part { start: 0, len: 11, segment: 0 };
    let send = |parts: &[Part]| {
        let parts = parts.iter().map(|&part| (&frame, source, part));
        Batch::new().send(near.as_fd(), &pool, parts)
    };
    assert_eq!(send(&[beyond]), Err(libc::EINVAL));
    assert_eq!(send(&[]), Err(libc::EINVAL));
    assert_eq!(send(&[Part { len: 10, ..beyond }, beyond]), Ok(1), "those before it leave");
    pool.release(frame);
}
