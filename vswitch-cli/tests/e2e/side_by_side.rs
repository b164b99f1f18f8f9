//! Two daemons on one host, with other names, sockets and state directories.

use testkit::Snapshot;

use crate::harness::Host;

#[test]
fn two_switches_on_one_host() {
    let mut first = Host::new();
    let before = Snapshot::take(first.netns());
    let mut second = first.beside("br1");
    first.up(&["--subnet", "10.91.0.0/24"]);
    second.up(&["--subnet", "10.92.0.0/24", "--snat-ports", "12000-19999"]);

    // The same name on both is no conflict.
    let (a1, b1) = (first.container("a"), first.container("b"));
    let (a2, b2) = (second.container("a"), second.container("b"));
    a1.ping(b1.v4());
    a2.ping(b2.v6());
    assert_eq!((first.ls().len(), second.ls().len()), (2, 2));
    assert!(a1.v4().to_string().starts_with("10.91.0."));
    assert!(a2.v4().to_string().starts_with("10.92.0."));
    let mac = &a2.detail().port.mac.to_string();
    assert!(!first.ok(&["fdb"]).contains(mac), "frames went from one switch to the other");

    first.down();
    a2.ping(b2.v4());
    assert_eq!(first.netns().links(), ["nic0", "br1", "up-br1"]);
    second.down();
    before.assert_same(&Snapshot::take(first.netns()));
}

/// One container on both.
#[test]
fn a_container_on_two_switches() {
    let mut first = Host::new();
    let mut second = first.beside("br1");
    first.up(&["--subnet", "10.91.0.0/24"]);
    second.up(&["--subnet", "10.92.0.0/24", "--snat-ports", "12000-19999"]);
    let (a, b) = (first.container("a"), second.container("b"));
    second.ok(&["attach", "--netns", a.name(), "--name", "a"]);
    assert_eq!(a.links(), ["eth0", "eth1"]);
    a.ping(b.v4());
    first.down();
    assert_eq!(a.links(), ["eth1"]);
    a.ping(b.v4());
}

#[test]
fn the_same_subnet_twice_is_refused() {
    let first = Host::with_switch_args(&["--subnet", "10.91.0.0/24"]);
    let second = first.beside("br1");
    second.fails(&["up", "--bridge", "br1", "--subnet", "10.91.0.0/16"], &[1], "10.91.0.0/16");
}

/// Their answers would go astray.
#[test]
fn the_same_ports_to_appear_from_are_refused() {
    let first = Host::with_switch_args(&["--subnet", "10.91.0.0/24"]);
    let second = first.beside("br1");
    let said = second.fails(&["up", "--bridge", "br1", "--subnet", "10.92.0.0/24"], &[1], "br0");
    assert!(said.contains("20000-29999") && said.contains("--snat-ports"), "{said}");
    assert_eq!(first.netns().links(), ["nic0", "br0", "up-br0"]);
}
