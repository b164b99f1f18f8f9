//! Requests of the host, and of clients outside, that a container refuses, or that come many at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use testkit::{FAR4, HOST4, HOST6, Netns, Remote, wait_for};

use crate::harness::{Container, Host};

const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const LOOPBACK4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Asks a port, and says how that ends: `PROTOCOL ADDR PORT`.
const ASK: &str = "\
import socket, sys
protocol, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM)
s.settimeout(5)
try:
    s.connect((address, port))
    if protocol == 'udp':
        s.send(b'who am I?')
    print('answered' if s.recv(100) else 'closed')
except OSError as error:
    print(type(error).__name__)
";

#[track_caller]
fn asked(from: &Netns, protocol: &str, address: IpAddr, port: u16) -> String {
    let (address, port) = (address.to_string(), port.to_string());
    from.ok(&["python3", "-c", ASK, protocol, &address, &port]).trim().to_owned()
}

fn ready(args: &[&str]) -> (Host, Remote, Container) {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(args);
    let web = host.container_with("web", &["-p", "5353:53/udp", "-p", "8080:80"]);
    (host, remote, web)
}

/// Directly and by the published port; then it listens, and is reached by the same ways.
#[test]
fn the_host_hears_that_nobody_listens() {
    let (host, _remote, web) = ready(&["--uplink", "auto", "--workers", "2"]);
    let own = host.netns();
    // A kernel says so six times, and then once a second.
    for limit in ["net/ipv4/icmp_ratelimit", "net/ipv6/icmp/ratelimit"] {
        web.set_sysctl(limit, "0");
    }
    let ways = [
        (web.v4(), 53),
        (HOST4, 5353),
        (LOOPBACK4, 5353),
        (web.v6(), 53),
        (HOST6, 5353),
        (LOOPBACK6, 5353),
    ];
    for _ in 0..2 {
        for (address, port) in ways {
            assert_eq!(asked(own, "udp", address, port), "ConnectionRefusedError", "{address}");
        }
    }
    let _services = [web.serve("udp", ANY4, 53), web.serve("udp", web.v6(), 53)];
    for (address, port) in ways {
        assert_eq!(asked(own, "udp", address, port), "answered", "{address}");
    }
    assert_eq!(host.stats().drops.get("nat-forged-error"), None);
    host.balanced();
}

/// A server on IPv4 only serves clients of ::1, and those outside fall back at once.
#[test]
fn localhost_reaches_a_server_on_ipv4_only_and_is_told_when_there_is_none() {
    let (host, remote, web) = ready(&["--uplink", "auto"]);
    let own = host.netns();
    let refusals = ["ConnectionRefusedError", "ConnectionResetError"];
    for address in [LOOPBACK4, HOST4, LOOPBACK6, HOST6] {
        let said = asked(own, "tcp", address, 8080);
        assert!(refusals.contains(&said.as_str()), "{address}: {said}");
    }
    let services = [web.serve("tcp", ANY4, 80), web.serve("udp", ANY4, 53)];
    for address in [LOOPBACK4, HOST4, LOOPBACK6] {
        assert_eq!(asked(own, "tcp", address, 8080), "answered", "{address}");
        assert_eq!(asked(own, "udp", address, 5353), "answered", "{address}");
    }
    let far = remote.far();
    assert_eq!(asked(far, "tcp", HOST4, 8080), "answered");
    assert_eq!(asked(far, "tcp", HOST6, 8080), "ConnectionRefusedError");
    assert_eq!(asked(far, "udp", HOST6, 5353), "ConnectionRefusedError");
    drop(services);
    // A container without the other family.
    let four = host.container_with("four", &["--family", "ipv4", "-p", "8081:80"]);
    let _service = four.serve("tcp", ANY4, 80);
    assert_eq!(asked(own, "tcp", LOOPBACK6, 8081), "answered");
    assert_eq!(far.ask("tcp", HOST4, 8081).0, FAR4);
    assert_eq!(asked(far, "tcp", HOST6, 8081), "ConnectionRefusedError");
    host.balanced();
}

/// Counts datagrams and their senders until one says so: `PORT`.
const COUNT: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
s.bind(('::', int(sys.argv[1])))
print('ready', flush=True)
datagrams, senders = 0, set()
while True:
    data, peer = s.recvfrom(2000)
    if data == b'end':
        break
    datagrams += 1
    senders.add(peer)
print(datagrams, len(senders))
";

/// Sends so many datagrams from each of so many sockets: `PORT SOCKETS EACH`, then the end.
const BURST: &str = "\
import socket, sys, time
to = ('::1', int(sys.argv[1]))
sockets = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(int(sys.argv[2]))]
for s in sockets:
    for _ in range(int(sys.argv[3])):
        s.sendto(bytes(100), to)
    if len(sockets) > 1:
        time.sleep(0.001)
time.sleep(1)
sockets[0].sendto(b'end', to)
";

#[test]
fn bursts_and_many_clients_of_loopback_are_heard() {
    let (host, _remote, web) = ready(&["--uplink", "auto"]);
    for (sockets, each, heard) in [("1", "64", "64 1"), ("300", "1", "300 300")] {
        let counter = web.spawn(&["python3", "-c", COUNT, "53"]);
        wait_for("it listens", Duration::from_secs(10), || {
            web.ok(&["ss", "-lunH", "sport = :53"]).contains("53")
        });
        host.netns().ok(&["python3", "-c", BURST, "5353", sockets, each]);
        let said = counter.finish(Duration::from_secs(10)).ok();
        assert_eq!(said.lines().last(), Some(heard), "{sockets} sockets");
    }
    host.balanced();
}

/// Accepts one connection, reads to its end, and answers then: `ADDR PORT FILE`, which it waits for.
const ANSWER_LATE: &str = "\
import os, socket, sys, time
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=socket.AF_INET6, dualstack_ipv6=True)
connection = listener.accept()[0]
while connection.recv(100): pass
while not os.path.exists(sys.argv[3]): time.sleep(0.01)
connection.sendall(b'late')
connection.close()
";

/// Sends a request and its end, and waits for the answer: `ADDR PORT`.
const HALF_CLOSE: &str = "\
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
s.sendall(b'request')
s.shutdown(socket.SHUT_WR)
print(s.recv(100).decode())
";

/// The kernel keeps them for an hour; docs say so, and nobody waits so long here.
#[test]
fn half_closed_connections_of_the_host_last() {
    let (host, _remote, web) = ready(&["--uplink", "auto"]);
    let own = host.netns();
    let setting = own.ok(&["cat", "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait"]);
    for address in [LOOPBACK4, HOST4, HOST6] {
        let go = host.path(&format!("go-{address}"));
        let go_on = go.display().to_string();
        let server = web.spawn(&["python3", "-c", ANSWER_LATE, "::", "80", &go_on]);
        wait_for("it listens", Duration::from_secs(10), || {
            web.ok(&["ss", "-ltnH", "sport = :80"]).contains("80")
        });
        let text = address.to_string();
        let client = own.spawn(&["python3", "-c", HALF_CLOSE, &text, "8080"]);
        wait_for("it is half closed", Duration::from_secs(10), || {
            let all = own.ok(&["cat", "/proc/net/nf_conntrack"]);
            let waits = all.lines().find(|line| line.contains("CLOSE_WAIT"));
            waits.is_some_and(|line| {
                let seconds = line.split_whitespace().nth(4).expect("the time left");
                let seconds: u32 = seconds.parse().expect("seconds");
                assert!((3500..=3600).contains(&seconds), "{line}");
                true
            })
        });
        std::fs::write(&go, "").expect("write a file");
        assert_eq!(client.finish(Duration::from_secs(10)).ok(), "late\n", "{address}");
        server.finish(Duration::from_secs(10)).ok();
    }
    let after = own.ok(&["cat", "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait"]);
    assert_eq!(after, setting, "the host's own setting stays");
    host.balanced();
}
