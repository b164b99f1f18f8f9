//! `--family`: endpoints with addresses of one family only.

use testkit::{FAR4, HOST4, Remote};

use crate::harness::Host;

/// How many addresses of each family a port has.
fn shown(host: &Host, name: &str) -> (usize, usize) {
    let port = host.inspect(name).port;
    (port.ipv4.len(), port.ipv6.len())
}

#[test]
fn an_endpoint_of_one_family_has_no_address_route_or_record_of_the_other() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--dhcp", "--ra"]);
    let four = host.container_with("four", &["--family", "ipv4", "-p", "8080:80"]);
    let six = host.container_with("six", &["--family", "ipv6"]);
    let both = host.container("both");
    assert_eq!(shown(&host, "four"), (1, 0));
    assert_eq!(shown(&host, "six"), (0, 1));
    let inside = |netns: &testkit::Netns, family: &str, what: &str| {
        netns.ok(&["ip", family, what, "show", "dev", "eth0"])
    };
    // The router advertisements of the network are for others.
    assert!(!inside(&four, "-6", "address").contains("scope global"));
    assert!(!inside(&four, "-6", "route").contains("default"));
    assert_eq!(inside(&six, "-4", "address"), "");
    assert_eq!(inside(&six, "-4", "route"), "");
    both.ping(four.v4());
    both.ping(six.v6());
    let answer = |name: &str, kind: &str| {
        both.ok(&["dig", "+short", &format!("@{}", both.gateway()), kind, name]).trim().to_owned()
    };
    assert_eq!(answer("four", "A"), four.v4().to_string());
    assert_eq!(answer("four", "AAAA"), "");
    assert_eq!(answer("six", "AAAA"), six.v6().to_string());
    let _web = four.serve("tcp", four.v4(), 80);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    // The guard knows no address of the other family, either.
    let foreign = format!("{}77/64", both.detail().subnets[1].addr());
    four.ok(&["ip", "address", "add", "dev", "eth0", &foreign, "nodad"]);
    assert!(!four.try_ping(both.v6(), 1).status.success());
    assert!(
        host.inspect("four").drops_by_reason.contains_key("spoofed-ipv6"),
        "{:?}",
        host.inspect("four").drops_by_reason
    );
    for how in ["down", "kill"] {
        if how == "down" {
            host.down()
        } else {
            host.kill()
        }
        host.up(&["--dhcp", "--ra"]);
        assert_eq!(shown(&host, "four"), (1, 0));
        both.ping_soon(four.v4(), std::time::Duration::from_secs(5));
        both.ping_soon(six.v6(), std::time::Duration::from_secs(5));
    }
    let spare = host.namespace("spare");
    let netns = spare.path().display().to_string();
    let refused = ["attach", "--netns", &netns, "--name", "x", "--family", "ipv4"];
    let error = host.fails(&[&refused[..], &["--ip6", "fd00::9"]].concat(), &[2], "fd00::9");
    assert!(error.contains("not of the requested family, IPv4"), "{error}");
}
