//! `--add-ip`: several addresses of one endpoint.

use std::net::{IpAddr, Ipv4Addr};
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

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn addresses() -> impl Iterator<Item = IpAddr> {
    MORE.into_iter().map(address)
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
    host.ok(&["rename", "a", "web"]);
    for how in ["down", "kill"] {
        if how == "down" {
            host.down()
        } else {
            host.kill()
        }
        host.up(&[]);
        addresses().for_each(|address| b.ping_soon(address, SOON));
        let after = host.inspect("web").port;
        assert_eq!((after.ipv4, after.ipv6), (shown.ipv4.clone(), shown.ipv6.clone()));
    }
    host.balanced();
    // They are free again.
    host.ok(&["detach", "web"]);
    let fixed = ["--ip", MORE[0], "--add-ip", MORE[1], "--add-ip", MORE[2]];
    let _next = host.container_with("next", &[&["--network", "blue"], &fixed[..]].concat());
    addresses().for_each(|address| b.ping_soon(address, SOON));
}

/// Programs that bind no address send from the first one, whatever the order of the request.
#[test]
fn connections_leave_from_the_first_address() {
    let host = with_network();
    let b = host.container_with("b", &["--network", "blue"]);
    // The automatic addresses are others than those that the request names.
    let more = ["10.5.0.3", "fd05::3", "10.5.0.250", "fd05::ffff", "fd05::1234"];
    let more: Vec<_> = more.iter().flat_map(|address| ["--add-ip", address]).collect();
    let a = host.container_with("a", &[&["--network", "blue"], &more[..]].concat());
    assert_eq!((a.v4(), a.v6()), (address("10.5.0.4"), address("fd05::4")));
    for (own, to, host_has) in [(a.v4(), b.v4(), b.gateway()), (a.v6(), b.v6(), b.gateway6())] {
        for (netns, to) in [(&*b, to), (host.netns(), host_has)] {
            let _service = netns.serve("tcp", to, 7000);
            assert_eq!(a.ask("tcp", to, 7000).0, own);
        }
    }
}

/// A command of `run` can bind all of them from its first instant.
#[test]
fn all_addresses_are_there_when_the_attach_ends() {
    let host = with_network();
    let more: Vec<_> = (0x100..0x10e).map(|last| format!("fd05::{last:x}")).collect();
    let network = format!("name=blue,add-ip={}", more.join(",add-ip="));
    let show = ["ip", "-6", "route", "show", "table", "local", "type", "local", "dev", "eth0"];
    let shown =
        host.ok(&[&["run", "--name", "a", "--network", &network, "--"], &show[..]].concat());
    for address in more {
        assert!(shown.contains(&format!("local {address} ")), "no {address} in\n{shown}");
    }
}

/// The host asks for none of them.
#[test]
fn the_host_knows_them_while_they_are_attached() {
    let host = with_network();
    let a = more(&host, "a");
    let known = || host.netns().ok(&["ip", "neigh", "show", "dev", "br-blue", "nud", "permanent"]);
    let own = || addresses().chain([a.v4(), a.v6()]);
    let mac = a.detail().port.mac;
    let has = |table: &str, address: IpAddr| {
        table.lines().any(|line| line.starts_with(&format!("{address} lladdr {mac}")))
    };
    let table = known();
    own().for_each(|address| assert!(has(&table, address), "no {address} in\n{table}"));
    host.ok(&["port", "set", "a", "--guard", "10.5.0.78"]);
    let table = known();
    own().for_each(|it| assert_eq!(has(&table, it), it == address("10.5.0.78"), "{it}\n{table}"));
    host.ok(&["port", "set", "a", "--guard", "on"]);
    host.ok(&["detach", "a"]);
    let table = known();
    own().for_each(|address| assert!(!has(&table, address), "{address} in\n{table}"));
}

#[test]
fn names_are_asked_for_from_them_and_of_them() {
    let host = with_network();
    let a = more(&host, "a");
    let dig = |from: &str, server: IpAddr, about: &[&str]| {
        let at = format!("@{server}");
        let fixed = ["dig", "-b", from, &at, "+short", "+tries=1", "+timeout=4"];
        a.ok(&[&fixed[..], about].concat()).trim().to_owned()
    };
    let from = [("10.5.0.78", a.gateway()), ("fd05::77", a.gateway6())];
    for (from, server) in from {
        for address in MORE {
            assert_eq!(dig(from, server, &["-x", address]), "a.blue.", "{address} from {from}");
        }
        let mut found: Vec<_> = dig(from, server, &["a.blue"]).lines().map(str::to_owned).collect();
        found.sort();
        assert_eq!(found, [&a.v4().to_string(), MORE[0], MORE[1]]);
    }
}

/// It configures itself: the switch says its addresses, and sets none.
#[test]
fn an_endpoint_that_configures_itself_is_told_all_addresses() {
    let host = with_network();
    let netns = host.namespace("a");
    let attach = ["attach", "--netns", netns.name(), "--name", "a", "--network", "blue"];
    let own = ["--configure", "none", "--add-ip", "10.5.0.77", "--add-ip", "fd05::77"];
    let said = host.ok(&[&attach[..], &own].concat());
    let expected = "is to configure 10.5.0.2/24 and 10.5.0.77/24 and fd05::2/64 and fd05::77/64";
    assert!(said.contains(expected), "{said}");
    let shown = netns.ok(&["ip", "-o", "address", "show", "dev", "eth0", "scope", "global"]);
    assert_eq!(shown, "");
    netns.run_lines(&["ip address add 10.5.0.77/24 dev eth0"]);
    netns.ping(address("10.5.0.1"));
    host.netns().ping(address("10.5.0.77"));
}

/// A first network that another start gives other subnets: 10.7.0.17 is its gateway then.
#[test]
fn a_changed_subnet_takes_only_those_that_it_excludes() {
    let mut host = Host::with_switch_args(&["--subnet", "10.7.0.0/24"]);
    let more = ["--add-ip", "10.7.0.200", "--add-ip", "10.7.0.17", "--add-ip", "10.7.0.30"];
    let a = host.container_with("a", &[&["--ip", "10.7.0.20"], &more[..]].concat());
    host.down();
    host.up(&["--subnet", "10.7.0.16/28"]);
    let shown = host.inspect("a").port.ipv4.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>();
    assert_eq!(shown, ["10.7.0.20", "10.7.0.30"]);
    host.netns().ping_soon(address("10.7.0.30"), SOON);
    let own = a.ok(&["ip", "-4", "-o", "address", "show", "dev", "eth0"]);
    assert!(own.contains("10.7.0.30/28") && !own.contains("10.7.0.200"), "{own}");
    for dropped in ["10.7.0.200", "10.7.0.17"] {
        let says = |line: &str| line.contains("further address dropped") && line.contains(dropped);
        assert!(host.log().lines().any(says), "{}", host.log());
    }
}

/// With several networks, replies from each address leave by its own interface.
#[test]
fn replies_leave_by_the_interface_of_the_address() {
    let host = with_network();
    let (a, b) = (host.container("a"), host.container_with("b", &["--network", "blue"]));
    host.ok(&["network", "connect", "--add-ip", "10.5.0.77", "--add-ip", "fd05::77", "blue", "a"]);
    for (own, rules) in [("10.5.0.77", "-4"), ("fd05::77", "-6")] {
        b.ping(address(own));
        host.netns().ping(address(own));
        let listed = a.ok(&["ip", rules, "rule", "show"]);
        assert!(listed.contains(&format!("from {own}")), "{listed}");
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
