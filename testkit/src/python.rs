//! Small Python programs that play applications of containers.

use std::net::IpAddr;
use std::time::Duration;

use crate::{Netns, Process, READY_MAX};

/// Sends frames by `AF_PACKET`: `IFNAME HEX [COUNT]`; prints the bytes of each send.
pub const SEND_FRAME: &str = "\
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for _ in range(int(sys.argv[3]) if len(sys.argv) > 3 else 1):
    print(s.send(bytes.fromhex(sys.argv[2])))
";

/// Sends pseudo-random bytes over TCP: `ADDR PORT MEBIBYTES SEED`; prints their SHA-256.
pub const SEND_STREAM: &str = "\
import hashlib, random, socket, sys
rng, digest = random.Random(sys.argv[4]), hashlib.sha256()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10) as s:
    for _ in range(int(sys.argv[3])):
        block = rng.randbytes(1 << 20)
        digest.update(block)
        s.sendall(block)
print(digest.hexdigest())
";

/// Accepts one TCP connection: `ADDR FILE`; writes its port into the file, prints the SHA-256 of the bytes.
const RECEIVE_STREAM: &str = "\
import hashlib, socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], 0), family=family)
with open(sys.argv[2], 'w') as port:
    port.write(str(listener.getsockname()[1]))
connection, digest = listener.accept()[0], hashlib.sha256()
while data := connection.recv(1 << 18):
    digest.update(data)
print(digest.hexdigest())
";

/// A process that accepts one TCP connection.
#[derive(Debug)]
pub struct Receiver {
    process: Process,
    _dir: tempfile::TempDir,
    /// Port where it listens, as text.
    pub port: String,
}

impl Receiver {
    /// Starts the process and waits until it listens.
    #[track_caller]
    pub fn start(netns: &Netns, addr: IpAddr) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("port");
        let path = file.to_str().expect("a path of UTF-8");
        let process = netns.spawn(&["python3", "-c", RECEIVE_STREAM, &addr.to_string(), path]);
        let mut port = String::new();
        crate::wait_for("the receiver listens", READY_MAX, || {
            port = std::fs::read_to_string(&file).unwrap_or_default();
            !port.is_empty()
        });
        Self { process, _dir: dir, port }
    }

    /// Port where it listens.
    pub fn port(&self) -> u16 {
        self.port.parse().expect("a port")
    }

    /// SHA-256 of all bytes, once the sender has closed.
    #[track_caller]
    pub fn digest(self) -> String {
        self.process.finish(Duration::from_secs(30)).ok()
    }
}
