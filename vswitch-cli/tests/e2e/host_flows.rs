//! Flows of the host to a published port follow it from container to container. They hang on the kernel's connection
//! tracking, which decides by their first packet alone.

use std::net::IpAddr;

use testkit::{HOST4, HOST6, Netns, Process, READY_MAX, Remote, wait_for};

use crate::harness::{Container, Host};

const PORT: u16 = 8125;
const PUBLISHED: [&str; 2] = ["-p", "8125:125/udp"];

/// Sends each address to itself for ever, each by a socket that stays open: `PORT ADDR...`.
const CHATTER: &str = "\
import socket, sys, time
flows = []
for address in sys.argv[2:]:
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    flows.append((s, (address, int(sys.argv[1])), address.encode()))
while True:
    for s, to, said in flows:
        try:
            s.sendto(said, to)
        except OSError:
            pass
    time.sleep(0.05)
";

/// Prints the first datagrams that differ: `SECONDS COUNT PORT ADDR...`.
const HEAR: &str = "\
import select, socket, sys, time
limit, count, port = time.time() + float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
sockets, heard = [], set()
for address in sys.argv[4:]:
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
    s.bind((address, port))
    sockets.append(s)
while len(heard) < count and time.time() < limit:
    for s in select.select(sockets, [], [], 0.1)[0]:
        heard.add(s.recv(100).decode())
print(' '.join(sorted(heard)))
";

/// Sockets of the host that never stop sending to a published port.
fn chatter(host: &Host, addresses: &[IpAddr]) -> Process {
    let mut args: Vec<String> =
        ["python3", "-c", CHATTER, &PORT.to_string()].map(str::to_owned).into();
    args.extend(addresses.iter().map(ToString::to_string));
    host.netns().spawn(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What a container hears within some seconds: all of `addresses`.
#[track_caller]
fn hears(container: &Container, addresses: &[IpAddr]) {
    let mut wanted: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    wanted.sort();
    let (count, own) =
        (wanted.len().to_string(), [container.v4(), container.v6()].map(|it| it.to_string()));
    let heard = container.ok(&["python3", "-c", HEAR, "8", &count, "125", &own[0], &own[1]]);
    assert_eq!(heard.trim(), wanted.join(" "));
}

/// Sends one datagram by each family.
fn say(from: &Netns) {
    let send = "import socket, sys\n\
        for a in sys.argv[1:]:\n    \
            s = socket.socket(socket.AF_INET6 if ':' in a else socket.AF_INET, socket.SOCK_DGRAM)\n    \
            s.sendto(b'x', (a, 8125))";
    let [v4, v6] = [HOST4, HOST6].map(|it| it.to_string());
    from.ok(&["python3", "-c", send, &v4, &v6]);
}

fn flows(host: &Host) -> usize {
    let table = host.netns().ok(&["sh", "-c", "cat /proc/net/nf_conntrack 2>/dev/null || true"]);
    table.lines().filter(|line| line.contains("dport=8125 ")).count()
}

#[test]
fn udp_sockets_of_the_host_reach_the_successor_of_a_dead_container() {
    for mode in ["auto", "kernel"] {
        let mut host = Host::new();
        host.up(&["--uplink", mode]);
        let all = ["127.0.0.1".parse().expect("an address"), HOST4, HOST6];
        // It begins before anything is published: the kernel notes flows to nobody.
        let _chatter = chatter(&host, &all);
        let first = host.container_with("first", &PUBLISHED);
        hears(&first, &all);
        drop(first);
        wait_for("the port is gone", READY_MAX, || host.ls().is_empty());
        let second = host.container_with("second", &PUBLISHED);
        hears(&second, &all);
        host.ok(&["unpublish", "second", "8125:125/udp"]);
        // Its former flows go to nobody, and those to the next one are new.
        let third = host.container_with("third", &PUBLISHED);
        hears(&third, &all);
    }
}

/// What a publication left in the kernel goes by `unpublish`, by `down`, and by the clean-up after a crash. Clients from
/// outside show it: the kernel ends the host's own flows with the bridge in any case.
#[test]
fn flows_in_the_kernel_end_with_their_publication() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.netns().set_sysctl("net/ipv6/conf/all/forwarding", "1");
    host.up(&["--uplink", "kernel"]);
    let container = host.container_with("a", &PUBLISHED);
    let begin = |host: &Host| {
        say(remote.far());
        wait_for("a flow of each family", READY_MAX, || flows(host) == 2);
    };
    begin(&host);
    host.ok(&["unpublish", "a", "8125:125/udp"]);
    assert_eq!(flows(&host), 0, "after unpublish");
    host.ok(&["publish", "a", "8125:125/udp"]);
    begin(&host);
    host.down();
    assert_eq!(flows(&host), 0, "after down");
    host.up(&["--uplink", "kernel"]);
    begin(&host);
    host.kill();
    drop(container);
    host.ok(&["down"]);
    assert_eq!(flows(&host), 0, "after a crash");
}
