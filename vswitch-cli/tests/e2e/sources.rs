//! The address that a container has in the world: that of the host for the same destination, and changes of it.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{FAR4, FAR6, Flow, HOST4, HOST6, Netns, join, wait_for};

use crate::harness::{Container, Host};

/// How long the switch may take to see what changed on the host.
const FOLLOWED_MAX: Duration = Duration::from_secs(5);

/// Sends a datagram from one socket every 20 ms.
const KEEP_SENDING: &str = "\
import socket, sys, time
address, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try: s.sendto(b'x', (address, port))
    except OSError: pass
    time.sleep(0.02)
";

/// Ends as soon as a datagram of this sender arrives.
const AWAIT_SENDER: &str = "\
import socket, sys
address, port, sender = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((address, port))
s.settimeout(10)
while s.recvfrom(9)[1][0] != sender: pass
";

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Waits until a container appears from an address, as the host does by now.
#[track_caller]
fn appears_from(host: &Host, a: &Container, far: IpAddr, source: &str) {
    wait_for(&format!("{far} sees {source}"), FOLLOWED_MAX, || {
        a.can_ask("udp", far, 7000) && a.ask("udp", far, 7000).0 == address(source)
    });
    assert_eq!(host.netns().ask("udp", far, 7000).0, address(source), "the host itself");
}

#[test]
fn a_container_has_the_source_that_the_host_would_use() {
    let (host, remote, a) = Host::with_remote();
    let _services = [FAR4, FAR6].map(|far| remote.far().serve("udp", far, 7000));
    several_addresses(&host, &a);
    unnumbered(&host, &a);
    deprecated(&host, &a);
    host.balanced();
    no_address_but_the_bridges(&host, &a);
}

/// The next hop's subnet, then the route's `src`.
fn several_addresses(host: &Host, a: &Container) {
    host.lan().run_lines(&[
        "ip addr add 10.20.0.254/24 dev nic1",
        "ip addr add 203.0.113.254/24 dev nic1",
    ]);
    host.netns().run_lines(&[
        "ip -4 addr flush dev nic0",
        "ip addr add 10.20.0.1/24 dev nic0",
        "ip addr add 192.0.2.1/24 dev nic0",
        "ip addr add 203.0.113.1/24 dev nic0",
        "ip route add default via 192.0.2.254",
    ]);
    appears_from(host, a, FAR4, "192.0.2.1");
    host.netns().run_lines(&["ip route add 198.51.100.2 via 203.0.113.254"]);
    appears_from(host, a, FAR4, "203.0.113.1");
    host.netns().run_lines(&["ip route replace 198.51.100.2 via 203.0.113.254 src 10.20.0.1"]);
    appears_from(host, a, FAR4, "10.20.0.1");
    host.netns().run_lines(&[
        "ip addr add 2001:db8::7/64 dev nic0 nodad",
        "ip -6 route replace default via 2001:db8::254 src 2001:db8::7",
    ]);
    appears_from(host, a, FAR6, "2001:db8::7");
}

/// The only address is on `lo`, and the default route names it.
fn unnumbered(host: &Host, a: &Container) {
    host.lan().run_lines(&["ip route add 203.0.113.7 dev nic1"]);
    host.netns().run_lines(&[
        "ip -4 addr flush dev nic0",
        "ip addr add 203.0.113.7/32 dev lo",
        "ip route add 192.0.2.254 dev nic0",
        "ip route add default via 192.0.2.254 dev nic0 src 203.0.113.7",
    ]);
    appears_from(host, a, FAR4, "203.0.113.7");
}

/// The only global IPv6 address is deprecated.
fn deprecated(host: &Host, a: &Container) {
    host.netns().run_lines(&[
        "ip -6 addr flush dev nic0 scope global",
        "ip addr add 2001:db8::1/64 dev nic0 nodad preferred_lft 0",
        "ip -6 route replace default via 2001:db8::254",
    ]);
    appears_from(host, a, FAR6, "2001:db8::1");
}

/// The host takes no address of the switch as its own, and still reaches containers.
fn no_address_but_the_bridges(host: &Host, a: &Container) {
    host.netns()
        .run_lines(&["ip addr del 203.0.113.7/32 dev lo", "ip route replace default dev nic0"]);
    let output = host.netns().exec(&["ip", "route", "get", &FAR4.to_string()]);
    assert!(!output.stdout.contains(&a.gateway().to_string()), "{output}");
    for inside in [a.v4(), a.v6()] {
        host.netns().ping(inside);
    }
}

/// Waits until a datagram from this address arrives.
#[track_caller]
fn arrives_from(far: &Netns, at: IpAddr, source: &str) {
    far.exec(&["python3", "-c", AWAIT_SENDER, &at.to_string(), "7100", source]).ok();
}

/// TCP connections with this address of the host.
fn connections_at(host: &Host, address: &str) -> usize {
    let rows = host.json(&["conntrack", "ls", "--address", address, "--protocol", "tcp"]);
    rows.as_array().map_or(0, Vec::len)
}

/// The default route goes to another NIC, and IPv6 gets another prefix.
#[test]
fn long_flows_follow_the_route_and_the_address() {
    let (host, remote, a) = Host::with_remote();
    join(host.netns(), "nic2", host.lan(), "nic3");
    host.lan().run_lines(&[
        "ip addr add 203.0.113.254/24 dev nic3",
        "ip addr add 2001:db8:2::254/64 dev nic3 nodad",
    ]);
    host.netns().run_lines(&[
        "ip addr add 203.0.113.1/24 dev nic2",
        "ip addr add 2001:db8:2::1/64 dev nic2 nodad",
    ]);
    let far = remote.far();
    let _senders =
        [FAR4, FAR6].map(|to| a.spawn(&["python3", "-c", KEEP_SENDING, &to.to_string(), "7100"]));
    let _flows = [FAR4, FAR6].map(|to| Flow::start(&a, far, to));
    arrives_from(far, FAR4, &HOST4.to_string());
    arrives_from(far, FAR6, &HOST6.to_string());
    assert_eq!((connections_at(&host, "192.0.2.1"), connections_at(&host, "2001:db8::1")), (1, 1));
    host.netns().run_lines(&[
        "ip route replace default via 203.0.113.254 dev nic2",
        "ip -6 route replace default via 2001:db8:2::254 dev nic2",
    ]);
    arrives_from(far, FAR4, "203.0.113.1");
    arrives_from(far, FAR6, "2001:db8:2::1");
    // Where TCP's address leads back no longer, the connection ends.
    wait_for("TCP has ended", FOLLOWED_MAX, || {
        connections_at(&host, "192.0.2.1") + connections_at(&host, "2001:db8::1") == 0
    });
    let renumbered = Flow::start(&a, far, FAR6);
    // That which ended may have been picked up, until its peer reset it.
    let rows = host.json(&["conntrack", "ls", "--address", "2001:db8:2::1", "--protocol", "tcp"]);
    let established = |row: &&serde_json::Value| row["state"] == "established";
    assert_eq!(rows.as_array().into_iter().flatten().filter(established).count(), 1, "{rows}");
    host.netns().run_lines(&[
        "ip addr add 2001:db8:2::2/64 dev nic2 nodad",
        "ip addr del 2001:db8:2::1/64 dev nic2",
    ]);
    arrives_from(far, FAR6, "2001:db8:2::2");
    wait_for("the former address has no connections", Duration::from_secs(15), || {
        connections_at(&host, "2001:db8:2::1") == 0
    });
    drop(renumbered);
    host.balanced();
}
