//! The service port: who reaches the DNS server by the gateway's addresses, and from where.

use std::net::IpAddr;

use testkit::Netns;

use crate::harness::{Container, Host};

/// The address of a name, as the gateway tells it; nothing without an answer.
#[track_caller]
fn ask(netns: &Netns, gateway: IpAddr, arguments: &[&str]) -> String {
    let server = format!("@{gateway}");
    let fixed = ["dig", &server, "+short", "+tries=1", "+timeout=2"];
    let output = netns.exec(&[&fixed[..], arguments].concat()).stdout;
    let answers = output.lines().filter(|line| !line.starts_with(";;"));
    answers.collect::<Vec<_>>().join(" ")
}

/// By both families and both protocols.
#[track_caller]
fn finds(container: &Container, other: &Container) {
    for gateway in [container.gateway(), container.gateway6()] {
        for protocol in ["+notcp", "+tcp"] {
            let found = ask(container, gateway, &[protocol, "other"]);
            assert_eq!(found, other.v4().to_string(), "{gateway} {protocol}");
        }
    }
}

#[test]
fn names_are_found_whoever_routes_and_with_several_workers() {
    for further in [["--uplink", "none"], ["--uplink", "kernel"], ["--workers", "2"]] {
        let host = Host::with_switch_args(&further);
        let (a, other) = (host.container("a"), host.container("other"));
        finds(&a, &other);
        finds(&other, &other);
        host.balanced();
        let stats = host.stats();
        let service = stats.ports.iter().find(|port| port.name == "vswitch.service");
        let service = service.expect("the service port");
        assert!(service.traffic.rx_frames >= 8, "{further:?} {service:?}");
        assert_eq!(service.drops, 0, "{further:?} {service:?}");
        assert!(host.ls().iter().all(|port| port.name != "vswitch.service"));
    }
}

#[test]
fn the_gateway_answers_on_the_hosts_vlan() {
    let host = Host::with_switch();
    let (a, other) = (host.container("a"), host.container_with("other", &["--access", "10"]));
    finds(&a, &other);
    assert_eq!(ask(&other, other.gateway(), &["other"]), "", "the host is on another VLAN");
    host.ok(&["port", "set", "br0", "--access", "10"]);
    // Its search for the gateway is in vain still, and may end with the next question.
    other.run_lines(&["ip neigh flush dev eth0"]);
    finds(&other, &other);
    assert_eq!(ask(&a, a.gateway(), &["other"]), "");
    host.balanced();
}

/// A container whose guard is off may send from any address, but has the names of its own only.
#[test]
fn an_address_that_the_switch_did_not_give_gets_no_answer() {
    let host = Host::with_switch();
    let (a, other) = (host.container_with("a", &["--guard", "off"]), host.container("other"));
    a.run_lines(&["ip addr add 10.99.77.77/16 dev eth0"]);
    finds(&a, &other);
    for protocol in ["+notcp", "+tcp"] {
        assert_eq!(ask(&a, a.gateway(), &["-b", "10.99.77.77", protocol, "other"]), "");
    }
    let dropped = host.inspect("a").drops_by_reason;
    assert!(dropped.get("service-foreign-source").is_some_and(|&count| count >= 2), "{dropped:?}");
    host.balanced();
}

/// An internal network with the subnet of another one has no device on the host.
#[test]
fn networks_with_the_same_subnet_have_names_apart() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "lab", "--internal", "--subnet", "10.99.0.0/16"]);
    let outer = [host.container("outer"), host.container("other")];
    let inner = host.container_with("inner", &["--network", "lab"]);
    assert_eq!((inner.v4(), inner.gateway()), (outer[0].v4(), outer[0].gateway()));
    finds(&outer[0], &outer[1]);
    for gateway in [inner.gateway(), inner.gateway6()] {
        assert_eq!(ask(&inner, gateway, &["inner"]), inner.v4().to_string(), "{gateway}");
        assert_eq!(ask(&inner, gateway, &["other"]), "", "{gateway}");
        assert_eq!(ask(&outer[0], outer[0].gateway(), &["inner"]), "");
    }
    // There is nobody else at the gateway.
    inner.exec(&["ping", "-c1", "-W1", &inner.gateway().to_string()]);
    let dropped = host.inspect("inner").drops_by_reason;
    assert_eq!(dropped.get("no-host-port"), Some(&1), "{dropped:?}");
    host.balanced();
}
