//! A sender against a reader that does not read: how much memory the kernel holds for them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::process::run;
use crate::thread_netns::inside;
use crate::{COMMAND_TIMEOUT, Netns, READY_MAX};

/// Parameters of the process.
const PARAMETERS: &str = "VSWITCH_UNREAD";

/// Begins its line.
const SAYS: &str = "unread ";

/// Time limit of the process.
const LIMIT: Duration = Duration::from_secs(60);

/// Time without a byte after which the sender is stopped.
const QUIET: Duration = Duration::from_millis(700);

/// Bytes after which nothing stops it.
const SENT_MAX: u64 = 256 << 20;

/// Time for which it sends at most.
const SENDING_MAX: Duration = Duration::from_secs(10);

/// Requests and answers before, so that the connection is past its beginning.
const REQUESTS: u32 = 60;

/// Time before each of them.
const PAUSE: Duration = Duration::from_millis(3);

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
    /// Sends in pieces of this size to `reader` at one of its addresses until nothing more is taken; afterwards all
    /// of it is read. A process of the reader's namespace has both sockets: this program with `args`, by which it calls
    /// [`unread_process`].
    ///
    /// # Panics
    /// When other bytes are read than were sent.
    #[track_caller]
    pub fn measure(
        reader: &Netns,
        sender: &Netns,
        address: IpAddr,
        piece: usize,
        args: &[&str],
    ) -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let words = [&[program.to_str().expect("a path of UTF-8")][..], args].concat();
        let mut command = reader.command(&words);
        let (from, to) = (reader.path().display(), sender.path().display());
        command.env(PARAMETERS, format!("{from} {to} {address} {piece}"));
        let said = run(&mut command, b"", LIMIT).ok();
        let numbers = said.lines().find_map(|line| line.strip_prefix(SAYS)).expect("what was held");
        let mut numbers = numbers.split(' ').map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        Self { sent: next(), reader_memory: next(), sender_memory: next() }
    }

    /// Bytes of both queues.
    pub fn memory(&self) -> u64 {
        self.reader_memory + self.sender_memory
    }
}

/// Becomes the process of [`Unread::measure`] when the environment has its parameters, and does not return then.
///
/// # Panics
/// When it cannot measure.
pub fn unread_process() {
    let Ok(parameters) = std::env::var(PARAMETERS) else { return };
    let words: Vec<&str> = parameters.split(' ').collect();
    let [reader, sender, address, piece] = words[..] else {
        panic!("{PARAMETERS} has other words: {parameters}");
    };
    let (reader, sender) = (Path::new(reader), Path::new(sender));
    let (address, piece): (IpAddr, usize) =
        (address.parse().expect("an address"), piece.parse().expect("a size"));
    let bind = || TcpListener::bind((address, 0)).expect("a port of the reader");
    let listener = inside(Some(reader), bind);
    let to = listener.local_addr().expect("its port");
    let connect = || TcpStream::connect_timeout(&to, READY_MAX).expect("a connection");
    let mut output = inside(Some(sender), connect);
    let mut input = listener.accept().expect("a connection").0;
    for stream in [&output, &input] {
        stream.set_nonblocking(true).expect("a socket that does not block");
        stream.set_nodelay(true).expect("no delay");
    }
    for _ in 0..REQUESTS {
        std::thread::sleep(PAUSE);
        request(&mut output, &mut input);
        request(&mut input, &mut output);
    }
    let sent = send(&mut output, piece);
    let from = output.local_addr().expect("its port");
    let reader_memory = memory(reader, to, from, "(r");
    let sender_memory = memory(sender, from, to, ",w");
    drop(output);
    receive(&mut input, sent);
    let line = format!("\n{SAYS}{sent} {reader_memory} {sender_memory}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("the line is written");
    std::process::exit(0);
}

fn request(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"ping").expect("a request is sent");
    let (mut got, mut buffer) = (0, [0; 4]);
    while got < buffer.len() {
        got += read(to, &mut buffer[got..]);
    }
    assert_eq!(&buffer, b"ping");
}

/// Waits for bytes, and reads some; none at the end.
#[track_caller]
fn read(input: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let start = Instant::now();
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(start.elapsed() < READY_MAX, "no byte comes for {READY_MAX:?}");
                let mut fds = [PollFd::new(&*input, PollFlags::IN)];
                let a_second = Timespec { tv_sec: 1, tv_nsec: 0 };
                rustix::event::poll(&mut fds, Some(&a_second)).expect("poll");
            }
            other => return other.expect("bytes that were sent"),
        }
    }
}

fn send(output: &mut TcpStream, piece: usize) -> u64 {
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
    let mut got = 0;
    while got < sent {
        let len = read(input, &mut buffer);
        assert!(len > 0, "the end after {got} of {sent} bytes");
        let want = &expected[(got % PERIOD) as usize..][..len];
        assert!(&buffer[..len] == want, "other bytes than sent at {got} of {sent}");
        got += len as u64;
    }
    assert_eq!(read(input, &mut buffer), 0, "more bytes than {sent} were sent");
}

/// A number of the `skmem` of a connection.
#[track_caller]
fn memory(netns: &Path, own: SocketAddr, peer: SocketAddr, key: &str) -> u64 {
    let (own, peer) = (format!(":{}", own.port()), format!(":{}", peer.port()));
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", netns.display())).args(["ss", "-tmniH", "state"]);
    command.args(["established", "sport", "=", &own, "dport", "=", &peer]);
    let shown = run(&mut command, b"", COMMAND_TIMEOUT).ok();
    let skmem = shown.split("skmem:").nth(1).unwrap_or_else(|| panic!("no connection: {shown}"));
    let number = skmem.split(key).nth(1).expect(key);
    let digits = number.split(|c: char| !c.is_ascii_digit()).next().expect("digits");
    digits.parse().expect("a number")
}
