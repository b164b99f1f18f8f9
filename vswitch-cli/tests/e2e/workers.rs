//! Uplink with two workers, each of which translates for half of the containers: "a" and "b" belong to
//! different ones.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;

use crate::egress::transfer;
use testkit::{FAR4, FAR6, HOST4, HOST6, Netns, ROUTER4, Receiver, Remote, SEND_STREAM};

use crate::harness::{Container, Host, SNAT_PORTS};

const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[track_caller]
fn with_two() -> (Host, Remote, Container, Container) {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto", "--workers", "2"]);
    assert_eq!(host.status().workers, 2);
    let (a, b) =
        (host.container("a"), host.container_with("b", &["-p", "8080:80", "-p", "5353:53/udp"]));
    (host, remote, a, b)
}

/// Frames that one worker handed to the other; none is on the way.
#[track_caller]
fn handed_off(host: &Host) -> u64 {
    host.balanced();
    let workers = host.stats().workers;
    let (given, taken) = workers.iter().fold((0, 0), |(given, taken), worker| {
        (given + worker.handed_off, taken + worker.handoff_received)
    });
    assert_eq!(given, taken);
    given
}

#[test]
fn containers_of_both_workers_talk_to_the_world() {
    let (host, remote, a, b) = with_two();
    for (far, own) in [(FAR4, HOST4), (FAR6, HOST6)] {
        for protocol in ["tcp", "udp"] {
            let _service = remote.far().serve(protocol, far, 7000);
            for container in [&a, &b] {
                container.ping(far);
                // Each from another port, so that they come to either worker.
                for _ in 0..8 {
                    let (peer, port) = container.ask(protocol, far, 7000);
                    assert_eq!(peer, own, "{protocol}");
                    assert!(SNAT_PORTS.contains(&port), "{protocol} from port {port}");
                }
            }
        }
    }
    assert!(handed_off(&host) > 0, "some came to the other worker");
    // Both halves are listed, and both end.
    let rows = host.json(&["conntrack", "ls"]);
    let of = |name: &str| {
        let rows = rows.as_array().expect("an array").iter();
        rows.filter(|row| row["container"] == name).count()
    };
    assert!(of("a") >= 16 && of("b") >= 16, "{rows:#}");
    host.ok(&["conntrack", "flush"]);
    assert_eq!(host.json(&["conntrack", "ls"]), Value::Array(Vec::new()));
}

/// One socket to several peers; each says from which port it came.
const ONE_SOCKET: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
for port in sys.argv[2:]:
    s.sendto(b'who am I?', (sys.argv[1], int(port)))
    print(s.recv(100).decode())
";

#[test]
fn an_endpoint_appears_at_one_port_whomever_it_talks_to() {
    let (_host, remote, a, b) = with_two();
    let ports = ["7000", "7001", "7002", "7003", "7004"];
    let _services: Vec<_> = ports
        .iter()
        .map(|port| remote.far().serve("udp", FAR4, port.parse().expect("a port")))
        .collect();
    let far = FAR4.to_string();
    for container in [&a, &b] {
        let said =
            container.ok(&[&["python3", "-c", ONE_SOCKET, far.as_str()], &ports[..]].concat());
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), ports.len());
        assert!(lines.iter().all(|line| line == &lines[0]), "{said}");
    }
}

#[test]
fn published_ports_and_hairpins_of_both_workers() {
    let (host, remote, a, b) = with_two();
    host.ok(&["publish", "a", "8081:81"]);
    let _of_b = b.serve("tcp", ANY4, 80);
    let _of_a = a.serve("tcp", ANY4, 81);
    let _datagrams = b.serve("udp", ANY4, 53);
    for _ in 0..6 {
        assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
        assert_eq!(remote.far().ask("tcp", HOST4, 8081).0, FAR4);
        assert_eq!(remote.far().ask("udp", HOST4, 5353).0, FAR4);
        for container in [&a, &b] {
            assert_eq!(container.ask("tcp", HOST4, 8080).0, HOST4);
            assert_eq!(container.ask("tcp", HOST4, 8081).0, HOST4);
            assert_eq!(container.ask("udp", HOST4, 5353).0, HOST4);
        }
    }
    handed_off(&host);
}

/// A datagram of several fragments, of which only the first has ports.
const LONG: &str = "\
import socket, sys
for _ in range(8):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.sendto(b'x' * 4000, (sys.argv[1], int(sys.argv[2])))
    print(s.recv(100).decode())
";

#[track_caller]
fn long(from: &Netns, to: IpAddr, port: &str, seen_as: IpAddr) {
    let said = from.ok(&["python3", "-c", LONG, &to.to_string(), port]);
    let peers: Vec<_> = said.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(peers, vec![seen_as.to_string(); 8], "{said}");
}

#[test]
fn fragments_of_a_packet_stay_together() {
    let (host, remote, a, b) = with_two();
    let _far = remote.far().serve("udp", FAR4, 7000);
    let _inside = b.serve("udp", ANY4, 53);
    for container in [&a, &b] {
        long(container, FAR4, "7000", HOST4);
        // By the host's address to a neighbour, or to itself.
        long(container, HOST4, "5353", HOST4);
        // Both ways, with identifications that come to either tracker.
        let output =
            container.exec(&["ping", "-n", "-c8", "-i0.05", "-W2", "-s4000", "198.51.100.2"]);
        assert!(output.stdout.contains(" 0% packet loss"), "{output}");
    }
    long(remote.far(), HOST4, "5353", FAR4);
    handed_off(&host);
}

#[test]
fn the_way_is_traced_and_errors_come_back() {
    let (host, remote, a, b) = with_two();
    // The kernel itself answers a peer six times, then once a second.
    for netns in [host.lan(), remote.far()] {
        netns.ok(&["sh", "-c", "echo 0 > /proc/sys/net/ipv4/icmp_ratelimit"]);
    }
    for container in [&a, &b] {
        let gateway = container.gateway().to_string();
        for (hops, from) in [("1", gateway.as_str()), ("2", &ROUTER4.to_string())] {
            for _ in 0..4 {
                let far = FAR4.to_string();
                let output = container.exec(&["ping", "-n", "-c1", "-W2", "-t", hops, &far]);
                assert!(output.stdout.contains(&format!("From {from} ")), "{output}");
            }
        }
        // A closed port is said so, and soon.
        let refused = container.exec(&["python3", "-c", REFUSED, &FAR4.to_string()]);
        assert_eq!(refused.stdout, "refused\n".repeat(8), "{refused}");
    }
}

/// An ICMP "port unreachable" about a datagram comes back as an error of its socket.
const REFUSED: &str = "\
import socket, sys
for n in range(8):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((sys.argv[1], 9990 + n))
    s.send(b'x')
    try:
        s.recv(100)
    except ConnectionRefusedError:
        print('refused')
";

#[test]
fn a_hundred_mebibytes_out_and_fifty_in() {
    let (host, remote, a, b) = with_two();
    for container in [&a, &b] {
        transfer(container, remote.far(), FAR4, 100);
    }
    transfer(&a, remote.far(), FAR6, 20);
    let receiver = Receiver::start(&b, ANY4);
    host.ok(&["publish", "b", &format!("9000:{}", receiver.port)]);
    let args = ["python3", "-c", SEND_STREAM, "192.0.2.1", "9000", "50", "seed"];
    let sent = remote.far().exec_within(&args, Duration::from_secs(120)).ok();
    assert_eq!(receiver.digest(), sent);
    let (handed, stats) = (handed_off(&host), host.stats());
    let moved: u64 = stats.workers.iter().map(|worker| worker.received).sum();
    eprintln!("{handed} of {moved} frames were handed off");
    assert!(!stats.drops.contains_key("handoff-full"), "{:?}", stats.drops);
}
