//! Long-lived exchanges, for tests that disturb the switch meanwhile.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Netns, Process, READY_MAX, Receiver, wait_for};

/// Sends pseudo-random bytes over TCP until a file exists: `ADDR PORT FILE`; prints their SHA-256.
const SEND_UNTIL: &str = "\
import hashlib, os, random, socket, sys, time
rng, digest = random.Random('flow'), hashlib.sha256()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as s:
    while True:
        is_last = os.path.exists(sys.argv[3])
        block = rng.randbytes(1 << 14)
        digest.update(block)
        s.sendall(block)
        if is_last:
            break
        time.sleep(0.005)
print(digest.hexdigest())
";

/// Prints length and SHA-256 of each datagram until one begins with `end`: `ADDR PORT`.
const COLLECT: &str = "\
import hashlib, socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind((sys.argv[1], int(sys.argv[2])))
while not (data := s.recv(65535)).startswith(b'end'):
    print(len(data), hashlib.sha256(data).hexdigest())
";

/// A TCP connection that carries data until it is dropped.
#[derive(Debug)]
pub struct Flow {
    sender: Process,
    receiver: Receiver,
    dir: tempfile::TempDir,
}

impl Flow {
    /// Connects a namespace to a receiver in another, at the address where that listens.
    #[track_caller]
    pub fn start(from: &Netns, to: &Netns, address: IpAddr) -> Self {
        let receiver = Receiver::start(to, address);
        let port = receiver.port();
        Self::towards(from, receiver, (address, port))
    }

    /// Connects to a receiver by another address, such as a published one.
    #[track_caller]
    pub fn towards(from: &Netns, receiver: Receiver, (to, port): (IpAddr, u16)) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (to, port) = (to.to_string(), port.to_string());
        let stop = end_file(&dir);
        let stop = stop.to_str().expect("a path of UTF-8");
        let mut sender = from.spawn(&["python3", "-c", SEND_UNTIL, &to, &port, stop]);
        wait_for("the connection stands", READY_MAX, || {
            assert!(sender.is_running(), "nothing is sent to {to} port {port}");
            let rows =
                from.ok(&["ss", "-tnH", "state", "established", &format!("dport = :{port}")]);
            !rows.trim().is_empty()
        });
        Self { sender, receiver, dir }
    }

    /// Port of the receiver.
    pub fn port(&self) -> u16 {
        self.receiver.port()
    }

    /// Ends the flow; all bytes must have arrived, those sent now included.
    #[track_caller]
    pub fn arrives(self) {
        std::fs::write(end_file(&self.dir), "").expect("write a file");
        let sent = self.sender.finish(Duration::from_secs(30)).ok();
        assert_eq!(self.receiver.digest(), sent, "not the bytes that were sent");
    }
}

fn end_file(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("end")
}

/// A process that receives datagrams.
#[derive(Debug)]
pub struct Collector {
    process: Process,
}

impl Collector {
    /// Starts the process and waits until it listens.
    #[track_caller]
    pub fn start(netns: &Netns, address: IpAddr, port: u16) -> Self {
        let (address, text) = (address.to_string(), port.to_string());
        let mut process = netns.spawn(&["python3", "-c", COLLECT, &address, &text]);
        wait_for("the collector listens", READY_MAX, || {
            assert!(process.is_running(), "the collector at {address} port {port} ended");
            netns.ok(&["ss", "-lunH", &format!("sport = :{port}")]).contains(&text)
        });
        Self { process }
    }

    /// One line for each datagram before the last.
    #[track_caller]
    pub fn collected(self) -> Vec<String> {
        let output = self.process.finish(Duration::from_secs(10)).ok();
        output.lines().map(str::to_owned).collect()
    }
}
