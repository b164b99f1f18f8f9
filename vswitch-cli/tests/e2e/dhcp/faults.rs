//! Clients that ask for what they cannot have, ports that go, and a switch without DNS.

use testkit::{READY_MAX, wait_for};

use super::{CLIENT_MAX, Client, Machine, SERVES, UDHCPC_SCRIPT, guest, udhcpc};
use crate::harness::Host;

/// dhclient's word for each message that it gets.
const REASONS_SCRIPT: &str = r#"#!/bin/sh
echo "$reason $new_ip_address" >> "$LOG"
"#;

/// What dhclient remembers of another network; it asks for that address first (INIT-REBOOT).
const FORMER_LEASE: &str = r#"lease {
  interface "eth0";
  fixed-address 10.99.200.200;
  option subnet-mask 255.255.0.0;
  option dhcp-server-identifier 10.99.0.1;
  renew 5 2100/01/01 00:00:00;
  rebind 5 2100/01/01 00:00:00;
  expire 5 2100/01/01 00:00:00;
}
"#;

#[test]
fn a_client_that_remembers_another_address_is_refused_and_gets_its_own() {
    let host = Host::with_switch_args(&SERVES);
    let guest = guest(&host, "guest", &[]);
    let client = Client::new(&host, "dhclient", REASONS_SCRIPT);
    let (lease, pid) = (host.path("lease"), host.path("pid"));
    std::fs::write(&lease, FORMER_LEASE).expect("a lease");
    let (lease, pid) = (lease.to_str().expect("text"), pid.to_str().expect("text"));
    let script = client.script();
    let _daemon = guest
        .spawn(&["dhclient", "-4", "-d", "-1", "-sf", script, "-lf", lease, "-pf", pid, "eth0"]);
    let bound = format!("BOUND {}\n", guest.v4());
    wait_for("dhclient has its address", CLIENT_MAX, || client.said().ends_with(&bound));
    assert!(!client.said().contains("10.99.200.200"), "{}", client.said());
    let answers = host.stats().workers.iter().map(|worker| worker.dhcp_answers).sum::<u64>();
    assert!(answers >= 3, "a refusal, an offer and an acknowledgement, not {answers}");
    host.balanced();
}

#[test]
fn a_host_behind_a_bridge_loses_its_router_with_the_port() {
    let host = Host::with_switch_args(&SERVES);
    let machine = Machine::new(&host, "vm");
    let default_route = || machine.inner.ok(&["ip", "-6", "route", "show", "default"]);
    wait_for("the kernel's route", CLIENT_MAX, || default_route().contains("via fe80:"));
    host.ok(&["detach", "vm"]);
    wait_for("no route", READY_MAX, || default_route().is_empty());
}

/// With two workers and the other backend, which is the rest of what answers depend on.
#[test]
fn without_dns_the_gateway_is_no_dns_server() {
    let args = ["--no-dns", "--workers", "2", "--backend", "epoll"];
    let host = Host::with_switch_args(&[&SERVES[..], &args].concat());
    let guest = guest(&host, "guest", &[]);
    let client = Client::new(&host, "udhcpc", UDHCPC_SCRIPT);
    let output = udhcpc(&guest, &client);
    assert!(output.status.success(), "{output}");
    let expected = format!("bound {}/16 router={} dns= mtu=1500", guest.v4(), guest.gateway());
    assert!(client.said().starts_with(&expected), "{}", client.said());
    guest.ping(guest.gateway());
    host.balanced();
}
