//! Egress: containers reach a host behind a router, by SNAT.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use testkit::{
    FAR4, FAR6, HOST4, HOST6, Netns, ROUTER4, Receiver, Remote, SEND_STREAM, Snapshot, wait_for,
};
use vswitch_api::status::{UplinkMode, UplinkState};

use crate::harness::{Host, SNAT_PORTS};

/// How long the switch may take to see what changed on the host.
const FOLLOWED_MAX: Duration = Duration::from_secs(5);

#[test]
fn a_container_talks_to_the_world_as_its_host() {
    let (host, remote, a) = Host::with_remote();
    for (far, own) in [(FAR4, HOST4), (FAR6, HOST6)] {
        a.ping(far);
        for protocol in ["tcp", "udp"] {
            let _service = remote.far().serve(protocol, far, 7000);
            let (peer, port) = a.ask(protocol, far, 7000);
            assert_eq!(peer, own, "{protocol}");
            assert!(SNAT_PORTS.contains(&port), "{protocol} from port {port}");
        }
    }
    host.balanced();
    let status = host.status();
    let uplink = &status.uplinks[0];
    assert_eq!((uplink.name.as_str(), uplink.mode), ("nic0", UplinkMode::UserSpace));
    assert_eq!(uplink.state, UplinkState::Up);
    assert_eq!((uplink.ipv4[0].into(), uplink.ipv6[0].into()), (HOST4, HOST6));
    // The host has its own life.
    for far in [FAR4, FAR6] {
        host.netns().ping(far);
        let _service = remote.far().serve("tcp", far, 7001);
        let (_, port) = host.netns().ask("tcp", far, 7001);
        assert!(!SNAT_PORTS.contains(&port), "the host speaks from port {port}");
    }
}

/// Each router on the way answers, the switch the first, and the answer of the second is translated.
#[test]
fn the_way_out_can_be_traced() {
    let (_host, _remote, a) = Host::with_remote();
    let gateway = a.gateway().to_string();
    for (hops, from) in [("1", gateway), ("2", ROUTER4.to_string())] {
        let output = a.exec(&["ping", "-n", "-c1", "-W2", "-t", hops, &FAR4.to_string()]);
        assert!(output.stdout.contains(&format!("From {from} ")), "{output}");
        assert!(output.stdout.contains("Time to live exceeded"), "{output}");
    }
    let gateway = a.gateway6().to_string();
    for (hops, from) in [("1", gateway.as_str()), ("2", "2001:db8::254")] {
        let output = a.exec(&["ping", "-n", "-c1", "-W2", "-t", hops, &FAR6.to_string()]);
        assert!(output.stdout.contains(&format!("From {from} ")), "{output}");
        assert!(output.stdout.contains("Hop limit"), "{output}");
    }
}

/// Bytes that arrive are those that were sent.
#[track_caller]
pub(crate) fn transfer(from: &Netns, to: &Netns, address: IpAddr, mebibytes: u32) {
    let receiver = Receiver::start(to, address);
    let (address, mebibytes) = (address.to_string(), mebibytes.to_string());
    let args = ["python3", "-c", SEND_STREAM, &address, &receiver.port, &mebibytes, "seed"];
    let sent = from.exec_within(&args, Duration::from_secs(120)).ok();
    assert_eq!(receiver.digest(), sent);
}

#[test]
fn a_hundred_mebibytes_out() {
    let (host, remote, a) = Host::with_remote();
    transfer(&a, remote.far(), FAR4, 100);
    transfer(&a, remote.far(), FAR6, 20);
    host.balanced();
}

#[test]
fn a_transfer_with_loss_arrives_whole() {
    let (host, remote, a) = Host::with_remote();
    let rules = "add table inet lossy; \
        add chain inet lossy forward { type filter hook forward priority 0; }; \
        add rule inet lossy forward numgen random mod 100 == 0 drop";
    host.lan().ok(&["nft", rules]);
    transfer(&a, remote.far(), FAR4, 100);
    host.balanced();
}

/// A narrow link behind the router: its "too big" reaches the container, and TCP goes on in smaller pieces.
#[test]
fn a_narrow_path_is_found_out() {
    let (host, remote, a) = Host::with_remote();
    for (netns, device) in [(host.lan(), "down0"), (remote.far(), "up0")] {
        netns.ok(&["ip", "link", "set", device, "mtu", "1300"]);
    }
    let output = a.exec(&["ping", "-n", "-c1", "-W2", "-M", "do", "-s", "1400", "198.51.100.2"]);
    assert!(output.stdout.contains("mtu = 1300") || output.stdout.contains("mtu=1300"), "{output}");
    transfer(&a, remote.far(), FAR4, 5);
    transfer(&a, remote.far(), FAR6, 5);
}

/// The switch refuses packets that the uplink cannot carry.
#[test]
fn an_uplink_that_is_narrower_than_the_network() {
    let (host, remote, a) = Host::with_remote();
    host.netns().ok(&["ip", "link", "set", "nic0", "mtu", "1400"]);
    host.lan().ok(&["ip", "link", "set", "nic1", "mtu", "1400"]);
    wait_for("the switch sees the MTU", FOLLOWED_MAX, || {
        host.status().uplinks.iter().any(|uplink| uplink.mtu == Some(1400))
    });
    let gateway = a.gateway().to_string();
    let output = a.exec(&["ping", "-n", "-c1", "-W2", "-M", "do", "-s", "1420", "198.51.100.2"]);
    assert!(output.stdout.contains(&format!("From {gateway} ")), "{output}");
    // A datagram that may be cut is.
    a.ping(FAR4);
    let output = a.exec(&["ping", "-n", "-c2", "-i0.1", "-W2", "-s", "4000", "198.51.100.2"]);
    assert!(output.stdout.contains(" 0% packet loss"), "{output}");
    transfer(&a, remote.far(), FAR4, 5);
    transfer(&a, remote.far(), FAR6, 5);
}

#[test]
fn another_address_of_the_host_is_followed() {
    let (host, remote, a) = Host::with_remote();
    let _service = remote.far().serve("tcp", FAR4, 7000);
    assert_eq!(a.ask("tcp", FAR4, 7000).0, HOST4);
    host.netns().ok(&["ip", "addr", "del", "192.0.2.1/24", "dev", "nic0"]);
    host.netns().ok(&["ip", "addr", "add", "192.0.2.9/24", "dev", "nic0"]);
    // With the last address of a subnet its routes go, too.
    host.netns().ok(&["ip", "route", "replace", "default", "via", "192.0.2.254"]);
    wait_for("the switch follows", FOLLOWED_MAX, || {
        host.status().uplinks[0].ipv4.first().copied()
            == Some("192.0.2.9".parse().expect("an address"))
    });
    assert_eq!(a.ask("tcp", FAR4, 7000).0, "192.0.2.9".parse::<IpAddr>().expect("an address"));
}

#[test]
fn without_a_route_the_container_is_told_and_a_new_one_is_followed() {
    let (host, _remote, a) = Host::with_remote();
    a.ping(FAR4);
    host.netns().ok(&["ip", "route", "del", "default"]);
    let refused = || {
        let output = a.exec(&["ping", "-n", "-c1", "-W1", &FAR4.to_string()]);
        output.stdout.contains("Unreachable")
    };
    wait_for("the container is told", FOLLOWED_MAX, refused);
    host.netns().ok(&["ip", "route", "add", "default", "via", "192.0.2.254"]);
    a.ping_soon(FAR4, FOLLOWED_MAX);
    // IPv6 was not touched.
    a.ping(FAR6);
}

#[test]
fn a_device_that_goes_down_comes_back() {
    let (host, _remote, a) = Host::with_remote();
    a.ping(FAR4);
    host.netns().ok(&["ip", "link", "set", "nic0", "down"]);
    wait_for("the switch sees it", FOLLOWED_MAX, || {
        host.status().uplinks.iter().any(|uplink| uplink.state != UplinkState::Up)
    });
    host.netns().ok(&["ip", "link", "set", "nic0", "up"]);
    host.netns().ok(&["ip", "route", "replace", "default", "via", "192.0.2.254"]);
    a.ping_soon(FAR4, Duration::from_secs(15));
}

/// `auto` waits for a device that leads out, as Docker works without one.
#[test]
fn without_a_device_that_leads_out_the_switch_waits_for_one() {
    let mut host = Host::new();
    let _remote = Remote::new(host.net());
    host.netns().run_lines(&["ip -6 route del default", "ip addr flush dev nic0"]);
    host.up(&["--uplink", "auto"]);
    let a = host.container("a");
    a.ping(a.gateway());
    let uplink = &host.status().uplinks[0];
    assert_eq!((uplink.name.as_str(), uplink.state), ("auto", UplinkState::Waiting));
    assert!(uplink.reason.as_ref().is_some_and(|reason| reason.contains("leads out")));
    host.netns().ok(&["ip", "addr", "add", "192.0.2.1/24", "dev", "nic0"]);
    host.netns().ok(&["ip", "route", "add", "default", "via", "192.0.2.254"]);
    a.ping_soon(FAR4, FOLLOWED_MAX);
}

/// Nobody out there speaks to a container that did not begin it.
#[test]
fn the_lan_does_not_reach_containers_directly() {
    let (host, remote, a) = Host::with_remote();
    let _service = a.serve("tcp", a.v4(), 80);
    let subnet = "10.99.0.0/16";
    host.lan().ok(&["ip", "route", "add", subnet, "via", "192.0.2.1"]);
    host.netns().ok(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    for netns in [host.lan(), remote.far()] {
        assert!(!netns.try_ping(a.v4(), 2).stdout.contains(" 0% packet loss"));
        assert!(!netns.can_ask("tcp", a.v4(), 80));
    }
}

#[test]
fn an_internal_network_stays_internal() {
    let mut host = Host::new();
    let _remote = Remote::new(host.net());
    host.up(&["--uplink", "none"]);
    let a = host.container("a");
    host.netns().ok(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]);
    a.ping(a.gateway());
    // The switch says so itself: the host, which would forward it, does not get it.
    let said = a.try_ping(FAR4, 2).stdout;
    assert!(!said.contains(" 0% packet loss") && said.contains("Unreachable"), "{said}");
    assert!(host.inspect("a").drops_by_reason.contains_key("no-route"));
    assert_eq!(host.status().uplinks, []);
    host.fails(&["publish", "a", "8080:80"], &[1], "--uplink auto");
}

/// The kernel translates: the same is reached, and the host is left as it was.
#[test]
fn by_the_kernel() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let before = Snapshot::take(host.netns());
    host.up(&["--uplink", "kernel"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    a.ping(FAR4);
    let _far = remote.far().serve("tcp", FAR4, 7000);
    assert_eq!(a.ask("tcp", FAR4, 7000).0, HOST4);
    let _inside = a.serve("tcp", a.v4(), 80);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    let status = host.status();
    assert_eq!(status.uplinks[0].name, "kernel");
    assert_eq!(status.uplinks[0].mode, UplinkMode::Kernel);
    assert_eq!(host.json(&["conntrack", "ls"]), Value::Array(Vec::new()));
    // The kernel could not translate this range.
    host.fails(&["publish", "a", "9000-9256:1000-1256"], &[2], "9000-9256/tcp");
    host.ok(&["publish", "a", "9000-9255:1000-1255"]);
    drop(a);
    host.down();
    before.assert_same(&Snapshot::take(host.netns()));
}

#[test]
fn connections_are_listed_and_forgotten() {
    let (host, remote, a) = Host::with_remote();
    let _service = remote.far().serve("udp", FAR4, 7000);
    let (_, port) = a.ask("udp", FAR4, 7000);
    let rows = host.json(&["conntrack", "ls", "--container", "a", "--protocol", "udp"]);
    let rows = rows.as_array().expect("an array");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    let row = &rows[0];
    assert_eq!(row["original"]["dst"], "198.51.100.2:7000");
    assert_eq!(row["translated"]["src"], format!("192.0.2.1:{port}"));
    assert!(row["frames"].as_u64() >= Some(2) && row["reply_frames"].as_u64() >= Some(1), "{row}");
    let text = host.ok(&["conntrack"]);
    assert!(text.contains("198.51.100.2:7000") && text.contains("PROTO"), "{text}");
    let flushed = host.json(&["conntrack", "flush", "--container", "a"]);
    assert!(flushed["connections"].as_u64() >= Some(1), "{flushed}");
    assert_eq!(host.json(&["conntrack", "ls"]), Value::Array(Vec::new()));
    let watched = host.ok(&["conntrack", "watch", "--count", "1"]);
    assert_eq!(watched.lines().count(), 1, "the heading only: {watched}");
}
