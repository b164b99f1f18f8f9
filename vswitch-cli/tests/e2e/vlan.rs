//! VLANs: access and trunk ports, live changes, and what a container cannot reach by tags of its own.

use std::net::IpAddr;
use std::process::Command;

use crate::harness::{Container, Host, Netns, Receiver, SEND_FRAME, SEND_STREAM};

/// An interface of the container for one VLAN, with an address; gives the address.
#[track_caller]
fn subinterface(netns: &Netns, vlan: u16, address: &str) -> IpAddr {
    let (name, id) = (format!("eth0.{vlan}"), vlan.to_string());
    netns.ok(&["ip", "link", "add", "link", "eth0", "name", &name, "type", "vlan", "id", &id]);
    netns.ok(&["ip", "link", "set", &name, "up"]);
    netns.ok(&["ip", "addr", "add", address, "dev", &name]);
    address.split('/').next().expect("an address").parse().expect("an address")
}

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
    unreachable(&a, IpAddr::V4(a.detail().gateway));

    let shown = host.ok(&["port", "set", "c", "--access", "10"]);
    assert_eq!(shown, "vlan  access 10\n");
    a.ping(c.v4());
    host.ok(&["port", "set", "a", "--access", "untagged"]);
    unreachable(&a, c.v4());
    a.ping(IpAddr::V4(a.detail().gateway));
    let fdb = host.json(&["fdb"]);
    let rows = fdb.as_array().expect("rows");
    assert!(rows.iter().any(|row| row["vlan"] == 10 && row["port"] == "b"), "{fdb:#}");
}

/// A trunk to the container, an access port behind it, and TCP with large segments through both.
#[test]
fn a_trunk_carries_vlans_by_their_tags() {
    let host = Host::with_switch();
    let router = host.container_with("router", &["--trunk", "10,20", "--native", "untagged"]);
    let (a, b) = (host.container_with("a", &["--access", "10"]), host.container("b"));
    router.ping(b.v4());
    let there = subinterface(&router, 10, "172.20.0.1/24");
    let unused = subinterface(&router, 30, "172.30.0.1/24");
    a.ok(&["ip", "addr", "add", "172.20.0.2/24", "dev", "eth0"]);
    a.ok(&["ip", "addr", "add", "172.30.0.2/24", "dev", "eth0"]);
    a.ping(there);
    unreachable(&a, unused);
    unreachable(&b, a.v4());
    router.exec(&["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", "172.30.0.2"]);
    assert!(dropped(&host, "router", "vlan-not-allowed") >= 1);

    for (from, to, addr) in [(&a, &router, there), (&router, &a, "172.20.0.2".parse().expect("ip"))]
    {
        let receiver = Receiver::start(to, addr);
        let send = ["python3", "-c", SEND_STREAM, &addr.to_string(), &receiver.port, "20", "7"];
        assert_eq!(from.ok(&send), receiver.digest());
    }
    host.balanced();
}

#[test]
fn the_hosts_port_can_be_a_trunk() {
    let host = Host::with_switch();
    let (a, b) = (host.container_with("a", &["--access", "10"]), host.container("b"));
    host.ok(&["port", "set", "br0", "--trunk", "10", "--native", "untagged"]);
    b.ping(IpAddr::V4(b.detail().gateway));
    let netns = host.netns();
    netns.ok(&["ip", "link", "add", "link", "br0", "name", "br0.10", "type", "vlan", "id", "10"]);
    netns.ok(&["ip", "link", "set", "br0.10", "up"]);
    netns.ok(&["ip", "addr", "add", "172.20.0.1/24", "dev", "br0.10"]);
    a.ok(&["ip", "addr", "add", "172.20.0.2/24", "dev", "eth0"]);
    a.ping("172.20.0.1".parse().expect("an address"));
    assert!(host.ok(&["port", "show", "br0"]).contains("trunk 10, native untagged"));
}

#[test]
fn a_container_cannot_tag_itself_into_a_vlan() {
    let host = Host::with_switch();
    let (a, _b) = (host.container("a"), host.container_with("b", &["--access", "10"]));
    let before = host.inspect("b").port.tx_frames;
    let own = a.detail().port.mac.replace(':', "");
    let payload = "88b5".to_owned() + &"00".repeat(46);
    for tags in ["8100000a", "88a8000a", "810000008100000a", "8100000a8100000a"] {
        let frame = format!("ffffffffffff{own}{tags}{payload}");
        a.ok(&["python3", "-c", SEND_FRAME, "eth0", &frame, "25"]);
    }
    assert_eq!(dropped(&host, "a", "vlan-tagged"), 100);
    assert!(host.inspect("b").port.tx_frames < before + 20);
    host.balanced();
}

#[test]
fn policies_outlive_the_daemon() {
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
    let (before, links) = (host.json(&["inspect", "a"])["policy"].clone(), a.links());
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
    assert_eq!(host.json(&["inspect", "a"])["policy"], before);
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
c.request('PATCH', '/v1/ports/a/policy', sys.argv[2], {'content-type': 'application/json'})
r = c.getresponse()
print(r.status, r.read().decode())";
        let mut command = Command::new("python3");
        let output = command.args(["-c", request, &socket, body]).output().expect("python3");
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(answer.starts_with("400 ") && answer.contains(part), "{answer}");
    }
    assert_eq!(host.ok(&["port", "show", "a"]), "vlan  access untagged\n");
}
