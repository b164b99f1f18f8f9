//! Published ports for devices that are no uplinks, on a host that does not forward: the switch relays.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{HOST4, HOST6, Netns, Process, Remote, join, wait_for};

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(10);
const ANY4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

/// The host's addresses on docker0.
pub(crate) const NEAR: [&str; 2] = ["172.17.0.1", "fd17::1"];

const REFUSED: &str = "ConnectionRefusedError";
const RESET: &str = "ConnectionResetError";
const SILENT: &str = "TimeoutError";

/// Sends back what it gets, by UDP: `PORT`.
const ECHO: &str = "\
import socket, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(('::', int(sys.argv[1])))
while True:
    data, peer = s.recvfrom(65535)
    s.sendto(data, peer)
";

/// Sends datagrams of these lengths, and prints that of each answer: `ADDR PORT LENGTH...`.
const SEND: &str = "\
import socket, sys
address, port = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect((address, port))
for length in sys.argv[3:]:
    sent = b'x' * int(length)
    s.send(sent)
    print(s.recv(65535) == sent)
";

/// Asks several ports, each twice, from one socket, and prints which it was that answered: `ADDR PORT...`.
const ASK_FROM_ONE: &str = "\
import socket, sys
address = sys.argv[1]
s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
for port in sys.argv[2:] * 2:
    s.sendto(b'who am I?', (address, int(port)))
    _, peer = s.recvfrom(100)
    print(peer[0], peer[1])
";

/// Connects, says so in a file, and then what ended the connection: `ADDR PORT FILE`.
const HOLD: &str = "\
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def say(text):
    with open(sys.argv[3], 'a') as file: print(text, file=file)
say('open')
try:
    said = s.recv(1)
    say('closed')
except OSError as error:
    say(type(error).__name__)
";

/// Accepts connections and keeps them: `PORT`.
const KEEP: &str = "\
import socket, sys
listener = socket.create_server(('::', int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
kept = []
while True: kept.append(listener.accept())
";

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A container of docker0, whose device is no uplink.
pub(crate) fn docker0(host: &Host) -> Netns {
    let docker = Netns::new("docker");
    join(host.netns(), "veth0", &docker, "eth0");
    host.netns().run_lines(&[
        "ip link add docker0 type bridge",
        "ip link set veth0 master docker0",
        "ip link set docker0 up",
        "ip addr add 172.17.0.1/16 dev docker0",
        "ip addr add fd17::1/64 dev docker0 nodad",
    ]);
    docker.run_lines(&[
        "ip addr add 172.17.0.2/16 dev eth0",
        "ip addr add fd17::2/64 dev eth0 nodad",
        "ip route add default via 172.17.0.1",
        "ip route add default via fd17::1",
    ]);
    docker
}

fn forward(host: &Host, value: &str) {
    host.netns().set_sysctl("net/ipv4/ip_forward", value);
    host.netns().set_sysctl("net/ipv6/conf/all/forwarding", value);
}

/// A switch on a host that does not forward, and a container of docker0 there.
fn without_forwarding(args: &[&str]) -> (Host, Netns) {
    let mut host = Host::new();
    forward(&host, "0");
    let docker = docker0(&host);
    host.up(args);
    (host, docker)
}

/// A service of both protocols and families.
fn serve(container: &Container, port: u16) -> Vec<testkit::Service> {
    let own = [container.v4(), container.v6()];
    let all = own.map(|own| ["tcp", "udp"].map(|it| container.serve(it, own, port)));
    all.into_iter().flatten().collect()
}

/// At all addresses and ports, both protocols and families, and by another NIC that is left out; the server sees the gateway.
#[test]
fn a_published_port_is_reached_by_devices_that_are_no_uplinks() {
    let (host, docker) = without_forwarding(&["--uplink", "nic0"]);
    let left_out = Netns::new("lan2");
    join(host.netns(), "nic2", &left_out, "nic3");
    host.netns().run_lines(&[
        "ip addr add 203.0.113.1/24 dev nic2",
        "ip addr add 2001:db8:2::1/64 dev nic2 nodad",
    ]);
    left_out.run_lines(&[
        "ip addr add 203.0.113.254/24 dev nic3",
        "ip addr add 2001:db8:2::254/64 dev nic3 nodad",
        "ip route add default via 203.0.113.1",
        "ip route add default via 2001:db8:2::1",
    ]);
    let ports = ["8080:80", "8080:80/udp", "9000-9099:80-179", "9200-9299:9200-9299/udp"];
    let web = host.container_with("web", &ports.map(|port| ["-p", port]).concat());
    let _services = serve(&web, 80);
    let _ranges = [web.serve("tcp", ANY4, 130), web.serve("tcp", ANY6, 130)];
    let _long = [web.serve("udp", web.v4(), 9250), web.serve("udp", web.v6(), 9250)];
    let asked = ["tcp/8080", "udp/8080", "tcp/9050", "udp/9250"];
    for (client, near) in [(&docker, NEAR), (&left_out, ["203.0.113.1", "2001:db8:2::1"])] {
        let gateways = [web.gateway(), web.gateway6()];
        for ((own, near), gateway) in [HOST4, HOST6].iter().zip(near).zip(gateways) {
            for at in [*own, address(near)] {
                let said = client.ask_each(at, &asked);
                assert_eq!(said, vec![gateway.to_string(); 4], "{at}\n{}", host.log());
            }
        }
    }
    large_datagrams(&host, &web, &docker);
    // Flows that only their destination tells apart.
    for at in NEAR {
        let said = docker.ok(&["python3", "-c", ASK_FROM_ONE, at, "8080", "9250"]);
        assert_eq!(said, format!("{at} 8080\n{at} 9250\n").repeat(2));
    }
    // The host's own clients, as before.
    for at in [HOST4, HOST6, address("127.0.0.1"), address("::1"), address(NEAR[0])] {
        assert!(host.netns().can_ask("tcp", at, 8080) && host.netns().can_ask("udp", at, 8080));
    }
    host.balanced();
}

/// Datagrams above the MTU, both ways.
fn large_datagrams(host: &Host, web: &Container, docker: &Netns) {
    host.ok(&["publish", "web", "7000:7000/udp"]);
    let _echo = web.spawn(&["python3", "-c", ECHO, "7000"]);
    wait_for("it listens", SOON, || web.ok(&["ss", "-lunH"]).contains(":7000"));
    for at in NEAR {
        let said = docker.ok(&["python3", "-c", SEND, at, "7000", "0", "1472", "9000", "60000"]);
        assert_eq!(said, "True\n".repeat(4), "{at}");
    }
}

/// Of an address, of some senders, of the loopback device, of another network: only these.
#[test]
fn what_limits_a_publication_holds_for_relayed_clients() {
    let (host, docker) = without_forwarding(&["--uplink", "auto"]);
    limits_hold(&host, &docker);
}

/// The same where the kernel forwards, and translates.
#[test]
fn what_limits_a_publication_holds_where_the_kernel_forwards() {
    let (host, docker) = without_forwarding(&["--uplink", "auto"]);
    forward(&host, "1");
    limits_hold(&host, &docker);
}

fn limits_hold(host: &Host, docker: &Netns) {
    host.ok(&["network", "create", "inner", "--subnet", "10.77.0.0/24", "--internal"]);
    let both = |port: &str| [port.to_owned(), format!("{port}/udp")];
    let publish = |name: &str, ports: &[&str], options: &[&str]| {
        let ports: Vec<String> = ports.iter().flat_map(|port| both(port)).collect();
        let args = ports.iter().flat_map(|port| ["-p", port.as_str()]);
        let container =
            host.container_with(name, &args.chain(options.iter().copied()).collect::<Vec<_>>());
        let services = serve(&container, 80);
        (container, services)
    };
    let _web = publish(
        "web",
        &[
            "8080:80",
            "172.17.0.1:8083:80",
            "[fd17::1]:8084:80",
            "127.0.0.1:8085:80",
            "[::1]:8086:80",
        ],
        &[],
    );
    let _limited = publish("limited", &["8081:80"], &["--allow-from", "198.51.100.0/24"]);
    let sources = ["--allow-from", "172.17.0.0/16", "--allow-from", "fd17::/64"];
    let _allowed = publish("allowed", &["8082:80"], &sources);
    let all: Vec<String> =
        (8080..=8086).flat_map(|n| [format!("tcp/{n}"), format!("udp/{n}")]).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let asked = |client: &Netns, at: IpAddr| {
        let said = client.ask_each(at, &all);
        let open = said.iter().zip(&all).filter(|(said, _)| said.parse::<IpAddr>().is_ok());
        let open: Vec<&str> = open.map(|(_, what)| *what).collect();
        (open, said)
    };
    let open = |at: &str, ports: &[u16]| {
        let ports: Vec<String> =
            ports.iter().flat_map(|port| [format!("tcp/{port}"), format!("udp/{port}")]).collect();
        wait_for(&format!("open at {at}: {ports:?}"), SOON, || {
            asked(docker, address(at)).0 == ports
        });
    };
    open(&HOST4.to_string(), &[8080, 8082]);
    open(&HOST6.to_string(), &[8080, 8082]);
    open(NEAR[0], &[8080, 8082, 8083]);
    open(NEAR[1], &[8080, 8082, 8084]);
    // A sender that may not is refused at once.
    let said = docker.ask_each(HOST4, &["tcp/8081"]);
    assert_eq!(said, [REFUSED]);
    // Containers of an internal network reach nothing.
    let inner = host.container_with("inner", &["--network", "inner"]);
    for at in [inner.gateway(), HOST4] {
        let said = inner.ask_each(at, &["tcp/8080", "udp/8080", "tcp/8082"]);
        assert!(said.iter().all(|said| said.parse::<IpAddr>().is_err()), "{at}: {said:?}");
    }
    loopback_is_the_hosts(host, docker);
    host.balanced();
}

/// A neighbour that routes 127.0.0.0/8 to the host, which takes such packets in.
fn loopback_is_the_hosts(host: &Host, docker: &Netns) {
    host.netns().set_sysctl("net/ipv4/conf/docker0/route_localnet", "1");
    docker.set_sysctl("net/ipv4/conf/eth0/route_localnet", "1");
    docker.run_lines(&[
        "ip addr del 127.0.0.1/8 dev lo",
        "ip route add 127.0.0.0/8 via 172.17.0.1 src 172.17.0.2",
    ]);
    let _server = host.netns().serve("tcp", address("127.0.0.1"), 7777);
    assert!(docker.can_ask("tcp", address("127.0.0.1"), 7777), "packets arrive");
    for port in [8080, 8085] {
        for protocol in ["tcp", "udp"] {
            assert!(!docker.can_ask(protocol, address("127.0.0.1"), port), "{protocol}/{port}");
        }
    }
}

/// A container without a server: the client is told, by either protocol. One that listens by IPv4 alone is reached by both.
#[test]
fn a_relayed_client_is_told_that_its_container_refuses() {
    let (host, docker) = without_forwarding(&["--uplink", "auto"]);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "8080:80/udp"]);
    for near in NEAR.map(address) {
        assert_eq!(docker.ask_each(near, &["tcp/8080", "udp/8080"]), [RESET, REFUSED], "{near}");
    }
    let _tcp = web.serve("tcp", ANY4, 80);
    let _udp = web.serve("udp", ANY4, 80);
    for near in NEAR.map(address) {
        let said = docker.ask_each(near, &["tcp/8080", "udp/8080"]);
        assert_eq!(said, [web.gateway().to_string(), web.gateway().to_string()], "{near}");
    }
    host.balanced();
}

/// A connection ends with its publication, which may then be made again at once, though the other end closes last.
#[test]
fn relayed_connections_end_with_their_publication() {
    let (host, docker) = without_forwarding(&["--uplink", "auto"]);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "8081:80"]);
    let file = host.path("held");
    let said = || std::fs::read_to_string(&file).unwrap_or_default();
    for near in NEAR {
        let keeper = web.spawn(&["python3", "-c", KEEP, "80"]);
        wait_for("it listens", SOON, || web.ok(&["ss", "-ltnH"]).contains(":80"));
        let _client: Process =
            docker.spawn(&["python3", "-c", HOLD, near, "8080", file.to_str().expect("UTF-8")]);
        wait_for("the connection", SOON, || said() == "open\n");
        host.ok(&["unpublish", "web", "8081:80"]);
        host.ok(&["unpublish", "web", "8080:80"]);
        wait_for("its end", SOON, || said() != "open\n");
        assert_eq!(said(), format!("open\n{RESET}\n"));
        assert_eq!(docker.ask_each(address(near), &["tcp/8080"]), [REFUSED]);
        host.ok(&["publish", "web", "8080:80"]);
        host.ok(&["publish", "web", "8081:80"]);
        drop(keeper);
        let _server = [web.serve("tcp", ANY4, 80), web.serve("tcp", ANY6, 80)];
        // The server closes first, so the proxy's end of the connection is in TIME_WAIT.
        assert!(docker.can_ask("tcp", address(near), 8080));
        host.ok(&["unpublish", "web", "8080:80"]);
        host.ok(&["publish", "web", "8080:80"]);
        assert!(docker.can_ask("tcp", address(near), 8080));
        std::fs::remove_file(&file).expect("the file");
    }
    host.balanced();
}

/// A UDP client that never stops sending, while the host begins to forward, and stops: its port stays the same.
#[test]
fn relayed_clients_go_on_when_the_host_begins_to_forward() {
    let (host, docker) = without_forwarding(&["--uplink", "auto"]);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "8080:80/udp"]);
    let _services = serve(&web, 80);
    for on in ["0", "1", "0"] {
        forward(&host, on);
        for near in NEAR.map(address) {
            for protocol in ["tcp", "udp"] {
                wait_for(&format!("{protocol} {near} forwarding {on}"), SOON, || {
                    let port = if protocol == "udp" { "5555" } else { "0" };
                    let args =
                        ["python3", "-c", testkit::ASK, protocol, &near.to_string(), "8080", port];
                    docker.exec(&args).status.success()
                });
            }
        }
    }
    host.balanced();
}

/// The port of the proxy: the only one that listens at all IPv4 addresses.
fn own_port(host: &Host) -> u16 {
    let sockets = host.netns().ok(&["ss", "-ltnH"]);
    let own = sockets.split_whitespace().filter_map(|word| word.strip_prefix("0.0.0.0:"));
    let ports: Vec<u16> = own.filter_map(|port| port.parse().ok()).collect();
    let [port] = ports[..] else { panic!("the proxy's port of {ports:?}:\n{sockets}") };
    port
}

/// The host's rules judge relayed packets, unlike those of an uplink. Nobody reaches the proxy's own port, unless it is
/// published; `down` leaves nothing.
#[test]
fn the_hosts_firewall_sees_relayed_packets() {
    let (mut host, docker) = without_forwarding(&["--uplink", "auto"]);
    let remote = Remote::new(host.net());
    let web = host.container_with("web", &["-p", "8080:80", "-p", "8080:80/udp"]);
    let _services = serve(&web, 80);
    let near = address(NEAR[0]);
    assert!(docker.can_ask("tcp", near, 8080));
    let rules = "table inet fw { chain in { type filter hook input priority 0; iifname \"docker0\" meta l4proto { tcp, udp } ct original proto-dst 8080 drop\n}\n}";
    host.netns().ok(&["nft", rules]);
    assert_eq!(docker.ask_each(near, &["tcp/8080", "udp/8080"]), [SILENT, SILENT]);
    host.netns().ok(&["nft", "delete", "table", "inet", "fw"]);
    assert!(docker.can_ask("udp", near, 8080));
    let port = own_port(&host);
    let asked = [format!("tcp/{port}"), format!("udp/{port}")];
    let asked = [asked[0].as_str(), &asked[1]];
    for at in [HOST4, HOST6] {
        for client in [&docker, remote.far(), &*web] {
            assert_eq!(client.ask_each(at, &asked), [SILENT, SILENT], "{at}");
        }
    }
    // Unless it is published: then it is as any other.
    let ports = [format!("{port}:80"), format!("{port}:80/udp")];
    ports.iter().for_each(|ports| _ = host.ok(&["publish", "web", ports]));
    for at in [HOST4, HOST6] {
        for client in [&docker, remote.far(), host.netns()] {
            for protocol in ["tcp", "udp"] {
                assert!(client.can_ask(protocol, at, port), "{protocol} {at}");
            }
        }
    }
    for at in ["127.0.0.1", "::1"] {
        assert!(host.netns().can_ask("tcp", address(at), port), "{at}");
        assert!(host.netns().can_ask("udp", address(at), port), "{at}");
    }
    ports.iter().for_each(|ports| _ = host.ok(&["unpublish", "web", ports]));
    assert_eq!(docker.ask_each(HOST4, &asked), [SILENT, SILENT]);
    let file = host.path("held");
    let _keeper = web.spawn(&["python3", "-c", KEEP, "81"]);
    host.ok(&["publish", "web", "8081:81"]);
    wait_for("it listens", SOON, || web.ok(&["ss", "-ltnH"]).contains(":81"));
    let args = ["python3", "-c", HOLD, NEAR[0], "8081", file.to_str().expect("UTF-8")];
    let _client: Process = docker.spawn(&args);
    let said = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_for("the connection", SOON, || said() == "open\n");
    host.down();
    wait_for("its end", SOON, || said() == format!("open\n{RESET}\n"));
    let after = host.netns().ok(&["ss", "-lntuH"]);
    assert!(after.is_empty(), "{after}");
    assert_eq!(docker.ask_each(near, &["tcp/8080", "udp/8080"]), [REFUSED, REFUSED]);
}
