//! Hosts behind a container without a guard, with MAC addresses of their own: the world's answers come to them.

use std::net::IpAddr;

use testkit::{FAR4, FAR6, HOST4, HOST6, Netns, READY_MAX, Remote, wait_for};

use crate::harness::{Container, Host};

/// A macvlan on the container's interface, in a namespace of its own.
fn inside(host: &Host, container: &Container) -> Netns {
    let inner = host.namespace("inner");
    container
        .ok(&["ip", "link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", "bridge"]);
    let path = inner.path().to_str().expect("a path of UTF-8").to_owned();
    container.ok(&["ip", "link", "set", "mv0", "netns", &path]);
    inner.run_lines(&["ip link set mv0 up"]);
    inner
}

fn give(netns: &Netns, container: &Container, addresses: [IpAddr; 2]) {
    let [v4, v6] = addresses;
    netns.run_lines(&[
        &format!("ip addr add {v4}/16 dev mv0"),
        &format!("ip addr add {v6}/64 dev mv0 nodad"),
        &format!("ip route replace default via {}", container.gateway()),
        &format!("ip route replace default via {} dev mv0", container.gateway6()),
    ]);
}

/// The same, with other last bytes.
fn another(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(it) => (it.to_bits() | 0x4d00).to_be_bytes().into(),
        IpAddr::V6(it) => (it.to_bits() | 0x4d00).to_be_bytes().into(),
    }
}

#[test]
fn the_world_answers_to_a_second_mac_address_behind_a_container() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let a = host.container_with("a", &["--guard", "off", "-p", "8080:80", "-p", "8080:80/udp"]);
    let inner = inside(&host, &a);
    give(&inner, &a, [another(a.v4()), another(a.v6())]);
    for far in [FAR4, FAR6] {
        inner.ping_soon(far, READY_MAX);
        for protocol in ["tcp", "udp"] {
            let _service = remote.far().serve(protocol, far, 7000);
            for netns in [&inner, &*a] {
                netns.ask(protocol, far, 7000);
            }
        }
    }
    // The addresses of the published ports move behind the second MAC address, too.
    a.run_lines(&["ip addr flush dev eth0 scope global"]);
    give(&inner, &a, [a.v4(), a.v6()]);
    // It speaks, as hosts do that come up. A silent one is asked for once the former has been silent for a while.
    for (own, gateway) in [(a.v4(), a.gateway()), (a.v6(), a.gateway6())] {
        // The host's kernel may still answer to the former MAC address.
        inner.exec(&["ping", "-n", "-c1", "-W1", "-I", &own.to_string(), &gateway.to_string()]);
    }
    for (own, public) in [(a.v4(), HOST4), (a.v6(), HOST6)] {
        for protocol in ["tcp", "udp"] {
            let _service = inner.serve(protocol, own, 80);
            wait_for("the port is reached", READY_MAX, || {
                remote.far().can_ask(protocol, public, 8080)
            });
        }
    }
    host.balanced();
}
