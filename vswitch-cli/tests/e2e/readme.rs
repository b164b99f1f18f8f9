//! Commands of README, typed as written.

use crate::harness::Host;

/// README's session: up, two namespaces attached, ping, ls, fdb, down.
#[test]
fn two_namespaces_talk() {
    let mut host = Host::new();
    host.up_detached(&[]);
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    a.ping(b.v6());
    b.ping(a.v4());

    let ls = host.ok(&["ls"]);
    let fdb = host.ok(&["fdb"]);
    for container in [&a, &b] {
        let port = &container.detail().port;
        assert!(ls.contains(&port.name) && ls.contains(&port.ipv4[0].to_string()), "{ls}");
        assert!(fdb.contains(&port.mac.to_string()), "{} is not in\n{fdb}", port.mac);
    }
    host.down();
    assert_eq!(host.netns().links(), ["nic0"]);
    assert!(a.links().is_empty(), "the interface is gone with the switch");
}

#[test]
fn host_and_containers_reach_each_other_through_the_gateway() {
    let host = Host::with_switch();
    let a = host.container("a");
    let detail = a.detail();
    let (gateway, gateway6) = (detail.gateways[0], detail.gateways[1]);
    a.ping(gateway);
    a.ping(gateway6);
    host.netns().ping(a.v4());
    host.netns().ping(a.v6());
    // An address of the host beyond the subnet, by the default route.
    a.ping([192, 0, 2, 1].into());
}

#[test]
fn addresses_are_usable_the_moment_attach_returns() {
    let host = Host::with_switch();
    let a = host.container("a");
    // Binding a tentative address fails: duplicate address detection is off for ours.
    let bind = "import socket, sys; socket.create_server((sys.argv[1], 0), family=socket.AF_INET6)";
    a.ok(&["python3", "-c", bind, &a.v6().to_string()]);
    let shown = a.ok(&["ip", "-o", "address", "show", "dev", "eth0", "scope", "global"]);
    assert!(shown.contains(&a.v4().to_string()) && shown.contains(&a.v6().to_string()), "{shown}");
    assert!(!shown.contains("tentative"), "{shown}");
    let routes = a.ok(&["ip", "route"]);
    assert!(routes.contains(&format!("default via {}", a.gateway())), "{routes}");
    let routes = a.ok(&["ip", "-6", "route"]);
    assert!(routes.contains(&format!("default via {}", a.gateway6())), "{routes}");
}
