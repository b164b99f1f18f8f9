//! The TCP torture: tens of thousands of connections of all shapes, each byte compared.

use std::time::Duration;

use testkit::{Mix, Process, READY_MAX, Tally, Torture, torture_process, unread_process, wait_for};

use super::{GUARDS, UP, assert_cut_through, pair, pair_with_guards};
use crate::harness::{Container, Host};

/// Arguments by which this program is a process of a test.
pub(super) const ARGS: [&str; 4] =
    ["--exact", "cut_through::torture::torture_end", "--ignored", "--nocapture"];

/// Connections of one run of the long form.
const BATCH: u64 = 10_000;

#[test]
#[ignore = "a process of another test"]
fn torture_end() {
    torture_process();
    unread_process();
}

fn seed() -> u64 {
    std::env::var("TORTURE_SEED").map_or(1, |seed| seed.parse().expect("a number as seed"))
}

/// A switch with two containers. Ends may splice, on some of their sockets from their beginning.
#[track_caller]
fn tortured(args: &[&str]) -> (Host, Container, Container) {
    pair_with_guards("order,bound,ring,refresh", &[&UP[..], args].concat())
}

pub(super) fn torture<'a>(
    server: &'a Container,
    client: &'a Container,
    connections: u64,
) -> Torture<'a> {
    Torture {
        server,
        client,
        v4: server.v4(),
        v6: server.v6(),
        args: &ARGS,
        wrapper: &[],
        seed: seed(),
        mix: Mix::All,
        connections,
        stuck_after: Duration::from_secs(15),
        // FIONREAD of a joined socket does not count what TCP has brought, and others: docs/cut-through.md.
        is_strict: false,
        limit: Duration::from_secs(600),
    }
}

/// No byte is wrong; of the shapes that last, one of so many connections at least is cut through.
const CUT_THROUGH_OF: u64 = 20;

#[track_caller]
fn passes(host: &Host, torture: &Torture<'_>) {
    let before = host.stats().cut_through;
    let tally: Tally = torture.run();
    eprintln!("{:?}: {tally}", torture.mix);
    if !tally.is_right() {
        eprintln!("{}", host.ok(&["stats"]));
    }
    tally.assert_right(torture.connections);
    if torture.mix == Mix::All && !torture.is_strict {
        assert_cut_through(host, before, torture.connections / CUT_THROUGH_OF);
    }
}

#[test]
fn every_byte_is_right() {
    let (host, server, client) = tortured(&[]);
    passes(&host, &torture(&server, &client, 2000));
    passes(&host, &Torture { mix: Mix::Short, ..torture(&client, &server, 4000) });
    host.balanced();
}

/// The harness is right about plain TCP, in which nothing is excused.
#[test]
fn every_byte_is_right_without_cut_through() {
    let (host, server, client) = pair_with_guards(GUARDS, &[]);
    passes(&host, &Torture { is_strict: true, ..torture(&server, &client, 800) });
    assert_eq!(host.stats().cut_through.connections, 0);
}

#[test]
fn every_byte_is_right_with_two_workers() {
    let (host, server, client) = tortured(&["--workers", "2", "--uplink", "none"]);
    passes(&host, &torture(&server, &client, 800));
    host.balanced();
}

#[test]
fn every_byte_is_right_with_epoll() {
    let (host, server, client) = tortured(&["--backend", "epoll"]);
    passes(&host, &torture(&server, &client, 800));
    host.balanced();
}

/// In turn one of the ends is killed: the other one has a prefix of what was sent, and new connections are right.
#[test]
fn killed_ends_leave_a_prefix() {
    let (host, server, client) = tortured(&[]);
    let before = host.stats().cut_through;
    let tally = torture(&server, &client, 2000).run_with_deaths(4);
    eprintln!("{tally}");
    let faults = [&tally.corrupt, &tally.stuck, &tally.errors];
    assert!(faults.iter().all(|faults| faults.is_empty()) && tally.right > 400, "{tally:#?}");
    assert_cut_through(&host, before, tally.right / CUT_THROUGH_OF);
}

/// All processes of a container are killed, and it is detached, while its connections carry data: the other ends have a
/// prefix of what was sent, and then the end or an error.
#[test]
fn a_container_that_is_killed_and_detached_leaves_a_prefix() {
    let (host, server, client) = tortured(&[]);
    let before = host.stats().cut_through;
    let all = torture(&server, &client, 100_000);
    let tally = all.run_until_killed(Duration::from_secs(3), || {
        assert_cut_through(&host, before, 10);
        host.ok(&["detach", "server"]);
    });
    eprintln!("{tally}");
    let faults = [&tally.corrupt, &tally.stuck, &tally.errors];
    assert!(faults.iter().all(|faults| faults.is_empty()) && tally.right > 50, "{tally:#?}");
    wait_for("no connection is cut through", READY_MAX, || {
        host.status().cut_through.connections == 0
    });
    // Another container is served as before.
    let next = host.container("next");
    next.ping(client.v4());
    host.balanced();
}

/// The long form: the number of connections that `make soak` asks for, in both directions.
#[test]
fn a_soak_of_connections() {
    let Ok(connections) = std::env::var("SOAK_CUT_THROUGH") else { return };
    let connections: u64 = connections.parse().expect("a number of connections");
    let (host, server, client) = tortured(&[]);
    for n in 0..connections.div_ceil(BATCH) {
        let (server, client) = if n % 2 == 0 { (&server, &client) } else { (&client, &server) };
        let batch = torture(server, client, BATCH.min(connections - n * BATCH));
        let mix = if n % 4 < 2 { Mix::All } else { Mix::Short };
        passes(&host, &Torture { mix, seed: seed() + n, ..batch });
    }
    host.balanced();
}

/// Accepts, answers three requests, and tells whether it could read 400 of the 1,000 bytes of its low-water mark, and
/// how many bytes it read then: `ADDR PORT`.
const LOW_WATER_READER: &str = "\
import select, socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
s = listener.accept()[0]
for _ in range(3): s.recv(1); s.sendall(b'y')
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
poll = select.poll()
poll.register(s, select.POLLIN)
early = bool(poll.poll(300))
s.sendall(b'y')
late = bool(poll.poll(5000))
first = len(s.recv(2000, socket.MSG_DONTWAIT))
s.sendall(b'y')
poll.poll(5000)
print(early, late, first, len(s.recv(2000, socket.MSG_DONTWAIT)), len(s.recv(1)))
";

/// The client of it.
const LOW_WATER_WRITER: &str = "\
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(3): s.sendall(b'x'); s.recv(1)
s.sendall(b'a' * 400); s.recv(1)
s.sendall(b'b' * 700); s.recv(1)
s.sendall(b'c' * 10)
";

/// Bytes below the low-water mark wake nobody, the end of the stream does.
#[test]
fn a_reader_with_a_low_water_mark_sleeps_until_there_is_enough() {
    let (_host, server, client) = pair(&[]);
    for address in [server.v4(), server.v6()] {
        let address = address.to_string();
        let args = ["python3", "-c", LOW_WATER_READER, &address, "7500"];
        let reader: Process = super::serve(&server, &args, 7500);
        client.ok(&["python3", "-c", LOW_WATER_WRITER, &address, "7500"]);
        assert_eq!(reader.finish(READY_MAX).ok(), "False True 1100 10 0\n", "{address}");
    }
}
