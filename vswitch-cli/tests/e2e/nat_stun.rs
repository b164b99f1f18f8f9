//! The translator as programs behind it find it: by coturn's STUN server and its tool (RFC 5780, RFC 8489), and by
//! two peers that meet as ICE does (RFC 8445).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::Value;

use testkit::{FAR4, FAR6, HOST4, HOST6, Netns, Process, READY_MAX, Remote, wait_for};

use crate::harness::{Container, Host, SNAT_PORTS};

/// The far host's second addresses: the server answers from them when it is asked to.
const SECOND: [&str; 2] = ["198.51.100.3", "2001:db8:f::3"];

/// The ports that the server listens at, at each of its addresses (RFC 8489 section 18.6).
const PORTS: [u16; 2] = [3478, 3479];

/// Asks a STUN server how it is seen, and meets a peer there: `SERVER OWN_FILE PEER_FILE`. Each writes how it is
/// seen to its file, and sends to what the other wrote. Prints from where the peer's datagram came, as soon as it
/// has said that it got ours.
const MEET: &str = "\
import os, socket, struct, sys, time
server, own, peer = sys.argv[1:]
family = socket.AF_INET6 if ':' in server else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(2)
cookie, ident = 0x2112a442, os.urandom(12)
s.sendto(struct.pack('!HHI', 1, 0, cookie) + ident, (server, 3478))
answer = s.recv(1500)
kind, size, magic = struct.unpack('!HHI', answer[:8])
assert (kind, magic, answer[8:20]) == (0x0101, cookie, ident), answer.hex()
at = 20
while struct.unpack('!H', answer[at:at + 2])[0] != 0x0020:
    at += 4 + (struct.unpack('!H', answer[at + 2:at + 4])[0] + 3 & ~3)
mask = struct.pack('!I', cookie) + ident
port = struct.unpack('!H', answer[at + 6:at + 8])[0] ^ cookie >> 16
size = 4 if answer[at + 5] == 1 else 16
address = bytes(a ^ b for a, b in zip(answer[at + 8:at + 8 + size], mask))
with open(own + '.new', 'w') as file:
    file.write(f'{socket.inet_ntop(family, address)} {port}')
os.rename(own + '.new', own)
until = time.monotonic() + 10
while not os.path.exists(peer):
    assert time.monotonic() < until, 'no peer'
    time.sleep(0.01)
to = open(peer).read().split()
to = (to[0], int(to[1]))
s.settimeout(0.1)
said, got, seen = b'hello', b'', None
while got != b'got it' and time.monotonic() < until:
    s.sendto(said, to)
    try:
        got, seen = s.recvfrom(100)
        said = b'got it'
    except TimeoutError:
        pass
for _ in range(3):
    s.sendto(b'got it', to)
assert got == b'got it', 'the peer is not reached'
print(seen[0], seen[1])
";

/// coturn on the far host, at two addresses of each family.
struct StunServer {
    _process: Process,
    _dir: tempfile::TempDir,
}

impl StunServer {
    #[track_caller]
    fn start(far: &Netns) -> Self {
        far.ok(&["ip", "addr", "add", "198.51.100.3/24", "dev", "up0"]);
        far.ok(&["ip", "addr", "add", "2001:db8:f::3/64", "dev", "up0", "nodad"]);
        let dir = tempfile::tempdir().expect("a directory");
        let file = |name: &str| dir.path().join(name).display().to_string();
        let (pid, database) = (file("pid"), file("db"));
        let mut command = vec!["turnserver", "-n", "--stun-only", "--no-auth", "--no-tls"];
        command.extend(["--no-dtls", "--no-cli", "--log-file", "stdout", "--simple-log"]);
        command.extend(["--pidfile", &pid, "--userdb", &database]);
        let addresses = [FAR4.to_string(), FAR6.to_string()];
        for address in addresses.iter().map(String::as_str).chain(SECOND) {
            command.extend(["-L", address]);
        }
        let mut process = far.spawn(&command);
        wait_for("the STUN server listens", READY_MAX, || {
            assert!(process.is_running(), "turnserver ended");
            let sockets = far.ok(&["ss", "-lunH"]);
            let listens = |port: &u16| sockets.matches(&format!(":{port} ")).count() >= 4;
            PORTS.iter().all(listens)
        });
        Self { _process: process, _dir: dir }
    }
}

#[track_caller]
fn with_stun() -> (Host, Remote, Container, StunServer) {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let server = StunServer::start(remote.far());
    host.up(&["--uplink", "auto"]);
    let a = host.container("a");
    (host, remote, a, server)
}

/// Result of coturn's tool; the server must have replied.
#[track_caller]
fn discover(netns: &Netns, test: &[&str], server: IpAddr) -> String {
    let server = server.to_string();
    let command = [&["turnutils_natdiscovery"][..], test, &["-p", "3478", &server]].concat();
    let found = netns.ok(&command);
    assert!(found.contains("RFC 5780 response 1"), "{found}");
    found
}

/// RFC 8489: what the server says of the sender is the host's address, and a port of the range.
#[test]
fn a_binding_response_says_how_the_container_is_seen() {
    let (host, _remote, a, _server) = with_stun();
    for (far, own) in [(FAR4, HOST4), (FAR6, HOST6)] {
        let found = discover(&a, &["-m"], far);
        // Nobody on the way has written over an address in the datagram.
        assert!(found.contains("No ALG: Mapped == XOR-Mapped"), "{found}");
        let seen = found.lines().find_map(|line| line.split("UDP reflexive addr: ").nth(1));
        let (address, port) = seen.and_then(|seen| seen.trim().rsplit_once(':')).expect("address");
        assert_eq!(address.parse(), Ok(own), "{found}");
        assert!(port.parse().is_ok_and(|port| SNAT_PORTS.contains(&port)), "{found}");
    }
    host.balanced();
}

/// RFC 5780 section 4.3 and 4.4, as docs/nat.md says it.
#[test]
fn mapping_is_endpoint_independent_and_filtering_address_dependent() {
    let (host, _remote, a, _server) = with_stun();
    for far in [FAR4, FAR6] {
        let found = discover(&a, &["-m"], far);
        assert!(found.contains("NAT with Endpoint Independent Mapping!"), "{found}");
        let found = discover(&a, &["-f"], far);
        assert!(found.contains("NAT with Address Dependent Filtering!"), "{found}");
    }
    assert!(host.stats().drops.contains_key("nat-unsolicited"), "{:?}", host.stats().drops);
    host.balanced();
}

/// RFC 5780 section 4.6: an answer to another port of the client's, which was silent meanwhile.
#[test]
fn a_mapping_outlives_a_silence() {
    let (_host, _remote, a, _server) = with_stun();
    let found = discover(&a, &["-t", "-T", "2"], FAR4);
    assert!(found.contains("RFC 5780 response 2"), "{found}");
}

/// RFC 4787 REQ-6: what comes from outside does not keep a mapping, what goes out does.
#[test]
fn a_mapping_is_refreshed_from_inside() {
    const TALK: &str = "import socket, sys\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        s.bind(('', 4444)); s.settimeout(5)\n\
        s.sendto(b'out', ('198.51.100.2', 4444))\n\
        while s.recv(100) != b'end': pass\n\
        s.sendto(b'out', ('198.51.100.2', 4444))\n\
        print(s.recv(100))\n";
    const ECHO: &str = "import socket, time\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        s.bind(('198.51.100.2', 4444)); s.settimeout(10)\n\
        _, peer = s.recvfrom(100)\n\
        for word in [b'in'] * 25 + [b'end']:\n\
        \x20   s.sendto(word, peer); time.sleep(0.1)\n\
        s.recv(100); s.sendto(b'done', peer)\n";
    let (host, remote, a, _server) = with_stun();
    let far = remote.far().spawn(&["python3", "-c", ECHO]);
    wait_for("the far end listens", READY_MAX, || {
        remote.far().ok(&["ss", "-lunH"]).contains("198.51.100.2:4444 ")
    });
    let inside = a.spawn(&["python3", "-c", TALK]);
    let row = || {
        let rows = host.json(&["conntrack", "ls", "--container", "a", "--protocol", "udp"]);
        rows.as_array().and_then(|rows| rows.first().cloned()).unwrap_or(Value::Null)
    };
    wait_for("it grows old though spoken to", Duration::from_secs(10), || {
        let row = row();
        row["idle_s"].as_u64() >= Some(2) && row["reply_frames"].as_u64() >= Some(20)
    });
    assert!(inside.finish(Duration::from_secs(10)).ok().contains("done"));
    drop(far.finish(Duration::from_secs(10)).ok());
    assert!(row()["idle_s"].as_u64() < Some(2), "{}", row());
}

/// RFC 4787 REQ-9: two containers that know of each other only how the world sees them.
#[test]
fn two_containers_meet_by_their_outer_addresses() {
    let (host, _remote, a, _server) = with_stun();
    let b = host.container("b");
    for (far, own) in [(FAR4, HOST4), (FAR6, HOST6)] {
        let (far, file) = (far.to_string(), |name: &str| format!("{name}-{far}"));
        let [one, other] = ["one", "other"].map(|name| host.path(&file(name)));
        let (one, other) = (one.display().to_string(), other.display().to_string());
        let first = a.spawn(&["python3", "-c", MEET, &far, &one, &other]);
        let second = b.spawn(&["python3", "-c", MEET, &far, &other, &one]);
        for (process, of_peer) in [(first, &other), (second, &one)] {
            let came_from = process.finish(Duration::from_secs(20)).ok();
            let seen = std::fs::read_to_string(of_peer).expect("what the peer wrote");
            assert_eq!(came_from.trim(), seen);
            let (address, port) = seen.split_once(' ').expect("address and port");
            let seen = SocketAddr::new(address.parse().unwrap(), port.parse().unwrap());
            assert_eq!(seen.ip(), own);
            assert!(SNAT_PORTS.contains(&seen.port()), "{seen}");
        }
    }
    host.balanced();
}
