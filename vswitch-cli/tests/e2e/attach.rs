//! `attach` and `detach`: the forms of a namespace, and what can be fixed.

use std::process::Stdio;

use crate::harness::{Container, Host};

#[test]
fn by_name() {
    let host = Host::with_switch();
    let a = host.container("a");
    assert_eq!(a.links(), ["eth0"]);
    a.ping(a.gateway());
}

#[test]
fn by_path() {
    let host = Host::with_switch();
    let netns = host.namespace("p");
    let path = netns.path().display().to_string();
    host.ok(&["attach", "--netns", &path, "--name", "p"]);
    netns.ping(host.inspect("p").gateways[0]);
}

#[test]
fn by_pid() {
    let host = Host::with_switch();
    let netns = host.namespace("p");
    let process = netns.spawn(&["sleep", "60"]);
    host.ok(&["attach", "--netns", &process.pid().to_string(), "--name", "p"]);
    netns.ping(host.inspect("p").gateways[1]);
}

#[test]
fn fixed_addresses_mac_and_interface_name() {
    let host = Host::with_switch_args(&["--subnet6", "fd99::/64"]);
    let args = ["--ip", "10.99.7.7", "--ip6", "fd99::77", "--mac", "02:00:00:00:00:77"];
    let a = host.container_with("a", &[&args[..], &["--ifname", "lan7"]].concat());
    let port = &a.detail().port;
    assert_eq!(port.ipv4[0].to_string(), "10.99.7.7");
    assert_eq!(port.ipv6[0].to_string(), "fd99::77");
    assert_eq!(
        (port.mac.to_string().as_str(), port.ifname.as_str()),
        ("02:00:00:00:00:77", "lan7")
    );
    let shown = a.ok(&["ip", "-o", "-d", "link", "show", "lan7"]);
    assert!(shown.contains("02:00:00:00:00:77"), "{shown}");
    let b = host.container("b");
    b.ping(a.v4());
    b.ping(a.v6());
}

#[test]
fn the_next_interface_of_a_namespace_gets_the_next_number() {
    let host = Host::with_switch();
    let a = host.container("a");
    host.ok(&["attach", "--netns", a.name(), "--name", "a2"]);
    assert_eq!(host.inspect("a2").port.ifname, "eth1");
    assert_eq!(a.links(), ["eth0", "eth1"]);
}

#[test]
fn mtu_is_that_of_the_network() {
    let host = Host::with_switch_args(&["--mtu", "9000"]);
    let (a, b) = (host.container("a"), host.container("b"));
    assert_eq!(a.detail().mtu, 9000);
    // The largest packet goes through whole, in one frame.
    let output =
        a.exec(&["ping", "-n", "-c1", "-W2", "-M", "do", "-s", "8972", &b.v4().to_string()]);
    assert!(output.status.success(), "{output}");
}

#[test]
fn detach_leaves_the_namespace_and_frees_the_addresses() {
    let host = Host::with_switch();
    let a = host.container_with("a", &["--ip", "10.99.0.9"]);
    host.ok(&["detach", "a"]);
    assert!(a.links().is_empty(), "{:?}", a.links());
    assert!(host.ls().is_empty());
    assert_eq!(
        host.json(&["fdb"]).to_string().matches(a.detail().port.mac.to_string().as_str()).count(),
        0
    );
    // The address can be asked for again at once, by another namespace under the same name.
    let again = host.container_with("a", &["--ip", "10.99.0.9"]);
    again.ping(again.gateway());
}

#[test]
fn a_released_address_is_not_the_next_one_handed_out() {
    let host = Host::with_switch();
    let first = host.container("a");
    host.ok(&["detach", "a"]);
    let second = host.container("b");
    assert_ne!(first.v4(), second.v4(), "somebody may still have it in the ARP cache");
}

#[test]
fn attachments_made_at_the_same_time_get_different_addresses() {
    let host = Host::with_switch();
    let namespaces: Vec<_> = (0..8).map(|n| host.namespace(&format!("c{n}"))).collect();
    let started: Vec<_> = namespaces
        .iter()
        .enumerate()
        .map(|(n, netns)| {
            let name = format!("c{n}");
            let mut command = host.command(&["attach", "--netns", netns.name(), "--name", &name]);
            testkit::Process::spawn(command.stdin(Stdio::null()))
        })
        .collect();
    for process in started {
        process.finish(testkit::COMMAND_TIMEOUT).ok();
    }
    let ports = host.ls();
    let addresses: std::collections::BTreeSet<_> =
        ports.iter().map(|p| (&p.ipv4, &p.ipv6)).collect();
    assert_eq!((ports.len(), addresses.len()), (8, 8), "{ports:#?}");
}

/// Hosts with `b`'s address in their neighbour cache learn the new MAC without a query.
#[test]
fn a_new_mac_address_is_announced() {
    let host = Host::with_switch_args(&["--subnet6", "fd99::/64"]);
    let addresses = ["--ip", "10.99.0.50", "--ip6", "fd99::50"];
    let a = host.container("a");
    let b = host.container_with("b", &[&addresses[..], &["--mac", "02:00:00:00:00:01"]].concat());
    a.ping(b.v4());
    a.ping(b.v6());
    host.ok(&["detach", "b"]);
    let args = [&addresses[..], &["--mac", "02:00:00:00:00:02"]].concat();
    let b = Container::attach(&host, b.into_netns(), "b", &args);
    for address in [b.v4(), b.v6()] {
        let limit = std::time::Duration::from_secs(2);
        testkit::wait_for(&format!("the neighbour cache has {address}"), limit, || {
            a.ok(&["ip", "neigh", "show", &address.to_string()]).contains("02:00:00:00:00:02")
        });
        a.ping(address);
    }
}
