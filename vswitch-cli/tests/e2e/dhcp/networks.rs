//! Several networks, and endpoints on more than one.

use testkit::{Netns, READY_MAX, wait_for};

use super::{Client, SERVES, UDHCPC_SCRIPT, guest, udhcpc, udhcpc_on, wait_for_link_local_on};
use crate::harness::Host;

#[test]
fn a_further_network_serves_its_own_addresses() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "lab", "--subnet", "10.77.0.0/24", "--dhcp"]);
    let guest = guest(&host, "guest", &["--network", "lab"]);
    let client = Client::new(&host, "udhcpc", UDHCPC_SCRIPT);
    let output = udhcpc(&guest, &client);
    assert!(output.status.success(), "{output}");
    assert!(client.said().starts_with(&format!("bound {}/24 router=10.77.0.1", guest.v4())));
    guest.ping(guest.gateway());
}

/// The router's lifetime that an interface is told.
#[track_caller]
fn router_lifetime(netns: &Netns, ifname: &str) -> String {
    wait_for_link_local_on(ifname, netns);
    let advert = netns.ok(&["rdisc6", "-1", "-n", "-r", "4", "-w", "2000", ifname]);
    let line = advert.lines().find(|line| line.starts_with("Router lifetime"));
    let words = line.and_then(|line| line.split(':').nth(1)?.split_whitespace().next());
    words.unwrap_or_else(|| panic!("no lifetime in\n{advert}")).to_owned()
}

fn default_route6(netns: &Netns) -> String {
    netns.ok(&["ip", "-6", "route", "show", "default"])
}

#[test]
fn of_several_networks_one_names_the_router_and_the_next_takes_over() {
    let host = Host::with_switch_args(&SERVES);
    host.ok(&["network", "create", "zeta", "--subnet", "10.77.0.0/24", "--dhcp", "--ra"]);
    let guest = guest(&host, "guest", &[]);
    host.ok(&["network", "connect", "--configure", "none", "zeta", "guest"]);
    assert_eq!(router_lifetime(&guest, "eth0"), "1200");
    assert_eq!(router_lifetime(&guest, "eth1"), "0");
    let client = Client::new(&host, "udhcpc", UDHCPC_SCRIPT);
    let output = udhcpc_on("eth1", &guest, &client);
    assert!(output.status.success(), "{output}");
    assert!(client.said().contains("/24 router= dns=10.77.0.1 "), "{}", client.said());
    wait_for("a route by the first network", READY_MAX, || {
        default_route6(&guest).contains("dev eth0")
    });
    assert!(!default_route6(&guest).contains("eth1"), "{}", default_route6(&guest));

    host.ok(&["network", "disconnect", "br0", "guest"]);
    // It is told without asking.
    wait_for("a route by the other", READY_MAX, || default_route6(&guest).contains("dev eth1"));
    let output = udhcpc_on("eth1", &guest, &client);
    assert!(output.status.success(), "{output}");
    assert!(client.said().contains("/24 router=10.77.0.1 "), "{}", client.said());
    host.balanced();
}
