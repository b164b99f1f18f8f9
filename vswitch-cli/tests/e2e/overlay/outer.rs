//! The outer IP header: ECN and DSCP (RFC 6040).

use std::net::IpAddr;

use testkit::{Netns, READY_MAX, wait_for};

use super::SOON;
use super::capture::Capture;
use super::sites::{Family, Sites, balanced, drops};
use crate::harness::Host;
use crate::transfer::transfer;

/// Sends a datagram with a type of service or traffic class: `ADDR PORT TOS`.
const SEND: &str = "\
import socket, sys
six = ':' in sys.argv[1]
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
level, option = (socket.IPPROTO_IPV6, 67) if six else (socket.IPPROTO_IP, 1)
s.setsockopt(level, option, int(sys.argv[3]))
s.sendto(b'hello', (sys.argv[1], int(sys.argv[2])))
";

/// Prints the type of service or traffic class of one datagram: `ADDR PORT`.
const RECEIVE: &str = "\
import socket, sys
six = ':' in sys.argv[1]
s = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
level, option = (socket.IPPROTO_IPV6, 66) if six else (socket.IPPROTO_IP, 13)
s.setsockopt(level, option, 1)
s.settimeout(10)
s.bind((sys.argv[1], int(sys.argv[2])))
print(s.recvmsg(100, 100)[1][0][2][0])
";

const DSCP: u8 = 0xb8;
const NOT_ECT: u8 = 0;
const ECT_0: u8 = 2;
const CE: u8 = 3;

/// The type of service that a datagram arrives with.
#[track_caller]
fn arrives_with(a: &Netns, b: &Netns, to: IpAddr, tos: u8) -> String {
    let to = to.to_string();
    let receiver = b.spawn(&["python3", "-c", RECEIVE, &to, "7000"]);
    wait_for("it receives", READY_MAX, || {
        !b.exec(&["ss", "-Hlun", "sport = :7000"]).stdout.is_empty()
    });
    a.ok(&["python3", "-c", SEND, &to, "7000", &tos.to_string()]);
    receiver.finish(READY_MAX).stdout.trim().to_owned()
}

/// Marks all VXLAN that comes to a host, as a router with a full queue would.
#[track_caller]
fn mark(host: &Host, family: Family) {
    let ip = if family == Family::V4 { "ip" } else { "ip6" };
    let rule = format!("nft add rule inet congested in udp dport 4789 {ip} ecn set ce");
    host.netns().run_lines(&[
        "nft add table inet congested",
        "nft add chain inet congested in { type filter hook prerouting priority -300; }",
        &rule,
    ]);
}

/// The inner ECN goes outside, a mark of the underlay comes inside, and DSCP does neither.
#[track_caller]
fn ecn(family: Family, args: &[&str]) {
    let sites = Sites::up(family, args);
    let (a, b) = sites.containers();
    let n2 = sites.hosts[1].netns();
    a.ping_soon(b.v4(), SOON);
    a.ping_soon(b.v6(), SOON);
    let capture = Capture::start(n2, "ul");
    for to in [b.v4(), b.v6()] {
        for ecn in [NOT_ECT, ECT_0, CE] {
            let tos = DSCP | ecn;
            assert_eq!(arrives_with(&a, &b, to, tos), tos.to_string(), "{to}");
        }
    }
    // What comes last may be missing in a capture.
    a.ok(&["ping", "-n", "-c3", "-i0.2", "-W2", &b.v4().to_string()]);
    let outer = |values: &[Vec<String>; 3]| {
        let [port, tos, class] = values;
        // The outer header's and the inner one's, each of its own family.
        let all: Vec<String> = match family {
            Family::V4 => tos.iter().chain(class).cloned().collect(),
            Family::V6 => class.iter().chain(tos).cloned().collect(),
        };
        (port.last().is_some_and(|port| port == "7000")).then_some(all)
    };
    let rows = capture.fields(n2, ["udp.dstport", "ip.dsfield", "ipv6.tclass"]);
    let bytes = |text: &String| {
        u8::from_str_radix(text.trim_start_matches("0x"), 16).expect("a hexadecimal number")
    };
    let seen: Vec<Vec<u8>> =
        rows.iter().filter_map(outer).map(|all| all.iter().map(bytes).collect()).collect();
    let expected = [NOT_ECT, ECT_0, CE].map(|ecn| vec![ecn, DSCP | ecn]);
    assert_eq!(seen, [&expected[..], &expected].concat());

    mark(&sites.hosts[1], family);
    for to in [b.v4(), b.v6()] {
        assert_eq!(arrives_with(&a, &b, to, DSCP | ECT_0), (DSCP | CE).to_string());
        let before = drops(&sites.hosts[1], "tunnel-ecn");
        a.ok(&["python3", "-c", SEND, &to.to_string(), "7000", &DSCP.to_string()]);
        wait_for("the drop", SOON, || drops(&sites.hosts[1], "tunnel-ecn") > before);
    }
    sites.hosts.iter().for_each(balanced);
}

#[test]
fn ecn_over_ipv4() {
    ecn(Family::V4, &[]);
}

#[test]
fn ecn_over_ipv6() {
    ecn(Family::V6, &[]);
}

#[test]
fn ecn_over_ipv4_by_epoll() {
    ecn(Family::V4, &["--backend", "epoll"]);
}

/// TCP that knows of ECN halves its window for marks, and none of its frames is lost.
#[test]
fn tcp_hears_of_marks() {
    let sites = Sites::up(Family::V4, &[]);
    let (a, b) = sites.containers();
    for container in [&a, &b] {
        container.ok(&["sysctl", "-qw", "net.ipv4.tcp_ecn=1"]);
    }
    a.ping_soon(b.v4(), SOON);
    // Only what is ECN-capable: a handshake is not.
    sites.hosts[1].netns().run_lines(&[
        "nft add table inet congested",
        "nft add chain inet congested in { type filter hook prerouting priority -300; }",
        "nft add rule inet congested in udp dport 4789 ip ecn ect0 ip ecn set ce",
    ]);
    transfer(&a, &b, b.v4(), 4);
    let counters = a.ok(&["nstat", "-az", "TcpExtTCPECNEcho", "TcpExtTCPDeliveredCE"]);
    let delivered = counters.lines().find(|line| line.contains("DeliveredCE"));
    let delivered = delivered.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    assert!(delivered.is_some_and(|count: u64| count > 100), "{counters}");
    assert_eq!(drops(&sites.hosts[1], "tunnel-ecn"), 0);
}
