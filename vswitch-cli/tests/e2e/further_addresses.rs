//! `--add-ip`: several addresses of one endpoint.

use std::net::IpAddr;
use std::time::Duration;

use testkit::Snapshot;

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(5);
const MORE: [&str; 3] = ["10.5.0.77", "10.5.0.78", "fd05::77"];

fn with_network() -> Host {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--subnet", "10.5.0.0/24", "--subnet", "fd05::/64", "blue"]);
    host
}

fn more(host: &Host, name: &str) -> Container {
    let args: Vec<_> = MORE.iter().flat_map(|address| ["--add-ip", address]).collect();
    host.container_with(name, &[&["--network", "blue"], &args[..]].concat())
}

fn addresses() -> impl Iterator<Item = IpAddr> {
    MORE.iter().map(|address| address.parse().expect("an address"))
}

#[test]
fn an_endpoint_is_reached_by_all_of_its_addresses() {
    let mut host = with_network();
    let (a, b) = (more(&host, "a"), host.container_with("b", &["--network", "blue"]));
    for address in addresses() {
        b.ping(address);
        host.netns().ping(address);
        let _service = a.serve("tcp", address, 7000);
        b.ask("tcp", address, 7000);
        // It may send from them, too.
        let from = address.to_string();
        let to = if address.is_ipv4() { b.v4() } else { b.v6() };
        a.ok(&["ping", "-n", "-c", "1", "-W", "2", "-I", &from, &to.to_string()]);
    }
    let shown = host.inspect("a").port;
    assert_eq!((shown.ipv4.len(), shown.ipv6.len()), (3, 2));
    let record = host.json(&["network", "inspect", "blue"])["names"][0].clone();
    assert_eq!(record["ipv4"].as_array().map(Vec::len), Some(3), "{record}");
    for how in ["down", "kill"] {
        if how == "down" {
            host.down()
        } else {
            host.kill()
        }
        host.up(&[]);
        addresses().for_each(|address| b.ping_soon(address, SOON));
    }
    host.balanced();
    // They are free again.
    host.ok(&["detach", "a"]);
    let next = host.container_with("n", &["--network", "blue", "--ip", "10.5.0.99"]);
    drop(next);
}

/// With several networks, replies from each address leave by its own interface.
#[test]
fn replies_leave_by_the_interface_of_the_address() {
    let host = with_network();
    let (a, b) = (host.container("a"), host.container_with("b", &["--network", "blue"]));
    host.ok(&["network", "connect", "--add-ip", "10.5.0.77", "--add-ip", "fd05::77", "blue", "a"]);
    for (address, rules) in [("10.5.0.77", "-4"), ("fd05::77", "-6")] {
        b.ping(address.parse().expect("an address"));
        host.netns().ping(address.parse().expect("an address"));
        let listed = a.ok(&["ip", rules, "rule", "show"]);
        assert!(listed.contains(&format!("from {address}")), "{listed}");
    }
}

#[test]
fn addresses_that_cannot_be_had_change_nothing() {
    let host = with_network();
    let _a = more(&host, "a");
    let netns = host.namespace("x");
    let before = (Snapshot::take(host.netns()), Snapshot::take(&netns));
    let refuses = |args: &[&str], code: i32, value: &str| {
        let attach = ["attach", "--netns", netns.name(), "--name", "x", "--network", "blue"];
        host.fails(&[&attach[..], args].concat(), &[code], value);
    };
    refuses(&["--add-ip", "10.5.0.77"], 1, "10.5.0.77");
    refuses(&["--add-ip", "10.6.0.1"], 2, "10.6.0.1");
    refuses(&["--add-ip", "10.5.0.1"], 2, "10.5.0.1");
    refuses(&["--add-ip", "10.5.0.80", "--add-ip", "10.5.0.80"], 1, "10.5.0.80");
    refuses(&["--add-ip", "nonsense"], 2, "nonsense");
    let many: Vec<_> = (100..115).map(|last| format!("10.5.0.{last}")).collect();
    let many: Vec<_> = many.iter().flat_map(|address| ["--add-ip", address]).collect();
    refuses(&many, 1, "further addresses");
    before.0.assert_same(&Snapshot::take(host.netns()));
    before.1.assert_same(&Snapshot::take(&netns));
    // What was refused is not kept.
    let b = host.container_with("b", &["--network", "blue", "--add-ip", "10.5.0.80"]);
    b.ping(b.gateway());
}
