//! Connections whose state was lost: whoever speaks next gets an answer at once, or the connection goes on.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, HOST6, Netns, Process, Remote, wait_for};

use crate::harness::{Container, Host};

/// Sends back what comes: `ADDR PORT`.
const ECHO: &str = "\
import socket, sys, threading
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
def serve(connection):
    try:
        while data := connection.recv(100): connection.sendall(data)
    except OSError: pass
while True: threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
";

/// Says something to each client once a file is there, and writes how it went into another: `ADDR PORT GO SAID`.
const SPEAK: &str = "\
import os, socket, sys, time
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
connection, _ = listener.accept()
connection.settimeout(10)
connection.sendall(connection.recv(100))
while not os.path.exists(sys.argv[3]): time.sleep(0.02)
try:
    connection.sendall(b'news')
    said = 'data' if connection.recv(100) else 'end'
except OSError as error: said = type(error).__name__
open(sys.argv[4], 'w').write(said)
time.sleep(60)
";

/// A connection that says something, and once more when a file is there; prints how that went: `ADDR PORT READY GO`.
const TALK: &str = "\
import os, socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
s.sendall(b'hello')
assert s.recv(100) == b'hello'
open(sys.argv[3], 'w').close()
while not os.path.exists(sys.argv[4]): time.sleep(0.02)
try:
    s.sendall(b'again')
    print('data' if s.recv(100) == b'again' else 'end')
except OSError as error: print(type(error).__name__)
";

/// The same, which only listens the second time: `ADDR PORT READY GO`.
const LISTEN: &str = "\
import os, socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10)
s.sendall(b'hello')
assert s.recv(100) == b'hello'
open(sys.argv[3], 'w').close()
time.sleep(60)
";

/// Files by which the processes of a test wait for each other.
struct Files(PathBuf);

impl Files {
    fn new(host: &Host, tag: &str) -> Self {
        Self(host.path(tag))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.with_extension(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

fn touch(path: &Path) {
    std::fs::write(path, "").expect("a file");
}

#[track_caller]
fn serve(netns: &Netns, address: IpAddr, port: u16) -> Process {
    let (address, text) = (address.to_string(), port.to_string());
    let server = netns.spawn(&["python3", "-c", ECHO, &address, &text]);
    wait_for("the server listens", Duration::from_secs(10), || {
        netns.ok(&["ss", "-ltnH", &format!("sport = :{port}")]).contains(&text)
    });
    server
}

/// A client that has spoken once and waits.
#[track_caller]
fn talk(script: &str, netns: &Netns, (address, port): (IpAddr, u16), files: &Files) -> Process {
    let (address, port) = (address.to_string(), port.to_string());
    let (ready, go) = (files.text("ready"), files.text("go"));
    let client = netns.spawn(&["python3", "-c", script, &address, &port, &ready, &go]);
    wait_for("the client has spoken", Duration::from_secs(10), || files.path("ready").exists());
    client
}

#[track_caller]
fn goes_on(client: Process, files: &Files) -> String {
    touch(&files.path("go"));
    client.finish(Duration::from_secs(8)).ok().trim().to_owned()
}

/// From inside by a mapping: the peer's kernel does not know the new one. By a published port nothing changes.
#[test]
fn after_a_flush_clients_are_reset_and_published_connections_go_on() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    for (far, own, inside) in [(FAR4, HOST4, a.v4()), (FAR6, HOST6, a.v6())] {
        let _servers = [serve(remote.far(), far, 7000), serve(&a, inside, 80)];
        let files = ["out", "in"].map(|way| Files::new(&host, &format!("{way}-{}", far.is_ipv6())));
        let out = talk(TALK, &a, (far, 7000), &files[0]);
        let incoming = talk(TALK, remote.far(), (own, 8080), &files[1]);
        host.ok(&["conntrack", "flush"]);
        assert_eq!(goes_on(out, &files[0]), "ConnectionResetError");
        assert_eq!(goes_on(incoming, &files[1]), "data");
    }
    host.balanced();
}

/// From outside to a port that nobody has any more: the switch answers for it.
#[test]
fn a_peer_that_speaks_to_a_lost_mapping_is_reset() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let a = host.container("a");
    for far in [FAR4, FAR6] {
        let files = Files::new(&host, &format!("speak-{}", far.is_ipv6()));
        let (address, go, said) = (far.to_string(), files.text("go"), files.text("said"));
        let _server = remote.far().spawn(&["python3", "-c", SPEAK, &address, "7000", &go, &said]);
        wait_for("the server listens", Duration::from_secs(10), || {
            remote.far().ok(&["ss", "-ltnH", "sport = :7000"]).contains("7000")
        });
        let _client = talk(LISTEN, &a, (far, 7000), &files);
        host.ok(&["conntrack", "flush"]);
        let before = host.stats().workers.iter().map(|worker| worker.resets_sent).sum::<u64>();
        touch(&files.path("go"));
        wait_for("the server has an answer", Duration::from_secs(8), || {
            std::fs::read_to_string(files.path("said")).is_ok_and(|said| !said.is_empty())
        });
        let said = std::fs::read_to_string(files.path("said")).expect("an answer");
        assert_eq!(said, "ConnectionResetError", "{far}");
        let after = host.stats().workers.iter().map(|worker| worker.resets_sent).sum::<u64>();
        assert!(after > before, "by the switch");
    }
    host.balanced();
}

/// A container that is replaced by one with the same publication, and a switch that starts anew.
#[test]
fn a_successor_and_a_new_switch_answer_at_once() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let publish = ["-p", "8080:80"];
    for (own, is_v6) in [(HOST4, false), (HOST6, true)] {
        let inside = |container: &Container| if is_v6 { container.v6() } else { container.v4() };
        let files = Files::new(&host, &format!("replaced-{is_v6}"));
        let first = host.container_with("first", &publish);
        let _server = serve(&first, inside(&first), 80);
        let client = talk(TALK, remote.far(), (own, 8080), &files);
        host.ok(&["detach", "first"]);
        let successor = host.container_with("successor", &publish);
        let _server = serve(&successor, inside(&successor), 80);
        assert_eq!(goes_on(client, &files), "ConnectionResetError", "{own}");
        host.ok(&["detach", "successor"]);
    }
    // A new switch has no state: the container's kernel still has its connections.
    let a = host.container_with("a", &publish);
    let files = ["out", "in"].map(|way| Files::new(&host, &format!("{way}-restart")));
    let _servers = [serve(remote.far(), FAR4, 7000), serve(&a, a.v4(), 80)];
    let out = talk(TALK, &a, (FAR4, 7000), &files[0]);
    let incoming = talk(TALK, remote.far(), (HOST4, 8080), &files[1]);
    host.kill();
    host.up(&["--uplink", "auto"]);
    wait_for("the container is attached again", Duration::from_secs(10), || {
        host.ls().iter().any(|port| port.name == "a")
    });
    assert_eq!(goes_on(out, &files[0]), "ConnectionResetError");
    assert_eq!(goes_on(incoming, &files[1]), "data");
    host.balanced();
}
