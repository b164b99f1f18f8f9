//! Ports of the SNAT range: what the host has of them stays the host's, before its own firewall, and a container never
//! gets one that the host has.

use std::collections::BTreeSet;
use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, HOST6, Remote, wait_for};

use crate::harness::{Host, SNAT_PORTS};

/// Of the range; MongoDB's.
const PORT: u16 = 27_017;

/// Binds each of these ports, TCP and UDP, at all addresses, says which were to be had, and answers on them:
/// `FIRST LAST`.
const BIND_ALL: &str = "\
import selectors, socket, sys
first, last = int(sys.argv[1]), int(sys.argv[2])
bound, poll = [], selectors.DefaultSelector()
for port in range(first, last + 1):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET6, kind)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('::', port))
            if kind == socket.SOCK_STREAM: s.listen()
        except OSError:
            s.close()
            continue
        bound.append(('tcp' if kind == socket.SOCK_STREAM else 'udp') + '/' + str(port))
        poll.register(s, selectors.EVENT_READ, kind)
print(' '.join(bound), flush=True)
while True:
    for key, _ in poll.select():
        if key.data == socket.SOCK_STREAM:
            connection, _ = key.fileobj.accept()
            connection.sendall(b'the host')
            connection.close()
        else:
            _, peer = key.fileobj.recvfrom(100)
            key.fileobj.sendto(b'the host', peer)
";

/// Asks from so many sockets, each of which stays open, and prints the ports that it appears from: `PROTOCOL ADDR PORT COUNT`.
const APPEAR: &str = "\
import socket, sys
protocol, address, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
kept = []
for _ in range(count):
    s = socket.socket(family, socket.SOCK_STREAM if protocol == 'tcp' else socket.SOCK_DGRAM)
    s.settimeout(5)
    for _ in range(3):
        s.connect((address, port))
        if protocol == 'udp': s.send(b'who am I?')
        try:
            print(s.recv(100).decode().split(' ')[-1])
            break
        except TimeoutError:
            pass
    kept.append(s)
";

/// Case 1: a server of the host in the range is reached, or filtered, as without a switch.
#[test]
fn the_hosts_own_firewall_decides_about_ports_of_the_range() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    assert!(SNAT_PORTS.contains(&PORT));
    let own = host.netns();
    let servers: Vec<_> = [HOST4, HOST6]
        .iter()
        .flat_map(|address| ["tcp", "udp"].map(|protocol| own.serve(protocol, *address, PORT)))
        .collect();
    // A port in use is no reason to refuse.
    host.up(&["--uplink", "auto"]);
    let a = host.container("a");
    a.ping(FAR4);
    let own = host.netns();
    let reached = || {
        let ask = |address| ["tcp", "udp"].map(|it| remote.far().can_ask(it, address, PORT));
        [HOST4, HOST6].map(ask).concat()
    };
    assert_eq!(reached(), [true; 4], "without a rule");
    let rule = |rule: &str| {
        own.exec(&["nft", "delete", "table", "inet", "fw"]);
        let table = format!(
            "table inet fw {{ chain in {{ type filter hook input priority 0; {rule}\n}}\n}}"
        );
        own.ok(&["nft", &table]);
    };
    for protocol in ["tcp", "udp"] {
        rule(&format!("iifname \"nic0\" {protocol} dport {PORT} drop"));
        assert!(!remote.far().can_ask(protocol, HOST4, PORT), "{protocol} is dropped");
        assert!(!remote.far().can_ask(protocol, HOST6, PORT), "{protocol} is dropped");
    }
    rule(&format!("iifname \"nic0\" th dport {PORT} accept; th dport {PORT} drop"));
    assert_eq!(reached(), [true; 4], "opened for the NIC alone");
    drop(servers);
    host.balanced();
}

/// Case 2: of a narrow range, a program of the host takes what it can get. Whatever it gets answers, and no container
/// appears from such a port; what it does not get is a container's.
#[test]
fn a_port_is_the_hosts_or_a_containers_never_both() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let range = 20_000..=20_511_u16;
    // One port is in use before: its block is skipped, and not refused.
    let own = host.netns();
    let before = own.serve("udp", HOST4, 20_100);
    host.up(&["--uplink", "auto", "--snat-ports", "20000-20511", "--workers", "2"]);
    let (a, b) = (host.container("a"), host.container("b"));
    let services =
        [FAR4, FAR6].map(|far| ["tcp", "udp"].map(|it| remote.far().serve(it, far, 7000)));
    let appear = |protocol: &str| -> BTreeSet<u16> {
        let mut all = BTreeSet::new();
        for container in [&a, &b] {
            for far in [FAR4, FAR6] {
                let far = far.to_string();
                let text = container.ok(&["python3", "-c", APPEAR, protocol, &far, "7000", "40"]);
                all.extend(text.lines().map(|line| line.parse::<u16>().expect("a port")));
            }
        }
        all
    };
    let is_skipped = |port: &u16| (20_064..=20_127).contains(port);
    for protocol in ["tcp", "udp"] {
        let seen = appear(protocol);
        assert!(seen.iter().all(|port| range.contains(port)), "{protocol}: {seen:?}");
        assert!(seen.len() > 60, "{protocol}: {} ports", seen.len());
        assert!(protocol == "tcp" || !seen.iter().any(is_skipped), "{protocol}: {seen:?}");
    }
    assert!(remote.far().can_ask("udp", HOST4, 20_100));
    drop(before);
    let file = host.path("bound");
    let script = format!("exec python3 -c \"$0\" 20000 20511 > {}", file.display());
    let own = host.netns();
    let mut binder = own.spawn(&["sh", "-c", &script, BIND_ALL]);
    wait_for("the host has what it can get", Duration::from_secs(10), || {
        assert!(binder.is_running());
        std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'))
    });
    let text = std::fs::read_to_string(&file).expect("what it got");
    let bound: Vec<&str> = text.split_whitespace().collect();
    // All but one block of UDP are the switch's.
    assert_eq!(bound.len(), 64, "{bound:?}");
    for address in [HOST4, HOST6] {
        let said = remote.far().ask_each(address, &bound);
        assert!(said.iter().all(|it| it == "the"), "all of them answer: {said:?}");
    }
    let of_host: BTreeSet<u16> =
        bound.iter().filter_map(|it| it.strip_prefix("udp/")?.parse().ok()).collect();
    assert!(appear("udp").is_disjoint(&of_host));
    drop(services);
    host.balanced();
    // All ports are the host's again.
    host.down();
    let own = host.netns();
    drop(binder);
    let free = "timeout 5 python3 -c \"$0\" 20000 20511 | wc -w";
    assert_eq!(own.ok(&["sh", "-c", free, BIND_ALL]).trim(), "1024");
}
