//! Forged ICMP errors and segments of an outsider do not hurt a connection. Errors about packets that were
//! really sent arrive.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use testkit::{FAR4, FAR6, Flow, HOST4, HOST6, Netns, ROUTER4, Receiver, wait_for};

use crate::harness::Host;

/// Each kind of error, as from a router, about packets of a connection with numbers that are nobody's: `ROUTER HOST
/// PORT FAR FAR_PORT`; and about packets of no connection.
const FORGE_ERRORS: &str = "\
router, host, port, far, far_port = sys.argv[1:]
port, far_port = int(port), int(far_port)
if version(host) == 4:
    kinds = [(3, code, 68) for code in (0, 1, 2, 3, 4, 9, 10, 13)] + [(11, 0, 0), (12, 0, 0), (4, 0, 0)]
else:
    kinds = [(1, code, 0) for code in range(7)] + [(2, 0, 1280), (3, 0, 0), (4, 1, 0)]

def about(protocol, quoted):
    for kind, code, rest in kinds:
        for source in (router, far):
            send(error(source, host, kind, code, rest, ip(host, far, protocol, quoted)))

for _ in range(10):
    about(TCP, tcp(host, port, far, far_port, ACK, rng.getrandbits(32))[:8])
# A whole header, and that of the SYN.
about(TCP, tcp(host, port, far, far_port, ACK, rng.getrandbits(32)))
about(TCP, tcp(host, port, far, far_port, SYN, rng.getrandbits(32)))
# Never sent: to another port, by another protocol, the wrong way round.
about(TCP, tcp(host, port, far, far_port ^ 1, ACK, 0))
about(UDP, udp(host, port, far, far_port, b''))
about(TCP, tcp(far, far_port, host, port, ACK, 0))
";

/// As a neighbour of the container's, who has seen none of it: `OWN FAR FAR_PORT INNER INNER_PORTS`.
const FORGE_FROM_INSIDE: &str = "\
own, far, far_port, inner, inner_port = sys.argv[1:]
quoted = ip(far, inner, TCP, tcp(far, int(far_port), inner, int(inner_port), ACK, 1))
kind = 3 if version(own) == 4 else 1
for code in (0, 1, 3):
    send(error(own, far, kind, code, 0, quoted))
";

/// Segments of each kind, with numbers that are nobody's: `SRC PORT DST PORT`.
const FORGE_SEGMENTS: &str = "\
src, sport, dst, dport = sys.argv[1:]
for flags in (RST, RST | ACK, SYN, SYN | ACK, FIN | ACK, FIN, ACK, PSH | ACK, 0, 63):
    for _ in range(40):
        seq, ack = rng.getrandbits(32), rng.getrandbits(32)
        data = b'forged' if flags & PSH else b''
        send(ip(src, dst, TCP, tcp(src, int(sport), dst, int(dport), flags, seq, ack, data)))
";

/// A connected UDP socket that says how it went, before and after a file is there: `ADDR PORT FILE`.
const ASK_TWICE: &str = "\
import os, socket, sys, time
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(5)
s.bind(('', 4444))
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b'who am I?'); print(s.recv(100).decode(), flush=True)
while not os.path.exists(sys.argv[3]): time.sleep(0.01)
s.send(b'who am I?'); print(s.recv(100).decode())
";

/// A datagram to a port where nobody listens: `ADDR PORT`; prints what the kernel makes of the answer.
const ASK_NOBODY: &str = "\
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(b'anybody?')
try: s.recv(100)
except ConnectionRefusedError: print('refused')
";

/// The router's address, the host's and the far host's.
const SIDES: [[IpAddr; 3]; 2] = [[ROUTER4, HOST4, FAR4], [ROUTER6, HOST6, FAR6]];
const ROUTER6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x254));

/// The connection to or from that port.
#[track_caller]
fn connection(host: &Host, protocol: &str, port: u16) -> Value {
    let port = port.to_string();
    let rows = host.json(&["conntrack", "ls", "--protocol", protocol, "--port", &port]);
    let rows = rows.as_array().expect("an array");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    rows[0].clone()
}

/// The port of one of its ends.
#[track_caller]
fn port_of(row: &Value, tuple: &str, end: &str) -> String {
    let text = row[tuple][end].as_str().expect("an endpoint");
    text.rsplit_once(':').expect("a port").1.to_owned()
}

fn drops(host: &Host, reason: &str) -> u64 {
    host.stats().drops.get(reason).copied().unwrap_or(0)
}

/// The path to there has no MTU of its own.
#[track_caller]
fn path_is_whole(netns: &Netns, to: IpAddr) {
    let route = netns.ok(&["ip", "route", "get", &to.to_string()]);
    assert!(!route.contains("mtu"), "{route}");
}

#[test]
fn forged_errors_do_not_end_or_narrow_a_connection() {
    let (host, remote, a) = Host::with_remote();
    let b = host.container("b");
    for [router, own, far] in SIDES {
        let flow = Flow::start(&a, remote.far(), far);
        let row = connection(&host, "tcp", flow.port());
        let (port, far_port) = (port_of(&row, "translated", "src"), flow.port().to_string());
        let before = drops(&host, "nat-forged-error");
        let [router, own, far_text] = [router, own, far].map(|address| address.to_string());
        let args = [router.as_str(), &own, &port, &far_text, &far_port];
        host.lan().craft(FORGE_ERRORS, &args);
        wait_for("they are counted", Duration::from_secs(5), || {
            drops(&host, "nat-forged-error") >= before + 200
        });
        let (inner, neighbour) = if far.is_ipv4() { (a.v4(), b.v4()) } else { (a.v6(), b.v6()) };
        let (inner, neighbour) = (inner.to_string(), neighbour.to_string());
        let inner_port = port_of(&row, "original", "src");
        let before = drops(&host, "nat-forged-error");
        b.craft(FORGE_FROM_INSIDE, &[&neighbour, &far_text, &far_port, &inner, &inner_port]);
        wait_for("and the neighbour's", Duration::from_secs(5), || {
            drops(&host, "nat-forged-error") >= before + 3
        });
        path_is_whole(&a, far);
        assert_eq!(connection(&host, "tcp", flow.port())["state"], "established");
        flow.arrives();
    }
    host.balanced();
}

/// An error about a datagram that was never sent is not told to a socket that sent others.
#[test]
fn a_forged_error_does_not_reach_a_socket() {
    let (host, remote, a) = Host::with_remote();
    for [router, own, far] in SIDES {
        let _service = remote.far().serve("udp", far, 7000);
        let go = host.path(&format!("go-{far}"));
        let [router, own, far] = [router, own, far].map(|address| address.to_string());
        let go_on = go.display().to_string();
        let asker = a.spawn(&["python3", "-c", ASK_TWICE, &far, "7000", &go_on]);
        wait_for("the first is answered", Duration::from_secs(5), || {
            let rows = host.json(&["conntrack", "ls", "--protocol", "udp", "--address", &far]);
            rows.as_array().expect("an array").iter().any(|row| row["reply_frames"] == 1)
        });
        let row = &host.json(&["conntrack", "ls", "--protocol", "udp", "--address", &far])[0];
        let port = port_of(row, "translated", "src");
        // As from its port, to one that it did not speak to.
        host.lan().craft(FORGE_ERRORS, &[&router, &own, &port, &far, "7001"]);
        std::fs::write(&go, "").expect("write a file");
        let said = asker.finish(Duration::from_secs(10)).ok();
        let said: Vec<&str> = said.lines().collect();
        assert!(said.len() == 2 && said[0] == said[1], "{said:?}");
    }
    assert!(drops(&host, "nat-forged-error") > 0);
}

#[test]
fn a_true_error_reaches_whoever_sent_what_it_is_about() {
    let (host, remote, a) = Host::with_remote();
    for [_, own, far] in SIDES {
        let far = far.to_string();
        assert_eq!(a.ok(&["python3", "-c", ASK_NOBODY, &far, "9"]), "refused\n");
        // And the other way: the container's own kernel says that nobody listens.
        host.ok(&["publish", "a", "5009:9/udp"]);
        let said = remote.far().ok(&["python3", "-c", ASK_NOBODY, &own.to_string(), "5009"]);
        assert_eq!(said, "refused\n");
        host.ok(&["unpublish", "a", "5009:9/udp"]);
    }
    host.balanced();
}

#[test]
fn segments_out_of_window_do_not_end_a_connection_out() {
    let (host, remote, a) = Host::with_remote();
    for [_, own, far] in SIDES {
        let flow = Flow::start(&a, remote.far(), far);
        let row = connection(&host, "tcp", flow.port());
        let port = port_of(&row, "translated", "src");
        let before = drops(&host, "nat-out-of-window");
        let [own, far] = [own, far].map(|address| address.to_string());
        host.lan().craft(FORGE_SEGMENTS, &[&far, &flow.port().to_string(), &own, &port]);
        wait_for("they are counted", Duration::from_secs(5), || {
            drops(&host, "nat-out-of-window") >= before + 100
        });
        assert_eq!(connection(&host, "tcp", flow.port())["state"], "established");
        flow.arrives();
    }
    host.balanced();
}

#[test]
fn segments_out_of_window_do_not_end_a_connection_in() {
    let (host, remote, a) = Host::with_remote();
    for [_, own, far] in SIDES {
        let receiver = Receiver::start(&a, if far.is_ipv4() { a.v4() } else { a.v6() });
        let spec = format!("8080:{}", receiver.port());
        host.ok(&["publish", "a", &spec]);
        let flow = Flow::towards(remote.far(), receiver, (own, 8080));
        let row = connection(&host, "tcp", 8080);
        let port = port_of(&row, "original", "src");
        let before = drops(&host, "nat-out-of-window");
        let [own, far] = [own, far].map(|address| address.to_string());
        host.lan().craft(FORGE_SEGMENTS, &[&far, &port, &own, "8080"]);
        wait_for("they are counted", Duration::from_secs(5), || {
            drops(&host, "nat-out-of-window") >= before + 100
        });
        assert_eq!(connection(&host, "tcp", 8080)["state"], "established");
        flow.arrives();
        host.ok(&["unpublish", "a", &spec]);
    }
    host.balanced();
}
