//! Several uplinks: in and out by each, the host's routes and rules, devices by name, by pattern, and others.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, HOST6, Netns, Remote, join, wait_for};

use crate::harness::{Container, Host};
use crate::relayed::docker0;

const ANY4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

/// How long the switch may take to see what changed on the host: less than until it reads all again without a notification.
const FOLLOWED_MAX: Duration = Duration::from_secs(10);

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The host's second NIC, `nic2`, leads to another network.
fn second_nic(host: &Host) -> Netns {
    let lan = Netns::new("lan2");
    join(host.netns(), "nic2", &lan, "nic3");
    host.netns().run_lines(&[
        "ip addr add 203.0.113.1/24 dev nic2",
        "ip addr add 2001:db8:2::1/64 dev nic2 nodad",
    ]);
    lan.run_lines(&[
        "ip addr add 203.0.113.254/24 dev nic3",
        "ip addr add 2001:db8:2::254/64 dev nic3 nodad",
        // The same far host by another way, and one that only this network knows.
        &format!("ip addr add {FAR4}/32 dev lo"),
        &format!("ip addr add {FAR6}/128 dev lo nodad"),
        "ip addr add 198.18.0.9/32 dev lo",
        "ip route add default via 203.0.113.1",
        "ip route add default via 2001:db8:2::1",
    ]);
    lan
}

/// Names of the uplinks that are up.
fn uplinks(host: &Host) -> Vec<String> {
    let uplinks = host.status().uplinks.into_iter();
    uplinks.filter(|it| it.reason.is_none()).map(|uplink| uplink.name).collect()
}

#[track_caller]
fn have_uplinks(host: &Host, names: &[&str]) {
    wait_for(&format!("the uplinks are {names:?}"), FOLLOWED_MAX, || uplinks(host) == names);
}

/// The container appears from this address at a far host, which one network or the other has.
#[track_caller]
fn appears_from(a: &Container, far: IpAddr, source: &str) {
    wait_for(&format!("{far} sees {source}"), FOLLOWED_MAX, || {
        a.can_ask("udp", far, 7000) && a.ask("udp", far, 7000).0 == address(source)
    });
}

/// Two NICs: published ports at both, out by the host's routes, its rules, and the NIC that is left.
#[test]
fn containers_use_each_nic_as_the_host_does() {
    let mut host = Host::new();
    let (remote, lan2) = (Remote::new(host.net()), second_nic(&host));
    host.up(&["--uplink", "auto"]);
    assert_eq!(uplinks(&host), ["nic0", "nic2"]);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "5353:53/udp"]);
    let _far = [FAR4, FAR6].map(|far| remote.far().serve("udp", far, 7000));
    let _far2 = [FAR4, FAR6].map(|far| lan2.serve("udp", far, 7000));
    let second = [("203.0.113.254", "203.0.113.1"), ("2001:db8:2::254", "2001:db8:2::1")];
    // In by each, with the client's address.
    let first = [(FAR4, HOST4), (FAR6, HOST6)];
    for (protocol, inside, port) in [("tcp", 80, 8080), ("udp", 53, 5353)] {
        for ((any, (far, own)), (near, own2)) in [ANY4, ANY6].into_iter().zip(first).zip(second) {
            let _service = web.serve(protocol, any, inside);
            assert_eq!(remote.far().ask(protocol, own, port).0, far, "{protocol}");
            assert_eq!(lan2.ask(protocol, address(own2), port).0, address(near), "{protocol}");
        }
    }
    let _service = web.serve("tcp", ANY4, 80);
    // Out by each: neighbours, and by the default route.
    let _near = second.map(|(near, _)| lan2.serve("udp", address(near), 7000));
    for ((near, own), (far, own1)) in second.into_iter().zip(first) {
        assert_eq!(web.ask("udp", address(near), 7000).0, address(own));
        assert_eq!(web.ask("udp", far, 7000).0, own1);
    }
    // A rule for the containers, and none for the host.
    host.netns().run_lines(&[
        "ip route add default via 203.0.113.254 table 100",
        "ip rule add iif br0 lookup 100 priority 100",
    ]);
    appears_from(&web, FAR4, "203.0.113.1");
    assert_eq!(host.netns().ask("udp", FAR4, 7000).0, HOST4);
    host.netns().ok(&["ip", "rule", "del", "priority", "100"]);
    appears_from(&web, FAR4, &HOST4.to_string());
    one_container_has_rules(&host, &web);
    // A client that the default route does not lead to: the answer leaves by the rule for its source.
    let asks = |from: &str| {
        let args = ["python3", "-c", ASK_FROM, from, "203.0.113.1", "8080"];
        lan2.exec(&args).status.success()
    };
    assert!(!asks("198.18.0.9"), "by the default route");
    host.netns().ok(&["ip", "rule", "add", "from", "203.0.113.1", "lookup", "100"]);
    wait_for("the rule is followed", FOLLOWED_MAX, || asks("198.18.0.9"));
    // The default route goes over to the other NIC, and the first one goes.
    host.netns().run_lines(&[
        "ip route replace default via 203.0.113.254",
        "ip -6 route replace default via 2001:db8:2::254",
    ]);
    appears_from(&web, FAR4, "203.0.113.1");
    appears_from(&web, FAR6, "2001:db8:2::1");
    host.netns().ok(&["ip", "link", "del", "nic0"]);
    have_uplinks(&host, &["nic2"]);
    assert!(web.can_ask("udp", FAR4, 7000) && lan2.can_ask("tcp", address("203.0.113.1"), 8080));
    host.netns().run_lines(&["ip route del default", "ip -6 route del default"]);
    host.net().plug_in();
    remote.plug_in(host.net());
    have_uplinks(&host, &["nic0", "nic2"]);
    wait_for("published again", FOLLOWED_MAX, || remote.far().can_ask("tcp", HOST4, 8080));
    // Rules by other properties are named.
    host.netns().ok(&["ip", "rule", "add", "ipproto", "tcp", "lookup", "100"]);
    wait_for("the hint", FOLLOWED_MAX, || {
        host.status().uplink_hints.iter().any(|hint| hint.contains("ipproto"))
    });
    let said = host.vswitch(&["doctor"]).stdout;
    assert!(said.contains("ipproto"), "{said}");
    host.balanced();
}

/// Rules for one container, which table 100 leads out by the second NIC; another one stays at the first.
fn one_container_has_rules(host: &Host, another: &Container) {
    let one = host.container("one");
    host.netns().run_lines(&[
        "ip route add default via 2001:db8:2::254 table 100",
        &format!("ip rule add from {} lookup 100", one.v4()),
        &format!("ip -6 rule add from {} lookup 100", one.v6()),
    ]);
    let routes = [(FAR4, HOST4, "203.0.113.1"), (FAR6, HOST6, "2001:db8:2::1")];
    for (far, own, own2) in routes {
        appears_from(&one, far, own2);
        assert_eq!(another.ask("udp", far, 7000).0, own);
    }
    host.netns().run_lines(&[
        &format!("ip rule del from {}", one.v4()),
        &format!("ip -6 rule del from {}", one.v6()),
    ]);
    for (far, own, _) in routes {
        appears_from(&one, far, &own.to_string());
    }
}

/// Connects from an address, and reads an answer.
const ASK_FROM: &str = "\
import socket, sys
s = socket.create_connection((sys.argv[2], int(sys.argv[3])), 1, (sys.argv[1], 0))
s.settimeout(1)
s.sendall(b'x\\n')
assert s.recv(100)
";

/// Devices by name and by pattern; one that is no Ethernet; a TAP that somebody removes.
#[test]
fn uplinks_are_named_and_left_out() {
    let mut host = Host::new();
    let (remote, lan2) = (Remote::new(host.net()), second_nic(&host));
    let (first, second) = (HOST4, address("203.0.113.1"));
    let reached = |host: &Host| {
        let web = host.container_with("web", &["-p", "8080:80"]);
        let _inside = web.serve("tcp", ANY4, 80);
        let reached = [remote.far().can_ask("tcp", first, 8080), lan2.can_ask("tcp", second, 8080)];
        host.ok(&["detach", "web"]);
        reached
    };
    host.up(&["--uplink", "nic0", "--uplink-exclude", "eth*"]);
    assert_eq!(uplinks(&host), ["nic0"]);
    assert!(reached(&host)[0]);
    host.down();
    host.up(&["--uplink-exclude", "nic2"]);
    assert_eq!(uplinks(&host), ["nic0"]);
    host.down();
    host.up(&["--uplink", "nic2,nic0"]);
    assert_eq!(uplinks(&host), ["nic2", "nic0"]);
    assert_eq!(reached(&host), [true, true]);
    // Another program removes the TAP, or sets it down.
    host.netns().run_lines(&["ip link del up-br0", "ip link set up2-br0 down"]);
    wait_for("both work again", FOLLOWED_MAX, || reached(&host) == [true, true]);
    // What is no Ethernet is answered for.
    host.netns().run_lines(&[
        "ip tuntap add tun9 mode tun",
        "ip link set tun9 up",
        "ip addr add 10.44.0.1/24 dev tun9",
        "ip route add 44.0.0.0/8 via 10.44.0.2",
    ]);
    host.down();
    host.up(&[]);
    let hints = host.status().uplink_hints;
    assert!(hints.iter().any(|it| it.contains("tun9") && it.contains("kernel")), "{hints:?}");
    let said = host.vswitch(&["doctor"]).stdout;
    assert!(said.contains("tun9"), "{said}");
    host.balanced();
}

/// A container of docker0, whose device is no uplink: where the kernel forwards, it reaches published ports, too.
#[test]
fn containers_of_docker0_reach_published_ports() {
    let (host, _remote, _a) = Host::with_remote();
    let docker = docker0(&host);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "5353:53/udp"]);
    let other = ["-p", "8081:80", "--allow-from", "198.51.100.0/24"];
    let limited = host.container_with("limited", &other);
    let _limited = limited.serve("tcp", ANY4, 80);
    let sources = ["--allow-from", "172.17.0.0/24", "--allow-from", "172.17.0.0/16"];
    let mut options = vec!["-p", "8082:80", "-p", "172.17.0.1:8083:80/udp"];
    options.extend(sources.iter().chain(&["--allow-from", "fd17::/64"]));
    let allowed = host.container_with("allowed", &options);
    host.netns().set_sysctl("net/ipv4/ip_forward", "1");
    host.netns().set_sysctl("net/ipv6/conf/all/forwarding", "1");
    for (any, own, near) in [(ANY4, HOST4, "172.17.0.1"), (ANY6, HOST6, "fd17::1")] {
        for (protocol, inside, port) in [("tcp", 80, 8080), ("udp", 53, 5353)] {
            let _service = web.serve(protocol, any, inside);
            for at in [own, address(near)] {
                let what = format!("{protocol} at {at}");
                wait_for(&what, FOLLOWED_MAX, || docker.can_ask(protocol, at, port));
            }
        }
    }
    assert!(!docker.can_ask("tcp", HOST4, 8081), "only for others");
    let _udp = allowed.serve("udp", ANY4, 80);
    for (any, own) in [(ANY4, HOST4), (ANY6, HOST6)] {
        let _service = allowed.serve("tcp", any, 80);
        wait_for("a sender that may", FOLLOWED_MAX, || docker.can_ask("tcp", own, 8082));
    }
    wait_for("at an address", FOLLOWED_MAX, || docker.can_ask("udp", address("172.17.0.1"), 8083));
    assert_eq!(uplinks(&host), ["nic0"]);
    host.balanced();
}
