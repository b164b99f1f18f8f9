//! The outer headers: ECN and DSCP (RFC 6040), and a UDP checksum of zero.

use std::net::IpAddr;

use testkit::{Netns, READY_MAX, join, wait_for};

use super::SOON;
use super::capture::Capture;
use super::sites::{Family, Sites, address, balanced, drops, give_address};
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

/// Whether the outer checksums of what a host sends are zero.
#[track_caller]
fn are_zero(rows: &[[Vec<String>; 2]], source: IpAddr) -> Vec<bool> {
    let of_it = rows.iter().filter(|[sources, _]| sources[0] == source.to_string());
    of_it.map(|[_, checksums]| checksums[0] == "0x0000").collect()
}

/// Without the outer checksum: all kinds of traffic pass, in datagrams of their own.
#[track_caller]
fn without_checksums(family: Family, args: &[&str]) {
    let args = [&["--vxlan-checksum", "off"], args].concat();
    let sites = Sites::up(family, &args);
    let (a, b) = sites.containers();
    let n2 = sites.hosts[1].netns();
    a.ping_soon(b.v4(), SOON);
    let capture = Capture::start(n2, "ul");
    transfer(&a, &b, b.v4(), 2);
    transfer(&b, &a, a.v6(), 2);
    let source = if family == Family::V4 { "ip.src" } else { "ipv6.src" };
    let rows = capture.fields(n2, [source, "udp.checksum"]);
    for number in [1, 2] {
        let zero = are_zero(&rows, family.address(number));
        assert!(zero.len() > 100 && zero.iter().all(|it| *it), "{number}: {zero:?}");
    }
    let doctor = sites.hosts[0].json(&["doctor"]);
    let rows = doctor.as_array().expect("rows");
    let row = rows.iter().find(|row| row["check"] == "underlay_segmentation").expect("the row");
    assert!(row["detail"].as_str().expect("text").contains("--vxlan-checksum off"), "{row}");
    sites.hosts.iter().for_each(balanced);
}

#[test]
fn no_checksum_over_ipv4() {
    without_checksums(Family::V4, &[]);
}

#[test]
fn no_checksum_over_ipv6() {
    without_checksums(Family::V6, &[]);
}

#[test]
fn no_checksum_over_ipv6_by_epoll() {
    without_checksums(Family::V6, &["--backend", "epoll"]);
}

/// The kernel's device that sends zero checksums: taken over IPv4 in any case, over IPv6 where both sides go without.
#[track_caller]
fn kernel_without_checksums(family: Family, checksum: &str, is_taken: bool) {
    let (mut host, peer) = (Host::new(), Netns::new("kernel"));
    join(host.netns(), "ul", &peer, "ul");
    give_address(host.netns(), family, 1);
    give_address(&peer, family, 2);
    let (own, remote) = (family.address(1).to_string(), family.address(2).to_string());
    host.up(&["--underlay", &own, "--vxlan-checksum", checksum]);
    let create = ["network", "create", "--overlay", "--vni", "42", "--subnet", "10.50.0.0/16"];
    host.ok(&[&create[..], &["--ip-range", "10.50.1.0/24", "blue"]].concat());
    host.ok(&["network", "peer", "add", "blue", &remote]);
    let a = host.container_with("a", &["--network", "blue"]);
    let zero = match family {
        Family::V4 => "noudpcsum",
        Family::V6 => "udp6zerocsumtx udp6zerocsumrx",
    };
    let device = format!("ip link add vx type vxlan id 42 local {remote} dstport 4789");
    peer.run_lines(&[
        &format!("{device} remote {own} {zero}"),
        "ip addr add 10.50.0.2/16 dev vx",
        "ip link set vx up",
    ]);
    let ping = ["ping", "-n", "-c1", "-W1", "10.50.0.2"];
    match is_taken {
        true => a.ping_soon(address("10.50.0.2"), SOON),
        false => {
            assert!((0..3).all(|_| !a.exec(&ping).status.success()), "it is not to be taken");
            let refused = host.netns().ok(&["nstat", "-az", "Udp6InCsumErrors"]);
            assert!(!refused.contains("Udp6InCsumErrors                0 "), "{refused}");
        }
    }
}

#[test]
fn a_kernel_without_checksums_over_ipv4() {
    kernel_without_checksums(Family::V4, "on", true);
    kernel_without_checksums(Family::V4, "off", true);
}

#[test]
fn a_kernel_without_checksums_over_ipv6() {
    kernel_without_checksums(Family::V6, "off", true);
    kernel_without_checksums(Family::V6, "on", false);
}
