//! Several networks in every mode of the switch: apart, out to the world, published, after a crash, and gone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, HOST6, Remote, Service, Snapshot};

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(5);
const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Containers on four networks: `a` is on `br0` and `zeta`.
struct Containers {
    a: Container,
    b: Container,
    z: Container,
    i: Container,
    _services: Vec<Service>,
}

/// `a` publishes 8080 on br0 and 8082 on zeta, `b` 8081 on blue. Each service tells its own port apart.
fn containers(host: &Host) -> Containers {
    host.ok(&["network", "create", "--mtu", "1400", "blue"]);
    host.ok(&["network", "create", "--isolated-ports", "zeta"]);
    host.ok(&["network", "create", "--internal", "isle"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    host.ok(&["network", "connect", "zeta", "a"]);
    host.ok(&["publish", "a@zeta", "8082:82"]);
    let b = host.container_with("b", &["--network", "blue", "-p", "8081:80"]);
    let z = host.container_with("z", &["--network", "zeta"]);
    let i = host.container_with("i", &["--network", "isle"]);
    let serve = |to: &Container, port| [ANY4, ANY6].map(|any| to.serve("tcp", any, port));
    let _services = [serve(&a, 80), serve(&a, 82), serve(&b, 80)].into_iter().flatten().collect();
    Containers { a, b, z, i, _services }
}

/// An address that is not there for `from`; silence costs a second.
#[track_caller]
fn is_out_of_reach(from: &Container, to: IpAddr) {
    let output = from.try_ping(to, 1);
    assert!(!output.status.success(), "reaches {to}\n{output}");
}

#[track_caller]
fn check(host: &Host, Containers { a, b, z, i, .. }: &Containers) {
    // Apart, in both families.
    is_out_of_reach(b, a.v4());
    is_out_of_reach(a, b.v6());
    is_out_of_reach(i, FAR4);
    // Isolated ports: a and z are on zeta.
    let zeta = host.inspect("a@zeta").port;
    is_out_of_reach(z, zeta.ipv4[0].into());
    // The gateway, the host and the world.
    for container in [a, b, z] {
        for to in [container.gateway(), container.gateway6(), FAR4, FAR6] {
            container.ping_soon(to, SOON);
        }
    }
    i.ping(i.gateway());
    assert!(b.ok(&["ip", "link", "show", "eth0"]).contains("mtu 1400"));
    // Asked from a subnet of its other network, `a` answers by the interface that was asked.
    for (from, to) in [(z.gateway(), a.v4()), (z.gateway6(), a.v6())] {
        let (from, to) = (from.to_string(), to.to_string());
        host.netns().ok(&["ping", "-c1", "-W2", "-I", &from, &to]);
    }
    // Published: to the LAN, to the host, and to each network, also its own.
    let loopback = "127.0.0.1".parse().expect("an address");
    for (port, to, from) in [(8080, HOST4, b), (8081, HOST6, z), (8082, HOST4, a)] {
        host.lan().ask("tcp", if to == HOST4 { HOST6 } else { HOST4 }, port);
        host.netns().ask("tcp", loopback, port);
        from.ask("tcp", to, port);
    }
}

fn works(args: &[&str]) {
    let mut host = Host::new();
    let _remote = Remote::new(host.net());
    if args.contains(&"kernel") {
        // The switch leaves it to the user.
        host.netns().set_sysctl("net/ipv6/conf/all/forwarding", "1");
    }
    let before = Snapshot::take(host.netns());
    host.up(args);
    let containers = containers(&host);
    check(&host, &containers);
    if args.contains(&"kernel") {
        let set = host.netns().ok(&["nft", "list", "set", "ip", "vswitch-br0", "bridges"]);
        let devices = ["br0", "br-blue", "br-zeta", "br-isle"];
        assert!(devices.iter().all(|device| set.contains(&format!("\"{device}\""))), "{set}");
        // The owner of the tables is the daemon.
        host.netns().ok(&["nft", "flush", "ruleset"]);
        host.lan().ask("tcp", HOST4, 8081);
    }
    host.balanced();
    host.kill();
    host.up(args);
    containers.z.ping_soon(FAR6, SOON);
    is_out_of_reach(&containers.b, containers.a.v6());
    for (port, to) in [(8080, HOST4), (8081, HOST6), (8082, HOST4)] {
        host.lan().ask("tcp", to, port);
    }
    host.balanced();
    host.down();
    before.assert_same(&Snapshot::take(host.netns()));
}

#[test]
fn by_io_uring() {
    works(&["--uplink", "auto"]);
}

#[test]
fn by_two_workers() {
    works(&["--uplink", "auto", "--workers", "2"]);
}

#[test]
fn by_epoll() {
    works(&["--uplink", "auto", "--backend", "epoll"]);
}

#[test]
fn by_the_kernel() {
    works(&["--uplink", "kernel"]);
}
