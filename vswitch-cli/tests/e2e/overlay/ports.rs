//! Published ports across hosts, and the world by each host's own uplink.

use std::net::IpAddr;

use testkit::{FAR4, FAR6, HOST4, HOST6, Netns, Remote, Service, wait_for};

use super::SOON;
use super::sites::{Family, Sites, address, balanced};
use crate::harness::Container;

/// A service at an address of its namespace.
#[track_caller]
fn serve(netns: &Netns, protocol: &str, any: &str, port: u16) -> Service {
    netns.serve(protocol, address(any), port)
}

/// Who asks the published port of `b`, where, and whom `b` sees.
struct Client<'a> {
    netns: &'a Netns,
    at: (IpAddr, u16),
    seen_as: IpAddr,
}

/// A container that publishes a port on the second host, and another one on the first.
#[track_caller]
fn publishing(sites: &Sites) -> (Container, Container) {
    let [n1, n2] = &sites.hosts;
    let a = n1.container_with("a", &["--network", "blue"]);
    let b = n2.container_with("b", &["--network", "blue", "-p", "8080:80", "-p", "5353:53/udp"]);
    a.ping_soon(b.v4(), SOON);
    a.ping_soon(b.v6(), SOON);
    (a, b)
}

/// A port that a container publishes on the second host, asked from the first host and its container.
#[track_caller]
fn are_reached(family: Family) {
    let sites = Sites::up(family, &[]);
    let (a, b) = publishing(&sites);
    let [n1, n2] = sites.hosts.each_ref().map(|host| host.netns());
    let [at1, at2] = [1, 2].map(|number| family.address(number));
    let (any, own, own_a) = match family {
        Family::V4 => ("0.0.0.0", b.v4(), a.v4()),
        Family::V6 => ("::", b.v6(), a.v6()),
    };
    for (protocol, inside, outside) in [("tcp", 80, 8080), ("udp", 53, 5353)] {
        let _service = serve(&b, protocol, any, inside);
        let clients = [
            Client { netns: n1, at: (at2, outside), seen_as: at1 },
            Client { netns: &a, at: (at2, outside), seen_as: at1 },
            Client { netns: &a, at: (own, inside), seen_as: own_a },
        ];
        for Client { netns, at, seen_as } in clients {
            let (seen, _) = netns.ask(protocol, at.0, at.1);
            assert_eq!(seen, seen_as, "{protocol} at {at:?}");
        }
        // The container itself, and its own host.
        assert!(b.can_ask(protocol, at2, outside) && n2.can_ask(protocol, at2, outside));
    }
    // Nothing is published at the first host's address.
    assert!(!n2.can_ask("tcp", at1, 8080));
    sites.hosts[1].ok(&["unpublish", "b", "8080:80"]);
    let _service = serve(&b, "tcp", any, 80);
    wait_for("it is closed", SOON, || !n1.can_ask("tcp", at2, 8080));
    assert!(a.can_ask("tcp", own, 80));
    sites.hosts.iter().for_each(balanced);
}

#[test]
fn published_ports_are_reached_from_another_host_over_ipv4() {
    are_reached(Family::V4);
}

#[test]
fn published_ports_are_reached_from_another_host_over_ipv6() {
    are_reached(Family::V6);
}

/// Both hosts have a world of their own behind a NIC of the same address: containers leave by that of their host.
#[test]
fn containers_leave_by_the_uplink_of_their_own_host() {
    let mut sites = Sites::new(Family::V4);
    let remotes = sites.hosts.each_ref().map(|host| Remote::new(host.net()));
    sites.start(&[]);
    let (a, b) = publishing(&sites);
    // Each world has a port that the other lacks.
    let _services: Vec<_> = remotes
        .iter()
        .zip([7001, 7002])
        .flat_map(|(remote, port)| [FAR4, FAR6].map(|far| remote.far().serve("tcp", far, port)))
        .collect();
    for (container, own, other) in [(&a, 7001, 7002), (&b, 7002, 7001)] {
        for (far, host) in [(FAR4, HOST4), (FAR6, HOST6)] {
            container.ping(far);
            assert_eq!(container.ask("tcp", far, own).0, host);
            assert!(!container.can_ask("tcp", far, other), "by the other host");
        }
    }
    // What comes in by the second host's NIC is its container's; the first host publishes nothing.
    let _service = serve(&b, "tcp", "0.0.0.0", 80);
    assert_eq!(remotes[1].far().ask("tcp", HOST4, 8080).0, FAR4);
    assert!(!remotes[0].far().can_ask("tcp", HOST4, 8080));
    // An answer in the tunnel and one by the uplink do not get in each other's way.
    assert_eq!(a.ask("tcp", b.v4(), 80).0, a.v4());
    sites.hosts.iter().for_each(balanced);
}
