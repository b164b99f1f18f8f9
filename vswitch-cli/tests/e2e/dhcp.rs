//! Endpoints that configure themselves, with the clients that Debian has: udhcpc, dhclient, dhcpcd, rdisc6, and
//! the kernel's own reading of router advertisements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::{Netns, Process, READY_MAX, join, wait_for};

use crate::harness::{Container, Host};

mod faults;
mod networks;

/// A client asks several times, seconds apart.
const CLIENT_MAX: Duration = Duration::from_secs(30);

const MACHINE_MAC: &str = "02:00:00:00:00:0a";

/// The address of the host.
const NIC: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

const SERVES: [&str; 2] = ["--dhcp", "--ra"];

/// Applies what udhcpc got, and writes it down.
const UDHCPC_SCRIPT: &str = r#"#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip address replace "$ip/$mask" dev "$interface"
[ -z "$router" ] || ip route replace default via "$router" dev "$interface"
echo "$1 $ip/$mask router=$router dns=$dns mtu=$mtu hostname=$hostname lease=$lease" >> "$LOG"
"#;

/// The same for dhclient and DHCPv6, which gives addresses without a prefix.
const DHCLIENT_SCRIPT: &str = r#"#!/bin/sh
[ "$reason" = BOUND6 ] || exit 0
ip address replace "$new_ip6_address/128" dev "$interface"
echo "$reason $new_ip6_address dns=$new_dhcp6_name_servers" >> "$LOG"
"#;

/// A script of a DHCP client, and the file that it writes.
struct Client {
    script: PathBuf,
    log: PathBuf,
}

impl Client {
    fn new(host: &Host, name: &str, text: &str) -> Self {
        let (script, log) = (host.path(name), host.path(&format!("{name}.log")));
        let text = text.replace("$LOG", log.to_str().expect("text"));
        std::fs::write(&script, text).expect("a script");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&script, mode).expect("a script that runs");
        Self { script, log }
    }

    fn script(&self) -> &str {
        self.script.to_str().expect("text")
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

/// An endpoint that configures itself.
fn guest(host: &Host, name: &str, args: &[&str]) -> Container {
    host.container_with(name, &[&["--configure", "none"], args].concat())
}

/// udhcpc in the foreground, until it has an address.
#[track_caller]
fn udhcpc(netns: &Netns, client: &Client) -> testkit::Output {
    udhcpc_on("eth0", netns, client)
}

#[track_caller]
fn udhcpc_on(ifname: &str, netns: &Netns, client: &Client) -> testkit::Output {
    let once = ["busybox", "udhcpc", "-i", ifname, "-f", "-q", "-n", "-t", "4", "-T", "1", "-s"];
    netns.exec_within(&[&once[..], &[client.script()]].concat(), CLIENT_MAX)
}

fn global(netns: &Netns) -> String {
    netns.ok(&["ip", "-o", "address", "show", "dev", "eth0", "scope", "global"])
}

/// Duplicate address detection of the link-local address is over.
#[track_caller]
fn wait_for_link_local(netns: &Netns) {
    wait_for_link_local_on("eth0", netns);
}

#[track_caller]
fn wait_for_link_local_on(ifname: &str, netns: &Netns) {
    wait_for("a link-local address", READY_MAX, || {
        let shown = netns.ok(&["ip", "-6", "-o", "address", "show", "dev", ifname]);
        shown.contains("fe80") && !shown.contains("tentative")
    });
}

/// The same of the addresses that a client has set.
#[track_caller]
fn wait_until_usable(netns: &Netns) {
    wait_for("addresses that are not tentative", READY_MAX, || {
        !global(netns).contains("tentative")
    });
}

#[test]
fn udhcpc_gets_the_ports_address_renews_it_and_gets_it_again_after_a_crash() {
    let mut host = Host::with_switch_args(&SERVES);
    let (a, guest) = (host.container("a"), guest(&host, "guest", &[]));
    assert_eq!(global(&guest), "", "the switch configures nothing");
    let client = Client::new(&host, "udhcpc", UDHCPC_SCRIPT);
    let forever = ["busybox", "udhcpc", "-i", "eth0", "-f", "-t", "4", "-T", "1", "-s"];
    let daemon = guest.spawn(&[&forever[..], &[client.script()]].concat());
    let expected = |event: &str| {
        let (address, gateway) = (guest.v4(), guest.gateway());
        format!(
            "{event} {address}/16 router={gateway} dns={gateway} mtu=1500 hostname=guest lease=3600\n"
        )
    };
    wait_for("udhcpc has an address", CLIENT_MAX, || client.said() == expected("bound"));
    guest.ping(a.v4());
    a.ping(guest.v4());
    // A renewal is a unicast to the server, with the address in use.
    daemon.signal(Signal::SIGUSR1);
    let both = expected("bound") + &expected("renew");
    wait_for("udhcpc has renewed it", CLIENT_MAX, || client.said() == both);
    drop(daemon);

    let answers = host.stats().workers.iter().map(|worker| worker.dhcp_answers).sum::<u64>();
    assert!(answers >= 3, "an offer and two acknowledgements, not {answers}");
    host.balanced();
    host.kill();
    host.up(&SERVES);
    assert_eq!(global(&guest), "", "attached again as before");
    let output = udhcpc(&guest, &client);
    assert!(output.status.success(), "{output}");
    assert_eq!(client.said(), both + &expected("bound"));
    guest.ping(a.v4());
}

#[test]
fn rdisc6_and_the_kernel_find_the_router_and_dhclient_gets_the_ipv6_address() {
    let host = Host::with_switch_args(&SERVES);
    let (a, guest) = (host.container("a"), guest(&host, "guest", &[]));
    wait_for_link_local(&guest);
    let advert = guest.ok(&["rdisc6", "-1", "-n", "-r", "4", "-w", "2000", "eth0"]);
    let fields = |name: &str| {
        let line = advert.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{advert}")).to_owned()
    };
    assert!(fields("Stateful address conf.").contains("Yes"), "{advert}");
    assert!(fields("Router lifetime").contains("1200"), "{advert}");
    assert!(fields("MTU").contains("1500"), "{advert}");
    assert!(fields("Autonomous address conf.").contains("No"), "{advert}");
    assert!(fields("Recursive DNS server").contains(&guest.gateway6().to_string()), "{advert}");

    wait_for("the kernel's route", READY_MAX, || {
        guest.ok(&["ip", "-6", "route", "show", "default"]).contains("via fe80:")
    });
    assert_eq!(global(&guest), "", "nobody makes an address of the prefix");
    let client = Client::new(&host, "dhclient", DHCLIENT_SCRIPT);
    let (lease, pid) = (host.path("lease"), host.path("pid"));
    let (lease, pid) = (lease.to_str().expect("text"), pid.to_str().expect("text"));
    let script = client.script();
    let _daemon = guest
        .spawn(&["dhclient", "-6", "-d", "-1", "-sf", script, "-lf", lease, "-pf", pid, "eth0"]);
    let expected = format!("BOUND6 {} dns={}\n", guest.v6(), guest.gateway6());
    wait_for("dhclient has an address", CLIENT_MAX, || client.said() == expected);
    wait_until_usable(&guest);
    guest.ping(a.v6());
    a.ping(guest.v6());
    // The default route.
    guest.ping(guest.gateway6());
    host.balanced();
}

/// A virtual machine behind a bridge: two namespaces, with dhcpcd in the inner one.
struct Machine {
    /// The namespace that is attached; it bridges.
    outer: Container,
    inner: Netns,
}

impl Machine {
    fn new(host: &Host, name: &str) -> Self {
        Self::bridged(host, guest(host, name, &["--guard", "off"]))
    }

    /// One that has the port's MAC address, so that the guard may stay on; the interface that is attached has
    /// another one.
    fn with_the_ports_mac(host: &Host, name: &str) -> Self {
        let outer = guest(host, name, &["--mac", MACHINE_MAC]);
        outer.run_lines(&["ip link set eth0 down", "ip link set eth0 address 02:00:00:00:00:0b"]);
        let machine = Self::bridged(host, outer);
        machine.outer.ok(&["ip", "link", "set", "eth0", "up"]);
        machine.inner.ok(&["ip", "link", "set", "eth0", "address", MACHINE_MAC]);
        machine
    }

    fn bridged(host: &Host, outer: Container) -> Self {
        let inner = host.namespace("vm");
        outer.run_lines(&[
            "ip link add bridge type bridge",
            "ip link set bridge addrgenmode none up",
            "ip link set eth0 master bridge",
        ]);
        join(&outer, "tap0", &inner, "eth0");
        outer.ok(&["ip", "link", "set", "tap0", "master", "bridge"]);
        Self { outer, inner }
    }

    /// dhcpcd, with its files in a folder that only it sees.
    fn dhcpcd(&self) -> Process {
        let command = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib/dhcpcd \
            && exec dhcpcd --nobackground --config /dev/null --script /bin/true eth0";
        self.inner.spawn(&["unshare", "--mount", "sh", "-c", command])
    }
}

#[test]
fn dhcpcd_in_a_machine_behind_a_bridge_gets_both_addresses_of_the_port() {
    let mut host = Host::with_switch_args(&SERVES);
    let (a, machine) = (host.container("a"), Machine::new(&host, "vm"));
    let port = machine.outer.detail().port.clone();
    assert_ne!(machine.inner.mac("eth0"), port.mac.to_string(), "it has its own MAC address");
    let _daemon = machine.dhcpcd();
    let (v4, v6): (Ipv4Addr, Ipv6Addr) = (port.ipv4[0], port.ipv6[0]);
    wait_for("dhcpcd has both addresses", CLIENT_MAX, || {
        let shown = global(&machine.inner);
        shown.contains(&format!("inet {v4}/16")) && shown.contains(&format!("inet6 {v6}/"))
    });
    assert_eq!(global(&machine.inner).lines().count(), 2, "and no other");
    wait_for("its routes", READY_MAX, || {
        let v4 = machine.inner.ok(&["ip", "route", "show", "default"]);
        let v6 = machine.inner.ok(&["ip", "-6", "route", "show", "default"]);
        v4.contains(&machine.outer.gateway().to_string()) && v6.contains("via fe80:")
    });
    machine.inner.ping(a.v4());
    machine.inner.ping(machine.outer.gateway());
    a.ping(v4.into());
    wait_until_usable(&machine.inner);
    machine.inner.ping(a.v6());
    a.ping(v6.into());
    host.balanced();
    host.down();
    wait_for("the router is withdrawn", READY_MAX, || {
        machine.inner.ok(&["ip", "-6", "route", "show", "default"]).is_empty()
    });
}

#[test]
fn a_machine_with_the_ports_mac_address_has_dns_and_publications() {
    let host = Host::with_switch_args(&SERVES);
    let machine = Machine::with_the_ports_mac(&host, "vm");
    let client = Client::new(&host, "udhcpc", UDHCPC_SCRIPT);
    let output = udhcpc(&machine.inner, &client);
    assert!(output.status.success(), "{output}");
    let (own, server) = (machine.outer.v4(), format!("@{}", machine.outer.gateway()));
    assert_eq!(machine.inner.ok(&["dig", "+short", "vm", &server]).trim(), own.to_string());
    host.ok(&["publish", "vm", "8080:80"]);
    let _service = machine.inner.serve("tcp", own, 80);
    host.netns().ask("tcp", NIC, 8080);
    host.balanced();
}

#[test]
fn nothing_answers_where_it_is_off() {
    let host = Host::with_switch();
    let (_other, guest) = (host.container("a"), guest(&host, "guest", &[]));
    let client = Client::new(&host, "udhcpc", UDHCPC_SCRIPT);
    let output = udhcpc(&guest, &client);
    assert_eq!((output.code(), client.said().as_str()), (1, ""), "{output}");
    wait_for_link_local(&guest);
    let output = guest.exec(&["rdisc6", "-1", "-n", "-r", "2", "-w", "500", "eth0"]);
    assert!(!output.status.success(), "{output}");
    assert_eq!(guest.ok(&["ip", "-6", "route", "show", "default"]), "");
    assert!(host.stats().workers.iter().all(|worker| worker.dhcp_requests == 0));
}

#[test]
fn a_wrong_word_is_an_error_of_usage() {
    let host = Host::with_switch();
    let netns = host.namespace("a");
    let args = ["attach", "--netns", netns.name(), "--name", "a", "--configure", "dhcp"];
    host.fails(&args, &[2], "dhcp");
    assert!(netns.links().is_empty());
}
