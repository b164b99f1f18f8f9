//! A sender against a reader that does not read: how much memory the kernel holds for them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::thread_netns::inside;
use crate::{Netns, READY_MAX};

/// Time without a byte after which the sender is stopped.
const QUIET: Duration = Duration::from_millis(700);

/// Bytes after which nothing stops it.
const SENT_MAX: u64 = 256 << 20;

/// Time for which it sends at most.
const SENDING_MAX: Duration = Duration::from_secs(10);

/// Requests and answers before, so that the connection is past its beginning.
const REQUESTS: u32 = 20;

/// No power of two: a piece of the stream at a wrong offset is seen.
const PERIOD: u64 = 251;

/// What was held when the sender got rid of no more.
#[derive(Clone, Copy, Debug)]
pub struct Unread {
    /// Bytes that the sender got rid of.
    pub sent: u64,
    /// Memory of the reader's receive queue, as `ss` tells.
    pub reader_memory: u64,
    /// Memory of the sender's send queue.
    pub sender_memory: u64,
}

impl Unread {
    /// Sends in pieces of this size to `reader` at one of its addresses until nothing more is taken; afterwards all of it
    /// is read.
    ///
    /// # Panics
    /// When other bytes are read than were sent.
    #[track_caller]
    pub fn measure(reader: &Netns, sender: &Netns, address: IpAddr, piece: usize) -> Self {
        let bind = || TcpListener::bind((address, 0)).expect("a port of the reader");
        let listener = inside(Some(reader.path()), bind);
        let to = listener.local_addr().expect("its port");
        let connect = || TcpStream::connect_timeout(&to, READY_MAX).expect("a connection");
        let mut output = inside(Some(sender.path()), connect);
        let mut input = listener.accept().expect("a connection").0;
        for stream in [&output, &input] {
            stream.set_read_timeout(Some(READY_MAX)).expect("a timeout");
            stream.set_nodelay(true).expect("no delay");
        }
        let request = |from: &mut TcpStream, to: &mut TcpStream| {
            from.write_all(b"ping").expect("a request is sent");
            to.read_exact(&mut [0; 4]).expect("a request arrives");
        };
        for _ in 0..REQUESTS {
            request(&mut output, &mut input);
            request(&mut input, &mut output);
        }
        let sent = send(&mut output, piece);
        let from = output.local_addr().expect("its port");
        let held = Self {
            sent,
            reader_memory: memory(reader, to, from, "(r"),
            sender_memory: memory(sender, from, to, ",w"),
        };
        drop(output);
        receive(&mut input, sent);
        held
    }

    /// Bytes of both queues.
    pub fn memory(&self) -> u64 {
        self.reader_memory + self.sender_memory
    }
}

fn send(output: &mut TcpStream, piece: usize) -> u64 {
    output.set_nonblocking(true).expect("a socket that does not block");
    let bytes: Vec<u8> = (0..piece as u64 + PERIOD).map(|at| (at % PERIOD) as u8).collect();
    let (start, mut last, mut sent) = (Instant::now(), Instant::now(), 0);
    while last.elapsed() < QUIET && start.elapsed() < SENDING_MAX && sent < SENT_MAX {
        match output.write(&bytes[(sent % PERIOD) as usize..][..piece]) {
            Ok(len) => {
                sent += len as u64;
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    sent
}

#[track_caller]
fn receive(input: &mut TcpStream, sent: u64) {
    let mut buffer = vec![0; 64 << 10];
    let expected: Vec<u8> =
        (0..buffer.len() as u64 + PERIOD).map(|at| (at % PERIOD) as u8).collect();
    let mut read = 0;
    while read < sent {
        let len = input.read(&mut buffer).expect("bytes that were sent");
        assert!(len > 0, "the end after {read} of {sent} bytes");
        let want = &expected[(read % PERIOD) as usize..][..len];
        assert!(&buffer[..len] == want, "other bytes than sent at {read} of {sent}");
        read += len as u64;
    }
    assert_eq!(input.read(&mut buffer).expect("the end"), 0, "more bytes than {sent} were sent");
}

/// A number of the `skmem` of a connection.
#[track_caller]
fn memory(netns: &Netns, own: SocketAddr, peer: SocketAddr, key: &str) -> u64 {
    let (own, peer) = (format!(":{}", own.port()), format!(":{}", peer.port()));
    let args = ["ss", "-tmniH", "state", "established", "sport", "=", &own, "dport", "=", &peer];
    let shown = netns.ok(&args);
    let skmem = shown.split("skmem:").nth(1).unwrap_or_else(|| panic!("no connection: {shown}"));
    let number = skmem.split(key).nth(1).expect(key);
    let digits = number.split(|c: char| !c.is_ascii_digit()).next().expect("digits");
    digits.parse().expect("a number")
}
