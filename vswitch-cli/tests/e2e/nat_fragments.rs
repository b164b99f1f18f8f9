//! Datagrams in fragments, from inside and from outside: all orders arrive, what overlaps does not.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{Collector, FAR4, FAR6, HOST4, HOST6, Netns, Process, READY_MAX, Remote, wait_for};

use crate::harness::{Container, Host};

/// Sends back what comes: `ADDR PORT`.
const ECHO: &str = "\
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.bind((sys.argv[1], int(sys.argv[2])))
while True:
    data, peer = s.recvfrom(65535)
    s.sendto(data, peer)
";

/// Sends datagrams of that length, and compares what comes back: `ADDR PORT LEN TIMES`.
const ASK_BACK: &str = "\
import os, socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2])))
for _ in range(int(sys.argv[4])):
    data = os.urandom(int(sys.argv[3]))
    s.send(data)
    assert s.recv(65535) == data
print('the same')
";

/// Begin of both scripts: `SRC DST PORT`. The end is in fragments as well, since tails may arrive a little
/// later than what came with them.
const PIECES: &str = "\
import hashlib
src, dst, port = sys.argv[1], sys.argv[2], int(sys.argv[3])

def pieces(ident, data, size=1400):
    whole = udp(src, 5555, dst, port, data)
    cuts = range(0, len(whole), size)
    return [ip(src, dst, UDP, whole[at:at + size], ident, at, at + size < len(whole)) for at in cuts]

def tell(data):
    print(len(data), hashlib.sha256(data).hexdigest())

def end():
    for packet in pieces(1, b'end' + bytes(2000)):
        send(packet)
";

/// Sends a datagram of 20,000 bytes in each of several orders, then `end`; prints their lengths and digests, as
/// a collector does.
const SHUFFLE: &str = "\
def shuffled(packets):
    return rng.sample(packets, len(packets))

orders = [list, lambda p: p[::-1], lambda p: p[1:] + p[:1], lambda p: p[::2] + p[1::2], shuffled]
# Twice the same fragment, of two: it is no overlap, though the second is of no use.
orders += [lambda p: p[3:4] + p[:5] + p[2:3] + p[5:]]
for ident, order in enumerate(orders, 1000):
    data = rng.randbytes(20000)
    for packet in order(pieces(ident, data)):
        send(packet)
    tell(data)
# Two packets at a time.
one, other = rng.randbytes(8000), rng.randbytes(8000)
for pair in zip(pieces(2000, one), pieces(2001, other)):
    for packet in pair:
        send(packet)
tell(one)
tell(other)
end()
";

/// Packets whose fragments overlap or contradict each other, in several orders, then `end`. Prints length and digest
/// of the datagram that may arrive all the same.
const OVERLAP: &str = "\
killed, kept = rng.randbytes(3000), rng.randbytes(3000)
evil = bytes(8) + rng.randbytes(3000)
size = 3008

def cut(data, first, last):
    whole = udp(src, 5555, dst, port, data)
    return (whole[first:last], first, last < size)

def parts(data):
    return cut(data, 0, 800), cut(data, 800, 1600), cut(data, 1600, size)

head, middle, tail = parts(killed)
cases = [
    # The middle reaches into its neighbours, before and behind.
    [head, (evil[:808], 792, True), tail],
    [head, (evil[:808], 800, True), tail],
    # Two ends, and one beyond the end.
    [head, (middle[0], 800, False), tail],
    [head, tail, (evil[:64], 4000, True), middle],
]
head, middle, tail = parts(kept)
cases += [
    # A head that is written over: other ports (teardrop and its kin).
    [head, (evil[:64], 8, True), middle, tail],
    [head, (evil[:64], 400, True), middle, tail],
]
ident = 3000
for case in cases:
    for order in (case, case[::-1], case[1:] + case[:1]):
        ident += 1
        for payload, offset, more in order:
            send(ip(src, dst, UDP, payload, ident, offset, more))
tell(kept)
end()
";

#[track_caller]
fn with_remote() -> (Host, Remote, Container) {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let a = host.container_with("a", &["-p", "5353:53/udp"]);
    (host, remote, a)
}

/// For each family: the container's, the host's and the far host's address.
fn sides(a: &Container) -> [[IpAddr; 3]; 2] {
    [[a.v4(), HOST4, FAR4], [a.v6(), HOST6, FAR6]]
}

#[track_caller]
fn echo(netns: &Netns, address: IpAddr, port: u16) -> Process {
    let (address, text) = (address.to_string(), port.to_string());
    let process = netns.spawn(&["python3", "-c", ECHO, &address, &text]);
    wait_for("somebody listens", READY_MAX, || {
        netns.ok(&["ss", "-lunH", &format!("sport = :{port}")]).contains(&text)
    });
    process
}

#[test]
fn large_datagrams_go_both_ways() {
    let (host, remote, a) = with_remote();
    for [inside, own, far] in sides(&a) {
        let _far = echo(remote.far(), far, 7000);
        let _inside = echo(&a, inside, 53);
        for (from, to, port) in [(&*a, far, "7000"), (remote.far(), own, "5353")] {
            let to = to.to_string();
            for length in ["1473", "20000", "60000"] {
                let said = from.ok(&["python3", "-c", ASK_BACK, &to, port, length, "5"]);
                assert_eq!(said, "the same\n", "{length} bytes to {to}");
            }
        }
    }
    host.balanced();
}

/// Runs the script both ways, for each family, against a collector.
#[track_caller]
fn both_ways(
    (host, remote, a): (&Host, &Remote, &Container),
    script: &str,
    check: impl Fn(&str, Vec<String>),
) {
    let script = &format!("{PIECES}{script}");
    for [inside, own, far] in sides(a) {
        let [inner, own, outer] = [inside, own, far].map(|address| address.to_string());
        // The next hop must be known before the fragment; this test is not about that.
        a.ping(far);
        remote.far().ping(own.parse().expect("an address"));
        let collector = Collector::start(remote.far(), far, 7000);
        let sent = a.craft(script, &[&inner, &outer, "7000"]);
        check(&sent, collector.collected());
        let collector = Collector::start(a, inside, 53);
        let sent = remote.far().craft(script, &[&outer, &own, "5353"]);
        check(&sent, collector.collected());
    }
    host.balanced();
}

#[test]
fn fragments_arrive_in_any_order() {
    let (host, remote, a) = with_remote();
    both_ways((&host, &remote, &a), SHUFFLE, |sent, mut came| {
        let mut sent: Vec<&str> = sent.lines().collect();
        sent.sort_unstable();
        came.sort_unstable();
        assert_eq!(came, sent);
    });
    // Those that came twice.
    assert_eq!(host.stats().drops.get("fragment-overlap"), Some(&8));
}

/// RFC 5722 for IPv6, and the same for IPv4: the packet does not arrive. A fragment that says nothing new counts as a
/// duplicate, as it does with Linux: where it comes after the others it is dropped alone.
#[test]
fn fragments_that_overlap_do_not_arrive() {
    let (host, remote, a) = with_remote();
    both_ways((&host, &remote, &a), OVERLAP, |sent, came| {
        assert!(came.iter().all(|line| line == sent.trim()), "{came:?}, not {sent}");
    });
    let dropped = |name: &str| {
        let drops = host.inspect(name).drops_by_reason;
        drops.get("fragment-overlap").copied().unwrap_or(0)
    };
    // Both families, 18 packets each, but for one that is whole, and of an impossible length, before its second
    // end comes.
    assert!(dropped("a") >= 34, "{:?}", host.inspect("a").drops_by_reason);
    wait_for("those from outside are counted", Duration::from_secs(5), || {
        let all = host.stats().drops.get("fragment-overlap").copied().unwrap_or(0);
        all >= dropped("a") + 34
    });
}
