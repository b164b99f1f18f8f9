//! ARP and neighbour discovery: the switch answers for the addresses that it gave out.

use std::time::Duration;

use testkit::{Process, wait_for};

use crate::harness::{Container, Host};

/// Counts questions by ARP and neighbour discovery that come in, until it is ended: `FILE`.
const COUNT_QUESTIONS: &str = "\
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('eth0', 3))
s.settimeout(0.5)
open(sys.argv[1], 'w').write('ready')
while True:
    try:
        data, address = s.recvfrom(2000)
    except TimeoutError:
        continue
    arp = data[12:14] == bytes([8, 6]) and data[21] == 1
    nd = data[12:14] == bytes([0x86, 0xdd]) and data[20] == 58 and data[54] == 135
    if address[2] != 4 and (arp or nd):
        print('arp' if arp else 'nd', data.hex(), flush=True)
";

#[track_caller]
fn questions(host: &Host, container: &Container) -> Process {
    let file = host.path(&container.detail().port.name);
    let path = file.display().to_string();
    let process = container.spawn(&["python3", "-c", COUNT_QUESTIONS, &path]);
    wait_for("it listens", Duration::from_secs(10), || file.exists());
    process
}

#[track_caller]
fn heard(process: Process) -> String {
    process.signal(nix::sys::signal::Signal::SIGKILL);
    process.finish(Duration::from_secs(5)).stdout
}

#[test]
fn nobody_hears_a_question_that_the_switch_answers() {
    let host = Host::with_switch();
    let (a, b, c) = (host.container("a"), host.container("b"), host.container("c"));
    let before = host.stats().workers.iter().map(|worker| worker.consumed).sum::<u64>();
    let (at_b, at_c) = (questions(&host, &b), questions(&host, &c));
    for to in [b.v4(), b.v6(), c.v4(), a.gateway(), a.gateway6()] {
        a.ping(to);
    }
    let after = host.stats().workers.iter().map(|worker| worker.consumed).sum::<u64>();
    assert!(after >= before + 5, "{before} {after}");
    // Where it asks again whether a neighbour is still there, it asks that one alone.
    for seen in [heard(at_b), heard(at_c)] {
        let asked_all = |line: &&str| {
            let frame = line.split(' ').nth(1).expect("a frame");
            frame.starts_with("ffffffffffff") || frame.starts_with("3333ff")
        };
        assert_eq!(seen.lines().find(asked_all), None);
    }
    let neighbours = a.ok(&["ip", "neigh"]);
    assert!(neighbours.contains(&b.detail().port.mac.to_string()), "{neighbours}");
    host.balanced();
}

#[test]
fn duplicate_address_detection_reaches_who_has_the_address() {
    let host = Host::with_switch();
    let (a, b) = (host.container_with("a", &["--guard", "off"]), host.container("b"));
    let at_b = questions(&host, &b);
    a.ok(&["sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad"]);
    let taken = format!("{}/64", b.v6());
    a.ok(&["ip", "addr", "add", &taken, "dev", "eth0"]);
    wait_for("the duplicate is found", Duration::from_secs(10), || {
        a.ok(&["ip", "addr", "show", "dev", "eth0"]).contains("dadfailed")
    });
    assert!(heard(at_b).contains("nd "));
    host.balanced();
}

#[test]
fn an_address_behind_a_port_without_guard_is_its_containers_own_business() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container_with("b", &["--guard", "off"]));
    let at_b = questions(&host, &b);
    b.ok(&["ip", "link", "set", "eth0", "address", "02:00:00:00:0b:0b"]);
    a.ping(b.v4());
    assert!(heard(at_b).contains("arp "));
    assert!(a.ok(&["ip", "neigh"]).contains("02:00:00:00:0b:0b"));
}

/// The table takes 1,024 others, over all namespaces; permanent entries do not count.
#[test]
fn the_host_knows_its_containers_and_forgets_them() {
    let mut host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container_with("b", &["--guard", "off"]));
    let known = |host: &Host, of: &Container| {
        let table = host.netns().ok(&["ip", "neigh", "show", "dev", "br0", "nud", "permanent"]);
        [of.v4(), of.v6()].map(|address| {
            let row = format!("{address} lladdr {} PERMANENT", of.detail().port.mac);
            table.lines().any(|line| line.trim_end() == row)
        })
    };
    assert_eq!((known(&host, &a), known(&host, &b)), ([true; 2], [false; 2]));
    host.ok(&["port", "set", "a", "--guard", "off"]);
    host.ok(&["port", "set", "b", "--guard", "on"]);
    assert_eq!((known(&host, &a), known(&host, &b)), ([false; 2], [true; 2]));
    for of in [&a, &b] {
        host.netns().ok(&["ping", "-nqc1", "-W2", &of.v4().to_string()]);
        host.netns().ok(&["ping", "-nqc1", "-W2", &of.v6().to_string()]);
    }
    host.down();
    host.up(&[]);
    assert_eq!(known(&host, &b), [true; 2], "after a restart, too");
    host.ok(&["detach", "b"]);
    let table = host.netns().ok(&["ip", "neigh", "show", "dev", "br0", "nud", "permanent"]);
    assert_eq!(table, "");
}
