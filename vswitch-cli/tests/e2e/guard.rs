//! Source guard and isolation, against attackers with raw sockets in their containers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use wire::frames::{self, Link};
use wire::ndp::{self, Message, NdpOption};
use wire::{MacAddr, Protocol, arp, ip, udp};

use testkit::{SEND_FRAME, wait_for};

use crate::harness::{Container, Host};

const TIMES: u64 = 20;

/// The kernel remembers for a while that a neighbour did not answer.
const SOON: Duration = Duration::from_secs(10);

/// An attacker, a victim, and a bystander whose addresses are used in vain.
struct Scene {
    host: Host,
    attacker: Container,
    victim: Container,
    bystander: Container,
}

/// Addresses of a port.
struct Id {
    mac: MacAddr,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
    /// Its link-local address, made of the MAC address.
    local: Ipv6Addr,
}

fn id(container: &Container) -> Id {
    let port = &container.detail().port;
    let mac: MacAddr = port.mac;
    let [a, b, c, d, e, f] = mac.0.map(u16::from);
    let local =
        Ipv6Addr::new(0xfe80, 0, 0, 0, (a ^ 2) << 8 | b, c << 8 | 0xff, 0xfe00 | d, e << 8 | f);
    Id { mac, v4: port.ipv4[0], v6: port.ipv6[0], local }
}

fn hex(frame: &[u8]) -> String {
    frame.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn datagram(link: Link, src: IpAddr, dst: IpAddr, ports: (u16, u16)) -> String {
    let ip = ip::Repr::new(src, dst, Protocol::UDP).expect("of one family");
    let mut frame = [0; 200];
    let udp = udp::Repr { src_port: ports.0, dst_port: ports.1 };
    let len = frames::udp(&mut frame, &link, &ip, &udp, b"a lie").expect("it fits");
    hex(&frame[..len])
}

fn ndp(link: Link, src: Ipv6Addr, message: &Message, options: &[NdpOption<'_>]) -> String {
    let mut frame = [0; 200];
    let len = frames::ndp(&mut frame, &link, src, ndp::ALL_NODES, message, options);
    hex(&frame[..len.expect("it fits")])
}

impl Scene {
    #[track_caller]
    fn new(args: &[&str]) -> Self {
        let host = Host::with_switch();
        let attacker = host.container_with("attacker", args);
        let (victim, bystander) = (host.container("victim"), host.container("bystander"));
        Self { host, attacker, victim, bystander }
    }

    fn ids(&self) -> (Id, Id, Id) {
        (id(&self.attacker), id(&self.victim), id(&self.bystander))
    }

    #[track_caller]
    fn send(&self, frame: &str) {
        let times = TIMES.to_string();
        self.attacker.ok(&["python3", "-c", SEND_FRAME, "eth0", frame, &times]);
    }

    #[track_caller]
    fn dropped(&self, reason: &str) -> u64 {
        let drops = self.host.inspect("attacker").drops_by_reason;
        drops.get(reason).copied().unwrap_or(0)
    }

    /// The frame is dropped for this reason, and reaches nobody.
    #[track_caller]
    fn refused(&self, what: &str, reason: &str, frame: &str) {
        let sent =
            || ["victim", "bystander"].map(|name| self.host.inspect(name).port.traffic.tx_frames);
        let (before, counted) = (sent(), self.dropped(reason));
        self.send(frame);
        assert_eq!(
            self.dropped(reason),
            counted + TIMES,
            "{what}: {:#?}",
            self.host.inspect("attacker")
        );
        for (before, after) in before.into_iter().zip(sent()) {
            // The kernels talk by themselves now and then, but not so much.
            assert!(after < before + TIMES, "{what} came through");
        }
    }

    #[track_caller]
    fn is_well(&self) {
        self.attacker.ping(self.victim.v4());
        self.victim.ping(self.bystander.v6());
        self.host.balanced();
    }
}

/// The attacker's own frames, with the address of somebody else in one place.
fn lies(own: &Id, victim: &Id, other: &Id) -> Vec<(&'static str, &'static str, String)> {
    let link = Link::new(own.mac, victim.mac);
    let group = Link::new(own.mac, MacAddr::from_ipv6_multicast(ndp::ALL_NODES));
    let all = |src, dst: IpAddr| datagram(link, src, dst, (1000, 9));
    let advert = |target| Message::NeighborAdvert {
        router: false,
        solicited: false,
        overrides: true,
        target,
    };
    let arp = |sender_mac, sender_ip| {
        let lie = arp::Repr {
            operation: arp::Operation::REPLY,
            sender_mac,
            sender_ip,
            target_mac: victim.mac,
            target_ip: victim.v4,
        };
        let mut frame = frames::arp(victim.mac, &lie);
        frame[6..12].copy_from_slice(&own.mac.0);
        hex(&frame)
    };
    let forged = Link::new(other.mac, victim.mac);
    vec![
        (
            "a forged MAC address",
            "spoofed-mac",
            datagram(forged, own.v4.into(), victim.v4.into(), (1000, 9)),
        ),
        (
            "the gateway's IPv4",
            "spoofed-ipv4",
            all("10.99.0.1".parse().expect("address"), victim.v4.into()),
        ),
        ("a neighbour's IPv4", "spoofed-ipv4", all(other.v4.into(), victim.v4.into())),
        ("a neighbour's IPv6", "spoofed-ipv6", all(other.v6.into(), victim.v6.into())),
        ("a neighbour's link-local", "spoofed-ipv6", all(other.local.into(), victim.local.into())),
        ("ARP for a neighbour", "spoofed-arp", arp(own.mac, other.v4)),
        ("ARP with another MAC", "spoofed-arp", arp(other.mac, own.v4)),
        (
            "an advertisement for a neighbour",
            "spoofed-nd",
            ndp(group, own.v6, &advert(other.v6), &[NdpOption::TargetLinkLayer(own.mac)]),
        ),
        (
            "an advertisement with another MAC",
            "spoofed-nd",
            ndp(group, own.v6, &advert(own.v6), &[NdpOption::TargetLinkLayer(other.mac)]),
        ),
        (
            "a solicitation with another MAC",
            "spoofed-nd",
            ndp(
                group,
                own.v6,
                &Message::NeighborSolicit { target: victim.v6 },
                &[NdpOption::SourceLinkLayer(other.mac)],
            ),
        ),
    ]
}

#[test]
fn lies_about_the_sender_are_dropped() {
    let scene = Scene::new(&[]);
    let (own, victim, other) = scene.ids();
    for (what, reason, frame) in lies(&own, &victim, &other) {
        scene.refused(what, reason, &frame);
    }
    scene.is_well();
}

#[test]
fn a_container_is_neither_router_nor_dhcp_server() {
    let scene = Scene::new(&[]);
    let (own, victim, _) = scene.ids();
    let group = Link::new(own.mac, MacAddr::from_ipv6_multicast(ndp::ALL_NODES));
    let advert = Message::RouterAdvert {
        hop_limit: 64,
        flags: 0,
        lifetime_s: 1800,
        reachable_ms: 0,
        retrans_ms: 0,
    };
    scene.refused("a router advertisement", "rogue-router", &ndp(group, own.local, &advert, &[]));
    let link = Link::new(own.mac, victim.mac);
    let offer = |src: IpAddr, dst: IpAddr, ports| datagram(link, src, dst, ports);
    scene.refused("a DHCP offer", "rogue-dhcp", &offer(own.v4.into(), victim.v4.into(), (67, 68)));
    scene.refused(
        "a DHCPv6 reply",
        "rogue-dhcp",
        &offer(own.local.into(), victim.local.into(), (547, 546)),
    );
    let routes = scene.victim.ok(&["ip", "-6", "route"]);
    assert!(!routes.contains("proto ra"), "{routes}");
    scene.is_well();
}

#[test]
fn what_only_bridges_say_is_dropped() {
    let scene = Scene::new(&["--guard", "off"]);
    let (own, victim, _) = scene.ids();
    let from = hex(&own.mac.0);
    let rest = "00".repeat(46);
    scene.refused("a BPDU", "bpdu", &format!("0180c2000000{from}0026424203{rest}"));
    scene.refused("a pause frame", "mac-control", &format!("0180c2000001{from}88080001ffff{rest}"));
    scene.refused(
        "pause, by unicast",
        "mac-control",
        &format!("{}{from}88080001ffff{rest}", hex(&victim.mac.0)),
    );
    scene.refused("LLDP", "reserved-multicast", &format!("0180c200000e{from}88cc{rest}"));
    scene.refused(
        "a zero source",
        "zero-source-mac",
        &format!("ffffffffffff00000000000088b5{rest}"),
    );
    scene.refused(
        "an all-ones source",
        "broadcast-source-mac",
        &format!("ffffffffffffffffffffffff88b5{rest}"),
    );
    scene.refused(
        "a group as source",
        "multicast-source-mac",
        &format!("ffffffffffff01005e00000188b5{rest}"),
    );
    scene.is_well();
}

/// With a guard or without: what a guest needs passes.
#[test]
fn what_a_guest_needs_passes() {
    let scene = Scene::new(&[]);
    let (own, ..) = scene.ids();
    // Duplicate address detection of a link-local address of its own choice.
    scene.attacker.ok(&["ip", "addr", "add", "fe80::5/64", "dev", "eth0"]);
    let to = format!("{}%eth0", id(&scene.victim).local);
    wait_for("duplicate address detection", Duration::from_secs(10), || {
        !scene.attacker.ok(&["ip", "-6", "addr", "show", "dev", "eth0"]).contains("tentative")
    });
    scene.attacker.ok(&["ping", "-n", "-c3", "-i0.3", "-W2", "-I", "fe80::5%eth0", &to]);
    // ARP probe, MLD join, DHCP discover.
    scene.attacker.ok(&["ip", "maddr", "add", "33:33:00:00:00:99", "dev", "eth0"]);
    let join = "\
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.setsockopt(41, 20, socket.inet_pton(socket.AF_INET6, 'ff15::99') + struct.pack('@I', socket.if_nametoindex('eth0')))
t = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
t.setsockopt(0, 35, socket.inet_aton('239.1.1.1') + struct.pack('@4si', bytes(4), socket.if_nametoindex('eth0'))[0:8])
";
    scene.attacker.ok(&["python3", "-c", join]);
    let broadcast = Link::new(own.mac, MacAddr::BROADCAST);
    let discover =
        datagram(broadcast, Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into(), (68, 67));
    let probe = arp::Repr::request(own.mac, Ipv4Addr::UNSPECIFIED, own.v4);
    for frame in [discover, hex(&frames::arp(MacAddr::BROADCAST, &probe))] {
        let before = scene.host.inspect("victim").port.traffic.tx_frames;
        scene.send(&frame);
        assert!(scene.host.inspect("victim").port.traffic.tx_frames >= before + TIMES);
    }
    let detail = scene.host.inspect("attacker");
    assert!(detail.drops_by_reason.keys().all(|r| r == "no-other-port"), "{detail:#?}");
    scene.is_well();
}

/// Off, all of it passes; on again, live, nothing does.
#[test]
fn the_guard_is_switched_off_and_on_live() {
    let scene = Scene::new(&["--guard", "off"]);
    let (own, victim, other) = scene.ids();
    // The last one is a question for an address that the switch answers for.
    let mut lies = lies(&own, &victim, &other);
    lies.pop();
    for (what, _, frame) in &lies {
        let before = scene.host.inspect("victim").port.traffic.tx_frames;
        scene.send(frame);
        assert!(scene.host.inspect("victim").port.traffic.tx_frames >= before + TIMES, "{what}");
    }
    assert_eq!(scene.host.inspect("attacker").port.drops, 0);
    scene.host.ok(&["port", "set", "attacker", "--guard", "on"]);
    let (what, reason, frame) = lies.swap_remove(2);
    scene.refused(what, reason, &frame);
    // Narrowed to one address, the container has lost the other.
    scene.host.ok(&["port", "set", "attacker", "--guard", &own.v6.to_string()]);
    let own4 = datagram(Link::new(own.mac, victim.mac), own.v4.into(), victim.v4.into(), (1000, 9));
    scene.refused("its own IPv4", "spoofed-ipv4", &own4);
    scene.victim.ping_soon(own.v6.into(), SOON);
}

#[test]
fn a_guard_for_an_address_of_somebody_else_changes_nothing() {
    let scene = Scene::new(&[]);
    let (own, victim, _) = scene.ids();
    let (host, foreign) = (&scene.host, victim.v4.to_string());
    let before = host.json(&["port", "show", "attacker"]);
    host.fails(&["port", "set", "attacker", "--guard", &foreign], &[2], &foreign);
    let both = format!("{},{foreign}", own.v4);
    host.fails(&["port", "set", "attacker", "--guard", &both], &[2], &foreign);
    host.fails(&["port", "set", "attacker", "--guard", "maybe"], &[2], "maybe");
    host.fails(&["port", "set", "br0", "--guard", "on"], &[2], "br0");
    host.fails(&["port", "set", "br0", "--isolation", "isolated"], &[2], "br0");
    host.fails(&["port", "set", "attacker", "--isolation", "some"], &[2], "some");
    assert_eq!(host.json(&["port", "show", "attacker"]), before);
    let netns = host.namespace("new");
    let attach = ["attach", "--netns", netns.name(), "--name", "new", "--guard", &foreign];
    host.fails(&attach, &[2], &foreign);
    assert!(netns.links().is_empty() && host.ls().len() == 3);
}

#[test]
fn isolated_ports_reach_the_gateway_and_promiscuous_ports_only() {
    let host = Host::with_switch();
    let isolated = ["--isolation", "isolated"];
    let (a, b) = (host.container_with("a", &isolated), host.container_with("b", &isolated));
    let (c, d) = (host.container("c"), host.container_with("d", &["--isolation", "promiscuous"]));
    for to in [a.gateway(), d.v4(), d.v6()] {
        a.ping(to);
    }
    c.ping(d.v4());
    for (from, to) in [(&a, &b), (&a, &c), (&c, &b)] {
        for addr in [to.v4(), to.v6()] {
            let output = from.try_ping(addr, 2);
            assert!(output.stdout.contains("100% packet loss"), "{output}");
        }
    }
    // Nor by unicast to an address that it knows from elsewhere.
    let (from, to) = (id(&a), id(&b));
    let frame = datagram(Link::new(from.mac, to.mac), from.v4.into(), to.v4.into(), (1000, 9));
    let before = host.inspect("a").drops_by_reason.get("isolated").copied().unwrap_or(0);
    b.ping(b.gateway());
    a.ok(&["python3", "-c", SEND_FRAME, "eth0", &frame, "20"]);
    assert_eq!(host.inspect("a").drops_by_reason.get("isolated"), Some(&(before + 20)));
    host.ok(&["port", "set", "a", "--isolation", "none"]);
    host.ok(&["port", "set", "b", "--isolation", "none"]);
    a.ping_soon(b.v4(), Duration::from_secs(10));
    host.balanced();
}
