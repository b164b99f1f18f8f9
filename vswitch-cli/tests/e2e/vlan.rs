//! VLANs: access and trunk ports, live changes, and what a container cannot reach by tags of its own.

use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use testkit::{Netns, Process, SEND_FRAME, wait_for};

use crate::harness::{Container, Host};

/// A station on a VLAN by tags of its own, where the kernel may have no VLAN devices: `VLAN ADDRESS
/// FILE`. It answers ARP and echo requests, and sends UDP datagrams back.
const TAGGED_STATION: &str = r"
import socket, struct, sys
vlan, own = int(sys.argv[1]), socket.inet_aton(sys.argv[2])
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(('eth0', 3))
s.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
mac = s.getsockname()[4]
open(sys.argv[3], 'w').write('ready')

def checksum(data):
    total = sum(struct.unpack('!%dH' % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return struct.pack('!H', ~total & 0xffff)

def reply(to, kind, payload):
    s.send(to + mac + struct.pack('!HH', 0x8100, vlan) + kind + payload)

while True:
    data, control, flags, address = s.recvmsg(70000, 64)
    tci = [struct.unpack('=IIIHHHH', c[2][:20])[5] for c in control if c[1] == 8]
    if address[2] == 4 or not tci or tci[0] & 0xfff != vlan:  # PACKET_OUTGOING
        continue
    peer, kind, body = data[6:12], data[12:14], data[14:]
    if kind == b'\x08\x06' and body[6:8] == b'\0\1' and body[24:28] == own:
        reply(peer, kind, body[:6] + b'\0\2' + mac + own + body[8:18])
    elif kind == b'\x08\0' and body[16:20] == own:
        header = body[:12] + own + body[12:16]
        packet = body[20:struct.unpack('!H', body[2:4])[0]]
        if body[9] == 1 and packet[0] == 8:
            rest = packet[4:]
            packet = b'\0\0' + checksum(b'\0\0\0\0' + rest) + rest
        elif body[9] == 17:
            packet = packet[2:4] + packet[0:2] + packet[4:6] + b'\0\0' + packet[8:]
            print(len(packet), flush=True)
            if len(packet) > 1480:
                continue
        reply(peer, kind, header + packet)
";

/// Starts such a station in a namespace.
#[track_caller]
fn station(host: &Host, netns: &Netns, vlan: u16, address: &str) -> Process {
    let file = host.path(&format!("station-{vlan}"));
    let (vlan, path) = (vlan.to_string(), file.display().to_string());
    let process = netns.spawn(&["python3", "-c", TAGGED_STATION, &vlan, address, &path]);
    wait_for("the station listens", Duration::from_secs(10), || file.exists());
    process
}

/// Another address for a container, in a subnet that only the test knows.
#[track_caller]
fn add_address(netns: &Netns, address: &str) {
    netns.ok(&["ip", "addr", "add", address, "dev", "eth0"]);
}

/// The kernel remembers for a while that a neighbour did not answer.
const SOON: Duration = Duration::from_secs(10);

#[track_caller]
fn unreachable(from: &Netns, to: IpAddr) {
    let output = from.exec(&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", &to.to_string()]);
    assert!(output.stdout.contains("100% packet loss"), "{output}");
}

#[track_caller]
fn dropped(host: &Host, name: &str, reason: &str) -> u64 {
    host.inspect(name).drops_by_reason.get(reason).copied().unwrap_or(0)
}

#[test]
fn vlans_are_apart_and_ports_change_them_live() {
    let host = Host::with_switch();
    let a = host.container_with("a", &["--access", "10"]);
    let (b, c) = (host.container_with("b", &["--access", "10"]), host.container("c"));
    a.ping(b.v4());
    a.ping(b.v6());
    unreachable(&a, c.v4());
    unreachable(&a, a.gateway());

    let shown = host.ok(&["port", "set", "c", "--access", "10"]);
    let has = |words: [&str; 2]| {
        shown.lines().any(|line| {
            line.split_once(' ').is_some_and(|(name, value)| [name, value.trim()] == words)
        })
    };
    assert!(
        has(["vlan", "access 10"]) && has(["guard", "on"]) && has(["isolation", "none"]),
        "{shown}"
    );
    a.ping_soon(c.v4(), SOON);
    host.ok(&["port", "set", "a", "--access", "untagged"]);
    unreachable(&a, c.v4());
    a.ping_soon(a.gateway(), SOON);
    let fdb = host.json(&["fdb"]);
    let rows = fdb.as_array().expect("rows");
    assert!(rows.iter().any(|row| row["vlan"] == 10 && row["port"] == "b"), "{fdb:#}");
}

/// Both ways, with UDP segmentation: the offload header moves with the tag, or the kernel refuses it.
#[test]
fn a_trunk_carries_vlans_by_their_tags() {
    let host = Host::with_switch();
    let router = host.container_with("router", &["--trunk", "10,20", "--native", "untagged"]);
    let (a, b) = (host.container_with("a", &["--access", "10"]), host.container("b"));
    // The test has a subnet of its own.
    for port in ["router", "a"] {
        host.ok(&["port", "set", port, "--guard", "off"]);
    }
    router.ping(b.v4());
    let ten = station(&host, &router, 10, "172.20.0.1");
    let _thirty = station(&host, &router, 30, "172.30.0.1");
    add_address(&a, "172.20.0.2/24");
    add_address(&a, "172.30.0.2/24");
    a.ping("172.20.0.1".parse().expect("an address"));
    unreachable(&a, "172.30.0.1".parse().expect("an address"));
    unreachable(&b, a.v4());

    let datagrams = "\
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('172.20.0.1', 7))
s.send(b'one datagram')
print(s.recv(100).decode())
s.setsockopt(socket.IPPROTO_UDP, 103, 1000)  # UDP_SEGMENT
s.send(bytes(10000))
s.send(b'the end')
print(s.recv(100).decode())
";
    assert_eq!(a.ok(&["python3", "-c", datagrams]), "one datagram\nthe end\n");
    ten.signal(nix::sys::signal::Signal::SIGKILL);
    let lengths = ten.finish(Duration::from_secs(5)).stdout;
    let longer: usize = lengths.lines().map(|l| l.parse::<usize>().expect("a length") - 8).sum();
    assert_eq!(longer, 12 + 10_000 + 7, "{lengths}");
    assert_eq!(dropped(&host, "router", "tx-error"), 0);
    host.balanced();
}

#[test]
fn a_frame_for_a_vlan_that_the_trunk_does_not_carry_is_dropped() {
    let host = Host::with_switch();
    let router = host.container_with("router", &["--trunk", "10"]);
    let own = router.detail().port.mac.to_string().replace(':', "");
    let before = dropped(&host, "router", "vlan-not-allowed");
    for tag in ["8100000b", "81000fff", "", "8100e000"] {
        let frame = format!("ffffffffffff{own}{tag}88b5{}", "00".repeat(46));
        router.ok(&["python3", "-c", SEND_FRAME, "eth0", &frame, "25"]);
    }
    assert!(dropped(&host, "router", "vlan-not-allowed") >= before + 100);
    host.balanced();
}

#[test]
fn the_hosts_port_can_be_a_trunk() {
    let host = Host::with_switch();
    let (a, b) = (host.container_with("a", &["--access", "10"]), host.container("b"));
    host.ok(&["port", "set", "br0", "--trunk", "10", "--native", "untagged"]);
    b.ping(b.gateway());
    unreachable(&a, a.gateway());
    host.ok(&["port", "set", "br0", "--access", "10"]);
    a.ping_soon(a.gateway(), SOON);
    unreachable(&b, b.gateway());
    assert_eq!(host.json(&["port", "show", "br0"])["vlan"]["id"], 10);
}

#[test]
fn a_container_cannot_tag_itself_into_a_vlan() {
    let host = Host::with_switch();
    let (a, _b) = (host.container("a"), host.container_with("b", &["--access", "10"]));
    let before = host.inspect("b").port.traffic.tx_frames;
    let own = a.detail().port.mac.to_string().replace(':', "");
    let payload = "88b5".to_owned() + &"00".repeat(46);
    for tags in ["8100000a", "88a8000a", "810000008100000a", "8100000a8100000a"] {
        let frame = format!("ffffffffffff{own}{tags}{payload}");
        a.ok(&["python3", "-c", SEND_FRAME, "eth0", &frame, "25"]);
    }
    assert_eq!(dropped(&host, "a", "vlan-tagged"), 100);
    assert!(host.inspect("b").port.traffic.tx_frames < before + 20);
    host.balanced();
}

#[test]
fn settings_outlive_the_daemon() {
    let mut host = Host::with_switch();
    let a = host.container_with("a", &["--access", "10"]);
    let b = host.container_with("b", &["--trunk", "10-12", "--native", "10"]);
    host.ok(&["port", "set", "br0", "--trunk", "7", "--native", "untagged"]);
    let shown = |host: &Host| ["a", "b", "br0"].map(|name| host.json(&["port", "show", name]));
    let before = shown(&host);
    host.kill();
    host.up(&[]);
    assert_eq!(shown(&host), before);
    a.ping(b.v4());
}

/// The running process of `vswitch run` is on the VLAN that it was told.
#[test]
fn run_takes_a_vlan() {
    let host = Host::with_switch();
    let a = host.container_with("a", &["--access", "10"]);
    let to = a.v4().to_string();
    host.ok(&["run", "--name", "r", "--access", "10", "--", "ping", "-n", "-c1", "-W2", &to]);
    let output = host.vswitch(&["run", "--name", "r", "--", "ping", "-n", "-c1", "-W1", &to]);
    assert_ne!(output.code(), 0, "{output}");
}

#[test]
fn vlans_that_make_no_sense_change_nothing() {
    let host = Host::with_switch();
    let a = host.container_with("a", &["--trunk", "10,20", "--native", "20"]);
    let (before, links) = (host.json(&["inspect", "a"])[0]["settings"].clone(), a.links());
    let state = || std::fs::read(host.state_dir().join("state.json")).expect("the document");
    let document = state();
    for (args, value) in [
        (&["--access", "0"][..], "0"),
        (&["--access", "4095"], "4095"),
        (&["--access", "ten"], "ten"),
        (&["--access", ""], ""),
        (&["--trunk", "10,4095"], "4095"),
        (&["--trunk", "0-5"], "0"),
        (&["--trunk", "20-10"], "20-10"),
        (&["--trunk", ""], ""),
        (&["--trunk", "10,20", "--native", "30"], "30"),
        (&["--trunk", "10", "--native", "0"], "0"),
        (&["--native", "10"], "--trunk"),
        (&["--access", "10", "--trunk", "10"], "--trunk"),
        (&[], "a"),
    ] {
        host.fails(&[&["port", "set", "a"][..], args].concat(), &[2], value);
        let netns = host.namespace("b");
        if !args.is_empty() {
            let attach = ["attach", "--netns", netns.name(), "--name", "b"];
            host.fails(&[&attach[..], args].concat(), &[2], value);
            assert!(netns.links().is_empty());
        }
    }
    host.fails(&["port", "set", "nobody", "--access", "10"], &[1], "nobody");
    host.fails(&["port", "show", "nobody"], &[1], "nobody");
    host.fails(&["run", "--network", "none", "--access", "10", "--", "true"], &[2], "none");
    assert_eq!(host.json(&["inspect", "a"])[0]["settings"], before);
    assert_eq!((a.links(), state()), (links, document));
}

/// The API checks for itself: not every client is the command.
#[test]
fn the_api_refuses_vlans_that_make_no_sense() {
    let host = Host::with_switch();
    let _a: Container = host.container("a");
    let socket = host.path("sock").display().to_string();
    for (body, part) in [
        (r#"{"vlan":{"mode":"access","id":0}}"#, "0 is not a VLAN id"),
        (r#"{"vlan":{"mode":"access","id":4095}}"#, "4095 is not a VLAN id"),
        (r#"{"vlan":{"mode":"trunk","allowed":"10","native":11}}"#, "native VLAN 11"),
        (r#"{"vlan":{"mode":"trunk","allowed":""}}"#, "at least one VLAN"),
        (r#"{"wlan":{}}"#, "wlan"),
    ] {
        let request = "import http.client, socket, sys
c = http.client.HTTPConnection('localhost')
c.sock = socket.socket(socket.AF_UNIX)
c.sock.connect(sys.argv[1])
c.request('PATCH', '/v1/ports/a/settings', sys.argv[2], {'content-type': 'application/json'})
r = c.getresponse()
print(r.status, r.read().decode())";
        let mut command = Command::new("python3");
        let output = command.args(["-c", request, &socket, body]).output().expect("python3");
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(answer.starts_with("400 ") && answer.contains(part), "{answer}");
    }
    let shown = host.ok(&["port", "show", "a"]);
    assert!(shown.starts_with("vlan ") && shown.contains(" access untagged\n"), "{shown}");
}
