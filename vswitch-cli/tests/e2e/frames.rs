//! Frames of odd kinds, sent by `AF_PACKET` sockets: dropped or forwarded as a switch does, counted.

use std::process::Stdio;
use std::time::Duration;

use testkit::{Process, SEND_FRAME, wait_for};

use crate::harness::{Container, Host};

/// Waits for one frame of an EtherType: `HEX FILE`; prints its length and its bytes.
const TAKE_FRAME: &str = "\
import socket, sys
kind = int(sys.argv[1], 16)
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
s.bind(('eth0', kind))
s.settimeout(10)
open(sys.argv[2], 'w').write('ready')
data = s.recv(70000)
print(len(data), data[14:].hex())
";

const UNKNOWN_ETHERTYPE: &str = "88b5";

struct Scene {
    host: Host,
    a: Container,
    b: Container,
}

impl Scene {
    #[track_caller]
    fn new(args: &[&str]) -> Self {
        let host = Host::with_switch_args(args);
        let (a, b) = (host.container("a"), host.container("b"));
        a.ping(b.v4());
        Self { host, a, b }
    }

    /// A header from `a` to `b` in hexadecimal.
    fn header(&self, ethertype: &str) -> String {
        let hex = |container: &Container| container.detail().port.mac.to_string().replace(':', "");
        format!("{}{}{ethertype}", hex(&self.b), hex(&self.a))
    }

    /// Sends it from `a`, and gives how many bytes the kernel took.
    #[track_caller]
    fn send(&self, hex: &str, count: u32) -> String {
        self.a.ok(&["python3", "-c", SEND_FRAME, "eth0", hex, &count.to_string()])
    }

    #[track_caller]
    fn taker(&self) -> Process {
        let file = self.host.path("taker");
        let path = file.display().to_string();
        let mut command = self.b.command(&["python3", "-c", TAKE_FRAME, UNKNOWN_ETHERTYPE, &path]);
        let process = Process::spawn(command.stdin(Stdio::null()));
        wait_for("the taker listens", Duration::from_secs(5), || file.exists());
        process
    }

    /// Frames from `a`, as counted now.
    #[track_caller]
    fn counted(&self) -> u64 {
        self.host.inspect("a").port.traffic.rx_frames
    }

    /// Frames of `a` that were dropped for `reason`.
    #[track_caller]
    fn dropped(&self, reason: &str) -> u64 {
        self.host.inspect("a").drops_by_reason.get(reason).copied().unwrap_or(0)
    }

    /// The switch lives, talks, and its books are balanced.
    #[track_caller]
    fn is_well(&self) {
        self.a.ping(self.b.v4());
        self.b.ping(self.a.v6());
        self.host.balanced();
    }
}

#[test]
fn an_unknown_ethertype_is_forwarded_whole() {
    let scene = Scene::new(&[]);
    let taker = scene.taker();
    let payload = "5a".repeat(100);
    scene.send(&(scene.header(UNKNOWN_ETHERTYPE) + &payload), 1);
    assert_eq!(taker.finish(Duration::from_secs(15)).ok(), format!("114 {payload}\n"));
    scene.is_well();
}

#[test]
fn a_bare_header_is_counted() {
    let scene = Scene::new(&[]);
    let before = scene.counted();
    // The kernel takes nothing shorter from a packet socket.
    assert_eq!(scene.send(&scene.header(UNKNOWN_ETHERTYPE), 50).lines().count(), 50);
    assert!(scene.counted() >= before + 50, "{before} {}", scene.counted());
    scene.is_well();
}

/// IPv4, IPv6, ARP and VLAN frames that end in the middle of their headers, or lie about lengths.
#[test]
fn truncated_headers_do_no_harm() {
    let scene = Scene::new(&[]);
    let before = scene.counted();
    let mut sent = 0;
    for (ethertype, header) in [
        ("0800", "450000541234400040010000"),
        ("0800", "4fffffff"),
        ("0800", "00"),
        ("86dd", "6000000000403a40fd"),
        ("86dd", "60"),
        ("0806", "00010800060400"),
        ("8100", "0fff08004500"),
        ("88a8", "00018100"),
        ("0003", "ffff"),
        ("ffff", ""),
    ] {
        scene.send(&(scene.header(ethertype) + header), 5);
        sent += 5;
    }
    assert!(scene.counted() >= before + sent, "{before} {}", scene.counted());
    scene.is_well();
}

/// A container whose interface was given a larger MTU sends more than the network allows.
#[test]
fn a_jumbo_frame_does_no_harm() {
    let scene = Scene::new(&[]);
    scene.a.ok(&["ip", "link", "set", "eth0", "mtu", "9000"]);
    let before = scene.counted();
    let frame = scene.header(UNKNOWN_ETHERTYPE) + &"77".repeat(8986);
    assert_eq!(scene.send(&frame, 10).lines().next(), Some("9000"));
    assert!(scene.counted() >= before + 10, "{before} {}", scene.counted());
    assert!(scene.dropped("too-big") >= 10, "{:#?}", scene.host.inspect("a"));
    scene.is_well();
}

#[test]
fn a_jumbo_frame_passes_where_the_network_allows_it() {
    let scene = Scene::new(&["--mtu", "9000"]);
    let taker = scene.taker();
    let payload = "99".repeat(9000);
    scene.send(&(scene.header(UNKNOWN_ETHERTYPE) + &payload), 1);
    assert_eq!(taker.finish(Duration::from_secs(15)).ok(), format!("9014 {payload}\n"));
    scene.is_well();
}

#[test]
fn a_frame_from_a_multicast_source_is_not_learnt() {
    let scene = Scene::new(&[]);
    scene.send(&format!("ffffffffffff01005e000001{UNKNOWN_ETHERTYPE}00"), 5);
    assert!(!scene.host.ok(&["fdb"]).contains("01:00:5e:00:00:01"));
    assert_eq!(scene.dropped("multicast-source-mac"), 5);
    scene.is_well();
}

#[test]
fn totals_do_not_go_back_when_a_port_goes() {
    let scene = Scene::new(&[]);
    scene.send(&format!("ffffffffffff01005e000001{UNKNOWN_ETHERTYPE}00"), 5);
    let total = || scene.host.stats().drops.get("multicast-source-mac").copied();
    assert_eq!((scene.dropped("multicast-source-mac"), total()), (5, Some(5)));
    scene.host.ok(&["detach", "a"]);
    assert_eq!(total(), Some(5));
    let (_again, stats) = (scene.host.container("a"), scene.host.stats());
    let a = stats.ports.iter().find(|port| port.name == "a").expect("a");
    assert_eq!(a.drops_by_reason.get("multicast-source-mac").copied().unwrap_or(0), 0);
    assert_eq!(stats.drops.get("multicast-source-mac").copied(), Some(5));
}

#[test]
fn frames_for_the_sender_itself_are_not_sent_back() {
    let scene = Scene::new(&[]);
    let mac = scene.a.detail().port.mac.to_string().replace(':', "");
    let before = scene.host.inspect("a").port;
    scene.send(&format!("{mac}{mac}{UNKNOWN_ETHERTYPE}{}", "00".repeat(50)), 200);
    let after = scene.host.inspect("a").port;
    assert_eq!(scene.dropped("same-port"), 200);
    assert!(after.traffic.tx_frames < before.traffic.tx_frames + 50, "{after:#?}");
    scene.is_well();
}

/// More sources than the network may learn: nothing breaks, and known stations keep working.
#[test]
fn a_flood_of_mac_addresses() {
    let scene = Scene::new(&[]);
    scene.host.ok(&["port", "set", "a", "--guard", "off"]);
    let flood = "\
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(('eth0', 0))
for n in range(50000):
    s.send(bytes.fromhex('ffffffffffff02aa') + n.to_bytes(4, 'big') + b'\\x88\\xb5' + bytes(46))
";
    scene.a.exec_within(&["python3", "-c", flood], Duration::from_secs(60)).ok();
    let network = scene.host.json(&["network", "inspect", "br0"]);
    assert!(network["fdb_entries"].as_u64() <= network["fdb_entries_max"].as_u64(), "{network:#}");
    scene.is_well();
}
