//! A stream that fills a small buffer of its receiver again and again is better off with TCP.

use testkit::{Process, wait_for};

use super::{PORT, SOON, Setup};
use crate::harness::Container;

/// Both ends of a stream: `CGROUP MODE BUFFER PORT FILE` receives into a buffer of that size (0: it may grow), and checks
/// each byte; `CGROUP MODE BUFFER PORT ADDRESS` sends pieces of 32 KiB. With the mode `asks` the sender waits for an answer to
/// each. The file has a byte for each 16 MiB, or for each 100 answers.
const STREAM: &str = "\
import random, socket, sys
cgroup, mode, size, port, last = sys.argv[1:]
open(cgroup + '/cgroup.procs', 'w').write('0')
LENGTH, PIECE, SO_RCVBUFFORCE = 65521, 32768, 33
text = random.Random(1).randbytes(LENGTH) * 3
def piece(at, length):
    return text[at % LENGTH:][:length]
at = 0
if '/' not in last:
    peer = socket.create_connection((last, int(port)), timeout=3600)
    while True:
        peer.sendall(piece(at, PIECE))
        at += PIECE
        if mode == 'asks':
            assert peer.recv(1) == b'.'
listener = socket.socket(socket.AF_INET6)
if int(size):
    listener.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, int(size))
listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
listener.bind(('::', int(port)))
listener.listen()
peer = listener.accept()[0]
peer.settimeout(3600)
progress, answers, told = open(last, 'ab', buffering=0), 0, 0
while data := peer.recv(PIECE):
    assert data == piece(at, len(data)), at
    at += len(data)
    while mode == 'asks' and at >= (answers + 1) * PIECE:
        answers += 1
        peer.sendall(b'.')
    if (answers // 100 if mode == 'asks' else at >> 24) > told:
        told += 1
        progress.write(b'.')
";

/// A stream of that mode between two containers, which go first.
struct Stream {
    _ends: [(Container, Process); 2],
    setup: Setup,
}

impl Stream {
    #[track_caller]
    fn start(mode: &str, buffer: u32) -> Self {
        let setup = Setup::new();
        let (server, client) = (setup.host.container("server"), setup.host.container("client"));
        let progress = setup.host.path("progress").display().to_string();
        let buffer = buffer.to_string();
        let end = |last: &str| {
            ["python3", "-c", STREAM, setup.cgroup.path(), mode, &buffer, PORT, last]
                .map(str::to_owned)
        };
        let spawn = |container: &Container, last: &str| {
            container.spawn(&end(last).each_ref().map(String::as_str))
        };
        let receiver = spawn(&server, &progress);
        wait_for("it listens", SOON, || {
            !server.ok(&["ss", "-ltnH", &format!("sport = :{PORT}")]).is_empty()
        });
        let sender = spawn(&client, &server.v4().to_string());
        Self { _ends: [(server, receiver), (client, sender)], setup }
    }

    /// How far it is.
    fn progress(&self) -> usize {
        std::fs::read(self.setup.host.path("progress")).map_or(0, |bytes| bytes.len())
    }

    #[track_caller]
    fn goes_on(&self) {
        let before = self.progress();
        wait_for("the stream goes on", SOON, || self.progress() >= before + 3);
    }
}

#[test]
fn a_bulk_sender_to_a_small_buffer_goes_back_to_tcp_for_good() {
    let stream = Stream::start("bulk", 64 * 1024);
    let host = &stream.setup.host;
    wait_for("it has left", SOON, || host.stats().cut_through.left == 1);
    let stats = host.stats().cut_through;
    assert_eq!(stats.connections, 1, "it was cut through before: {stats:?}");
    assert!(stats.held_bound >= 64, "{stats:?}");
    stream.goes_on();
    assert_eq!(stream.setup.connections().len(), 0);
    assert_eq!(host.stats().cut_through.bytes, stats.bytes, "all goes through TCP");
}

/// The bound is met as often, but each time after many bytes.
#[test]
fn a_bulk_sender_to_a_large_buffer_or_one_that_grows_stays() {
    for buffer in [0, 4 << 20] {
        let stream = Stream::start("bulk", buffer);
        let held = || stream.setup.host.stats().cut_through.held_bound;
        wait_for("the bound is met often", 3 * SOON, || held() > 80);
        stream.goes_on();
        assert_eq!(stream.setup.connections().len(), 1, "{buffer}");
    }
}

#[test]
fn one_that_asks_and_waits_stays_with_the_same_buffer() {
    let stream = Stream::start("asks", 64 * 1024);
    stream.setup.wait_for_connections(1);
    stream.goes_on();
    let bytes = stream.setup.host.stats().cut_through.bytes;
    stream.goes_on();
    assert_eq!(stream.setup.connections().len(), 1);
    assert!(stream.setup.host.stats().cut_through.bytes >= bytes + 200 * 32768);
}
