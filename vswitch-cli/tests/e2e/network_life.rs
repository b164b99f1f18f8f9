//! The life of networks: created and removed a hundred times, left in every order, under traffic.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use testkit::{FAR4, Flow, HOST4, HOST6, Snapshot};

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(5);
const ANY4: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

/// Open files of the daemon.
fn descriptors(host: &Host) -> usize {
    let files = format!("/proc/{}/fd", host.daemon_pid());
    std::fs::read_dir(files).expect("the daemon's files").count()
}

#[test]
fn a_hundred_networks_that_come_and_go_leave_nothing() {
    let (host, _remote, a) = Host::with_remote();
    let names = ["n0", "n1", "n2", "n3", "n4"];
    let cycle = || {
        for name in names {
            host.ok(&["network", "create", name]);
        }
        host.ok(&["network", "connect", "n0", "a"]);
        host.ok(&["publish", "a@n0", "8080:80"]);
        host.ok(&[&["network", "rm", "--force"], &names[..]].concat());
        host.ok(&["unpublish", "a", "8080:80"]);
    };
    cycle();
    let (before, files) = ([Snapshot::take(host.netns()), Snapshot::take(&a)], descriptors(&host));
    (0..20).for_each(|_| cycle());
    before[0].assert_same(&Snapshot::take(host.netns()));
    before[1].assert_same(&Snapshot::take(&a));
    assert_eq!(descriptors(&host), files);
    a.ping(FAR4);
    host.balanced();
}

/// Of equal priorities the first name has the default route and the publications, as Docker has it.
#[test]
fn three_networks_are_left_in_every_order() {
    let (host, _remote, a) = Host::with_remote();
    let names = ["alpha", "br0", "zeta"];
    for name in ["alpha", "zeta"] {
        host.ok(&["network", "create", name]);
    }
    let _services = [ANY4, ANY6].map(|any| a.serve("tcp", any, 80));
    host.ok(&["publish", "a", "8080:80"]);
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for name in names {
            host.vswitch(&["network", "connect", name, "a"]);
        }
        // Publications stay where they are while the default route moves.
        let mut left = names.to_vec();
        for n in &order[..2] {
            host.ok(&["network", "disconnect", names[*n], "a"]);
            left.retain(|name| name != &names[*n]);
            let ports = host.ls();
            let on = |name: &str| ports.iter().find(|port| port.network == name).expect("it");
            for family in ["-4", "-6"] {
                let route = a.ok(&["ip", family, "route", "show", "default"]);
                assert_eq!(route.lines().count(), 1, "{order:?} {route}");
                let device = format!("dev {} ", on(left[0]).ifname);
                assert!(route.contains(&device), "{order:?} {left:?} {route}");
            }
            assert_eq!(ports.iter().map(|port| port.publish.len()).sum::<usize>(), 1, "{order:?}");
        }
        host.lan().ask("tcp", HOST4, 8080);
        host.lan().ask("tcp", HOST6, 8080);
        assert_eq!(a.ok(&["ip", "rule"]).lines().count(), 3, "{order:?}");
    }
    a.ping(FAR4);
    host.balanced();
}

/// The daemon ends and comes back under connections over the layer 2 of two networks, and one of them goes.
#[test]
fn traffic_goes_on_over_a_restart_and_beside_a_network_that_goes() {
    let mut host = Host::with_switch_args(&["--uplink", "auto"]);
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "create", "red"]);
    let on = |name, network| host.container_with(name, &["--network", network]);
    let (b1, b2) = (on("b1", "blue"), on("b2", "blue"));
    let (r1, r2) = (on("r1", "red"), on("r2", "red"));
    host.ok(&["network", "connect", "red", "b1"]);
    let (blue, red) = (Flow::start(&b1, &b2, b2.v4()), Flow::start(&r1, &r2, r2.v4()));
    let before = host.ls();
    host.kill();
    host.up(&["--uplink", "auto"]);
    host.down();
    host.up(&["--uplink", "auto"]);
    let after = host.ls();
    assert_eq!(before.len(), after.len());
    for (one, other) in before.iter().zip(&after) {
        assert_eq!((&one.ipv4, &one.ipv6, &one.mac), (&other.ipv4, &other.ipv6, &other.mac));
        assert_eq!(
            (&one.name, &one.network, &one.ifname),
            (&other.name, &other.network, &other.ifname)
        );
    }
    b1.ping_soon(b2.v4(), SOON);
    host.ok(&["network", "rm", "--force", "red"]);
    blue.arrives();
    drop(red);
    assert!(r1.links().is_empty() && b1.links() == ["eth0"]);
    host.balanced();
}

/// `m` is on `blue`, which `zeta` may ask, and on `zeta` itself: it answers by `blue`, where it was asked.
#[test]
fn an_answer_into_a_subnet_of_another_network_leaves_where_it_was_asked() {
    let mut host = Host::with_switch_args(&["--uplink", "auto"]);
    host.ok(&["network", "create", "zeta"]);
    host.ok(&["network", "create", "--reachable-from", "zeta", "blue"]);
    let z = host.container_with("z", &["--network", "zeta"]);
    let m = host.container_with("m", &["--network", "blue"]);
    host.ok(&["network", "connect", "zeta", "m"]);
    let _services = [ANY4, ANY6].map(|any| m.serve("tcp", any, 80));
    for address in [m.v4(), m.v6()] {
        z.ping(address);
        z.ask("tcp", address, 80);
    }
    // A later network of the same name has no rights from it.
    host.ok(&["network", "rm", "--force", "zeta"]);
    host.kill();
    host.up(&["--uplink", "auto"]);
    host.ok(&["network", "create", "zeta"]);
    let z = Container::attach(&host, z.into_netns(), "z", &["--network", "zeta"]);
    assert!(
        !z.try_ping(m.v4(), 1).status.success(),
        "{}",
        host.ok(&["network", "inspect", "blue"])
    );
    host.balanced();
}
