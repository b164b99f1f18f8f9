//! Faults of the uplink: next hops that do not answer, a device whose address changes or that is made again.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use testkit::{FAR4, FAR6, Flow, HOST4, HOST6, wait_for};
use vswitch_api::status::UplinkState;

use crate::harness::Host;

/// How long the switch may take to see what changed on the host.
const FOLLOWED_MAX: Duration = Duration::from_secs(5);

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Nobody on the host's link has the address: whoever calls it is told, and only he.
#[test]
fn a_neighbour_that_does_not_answer() {
    let (host, _remote, a) = Host::with_remote();
    let b = host.container("b");
    let gateways = [a.gateway().to_string(), a.gateway6().to_string()];
    let calls = [
        ("192.0.2.77", "Destination Host Unreachable"),
        ("2001:db8::77", "Destination unreachable: Address unreachable"),
    ];
    for ((nobody, told), gateway) in calls.into_iter().zip(gateways) {
        let caller = a.spawn(&["ping", "-n", "-c1", "-W8", nobody]);
        b.ping(FAR4);
        b.ping(FAR6);
        a.ping(address("192.0.2.254"));
        let output = caller.finish(Duration::from_secs(12));
        assert!(output.stdout.contains(&format!("From {gateway} ")), "{output}");
        assert!(output.stdout.contains(told), "{output}");
    }
    assert!(host.inspect("a").drops_by_reason["no-neighbour"] >= 2);
    assert_eq!(host.inspect("b").port.drops, 0, "{:?}", host.inspect("b").drops_by_reason);
    host.balanced();
}

/// The router is dead: who goes by it is told, what is on the link is reached, and all is well with a new one.
#[test]
fn a_router_that_does_not_answer() {
    let (host, _remote, a) = Host::with_remote();
    a.ping(FAR4);
    host.netns().ok(&["ip", "route", "replace", "default", "via", "192.0.2.250"]);
    wait_for("the container is told", Duration::from_secs(15), || {
        let output = a.exec(&["ping", "-n", "-c1", "-W5", &FAR4.to_string()]);
        output.stdout.contains("Destination Host Unreachable")
    });
    a.ping(address("192.0.2.254"));
    a.ping(FAR6);
    host.netns().ok(&["ip", "route", "replace", "default", "via", "192.0.2.254"]);
    a.ping_soon(FAR4, FOLLOWED_MAX);
    host.balanced();
}

/// Connections whose translated end is that address.
fn connections_at(host: &Host, address: &str) -> usize {
    let rows = host.json(&["conntrack", "ls", "--address", address, "--protocol", "tcp"]);
    rows.as_array().map_or(0, Vec::len)
}

/// With an address its connections end, for they cannot go on; those of others live.
#[test]
fn an_address_that_goes_takes_its_own_connections_only() {
    let (host, remote, a) = Host::with_remote();
    let netns = host.netns();
    netns.ok(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/nic0/promote_secondaries"]);
    let (four, six) = (Flow::start(&a, remote.far(), FAR4), Flow::start(&a, remote.far(), FAR6));
    netns.ok(&["ip", "addr", "add", "192.0.2.9/24", "dev", "nic0"]);
    netns.ok(&["ip", "addr", "add", "2001:db8::9/64", "dev", "nic0", "nodad"]);
    let _service = remote.far().serve("tcp", FAR4, 7000);
    // One more address is no reason to speak from it.
    assert_eq!(a.ask("tcp", FAR4, 7000).0, HOST4);
    four.arrives();
    let doomed = Flow::start(&a, remote.far(), FAR4);
    assert!(connections_at(&host, "192.0.2.1") > 0);
    netns.ok(&["ip", "addr", "del", "192.0.2.1/24", "dev", "nic0"]);
    netns.ok(&["ip", "route", "replace", "default", "via", "192.0.2.254"]);
    wait_for("its connections are gone", FOLLOWED_MAX, || connections_at(&host, "192.0.2.1") == 0);
    drop(doomed);
    wait_for("the other address is used", FOLLOWED_MAX, || {
        host.status().uplinks[0].ipv4.first().copied().map(IpAddr::from)
            == Some(address("192.0.2.9"))
    });
    assert_eq!(a.ask("tcp", FAR4, 7000).0, address("192.0.2.9"));
    six.arrives();
    host.balanced();
}

/// A veth pair, a virtual machine's NIC, a USB adapter: gone, and back under its name.
#[test]
fn a_device_that_is_made_again() {
    let (host, remote, _a) = Host::with_remote();
    let web = host.container_with("web", &["-p", "8080:80"]);
    let _service = web.serve("tcp", "0.0.0.0".parse().expect("an address"), 80);
    web.ping(FAR4);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    let before = host.netns().mac("nic0");
    host.netns().ok(&["ip", "link", "del", "nic0"]);
    wait_for("the switch sees it", FOLLOWED_MAX, || {
        host.status().uplinks.iter().any(|uplink| uplink.state != UplinkState::Up)
    });
    let output = web.try_ping(FAR4, 1);
    assert!(output.stdout.contains("Unreachable"), "{output}");
    assert!(host.netns().can_ask("tcp", web.gateway(), 8080), "by the gateway");
    host.net().plug_in();
    remote.plug_in(host.net());
    assert_ne!(host.netns().mac("nic0"), before);
    web.ping_soon(FAR4, Duration::from_secs(10));
    web.ping_soon(FAR6, Duration::from_secs(10));
    for (own, far) in [(HOST4, FAR4), (HOST6, FAR6)] {
        let _service = remote.far().serve("tcp", far, 7000);
        assert_eq!(web.ask("tcp", far, 7000).0, own);
    }
    wait_for("it is published", FOLLOWED_MAX, || remote.far().can_ask("tcp", HOST4, 8080));
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    host.balanced();
}

/// Another MAC address of the device: frames of connections that stand carry the new one.
#[test]
fn a_device_that_gets_another_mac_address() {
    let (host, remote, a) = Host::with_remote();
    let flow = Flow::start(&a, remote.far(), FAR4);
    let rows = || host.json(&["conntrack", "ls", "--port", &flow.port().to_string()]);
    let frames = |rows: &Value| rows[0]["reply_frames"].as_u64().unwrap_or(0);
    host.netns().ok(&["ip", "link", "set", "nic0", "address", "02:00:00:00:77:01"]);
    // The router asks for it when the old one does not answer, or is told.
    host.lan().ok(&["ip", "neigh", "flush", "dev", "nic1"]);
    let before = frames(&rows());
    wait_for("the flow goes on", Duration::from_secs(10), || frames(&rows()) > before + 20);
    flow.arrives();
    let seen = host.lan().ok(&["ip", "neigh", "show", "192.0.2.1"]);
    assert!(seen.contains("02:00:00:00:77:01"), "{seen}");
    host.balanced();
}
