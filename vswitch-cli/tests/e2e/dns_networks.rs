//! Names across networks: what a container sees by the networks that it is on.

use std::net::IpAddr;

use testkit::Netns;
use vswitch_api::port::PortDetail;

use crate::harness::{Container, Host};

/// Answer of the server at a gateway to a question of a container.
#[track_caller]
fn dig(container: &Netns, server: IpAddr, arguments: &[&str]) -> String {
    let server = format!("@{server}");
    let fixed = ["dig", &server, "+tries=1", "+timeout=4"];
    container.exec(&[&fixed[..], arguments].concat()).stdout.trim().to_owned()
}

#[track_caller]
fn on(host: &Host, container: &str, network: &str) -> PortDetail {
    let details: Vec<PortDetail> =
        serde_json::from_value(host.json(&["inspect", container])).expect("PortDetail[]");
    details.into_iter().find(|detail| detail.port.network == network).expect(network)
}

/// `web` is on `br0` and, as `api`, on the internal `back`; `db` on `back`, `cache` on `br0`.
fn networks() -> (Host, [Container; 3]) {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--internal", "back"]);
    let web = host.container("web");
    let db = host.container_with("db", &["--network", "back"]);
    let cache = host.container("cache");
    host.ok(&["network", "connect", "--alias", "api", "back", "web"]);
    (host, [web, db, cache])
}

#[test]
fn a_container_on_two_networks_sees_the_names_of_both() {
    let (host, [web, db, cache]) = networks();
    let back = on(&host, "web", "back");
    let by_front = |name: &str| dig(&web, web.gateway(), &["+short", name]);
    assert_eq!(by_front("db"), db.v4().to_string());
    assert_eq!(by_front("cache"), cache.v4().to_string());
    assert_eq!(by_front("web"), web.v4().to_string(), "the asked network comes first");
    assert_eq!(by_front("web.back"), back.port.ipv4[0].to_string());
    let by_back = |name: &str| dig(&web, back.gateways[0], &["+short", name]);
    assert_eq!(by_back("web"), back.port.ipv4[0].to_string());
    assert_eq!(by_back("host.vswitch.internal"), back.gateways[0].to_string());
    // The others see their own network.
    assert_eq!(dig(&db, back.gateways[0], &["+short", "api"]), back.port.ipv4[0].to_string());
    assert!(dig(&db, back.gateways[0], &["cache"]).contains("status: NXDOMAIN"));
    assert_eq!(dig(&cache, web.gateway(), &["+short", "web"]), web.v4().to_string());
    assert!(dig(&cache, web.gateway(), &["-x", &db.v4().to_string()]).contains("status: NXDOMAIN"));
    assert!(!dig(&cache, web.gateway(), &["db"]).contains("status: NOERROR"));
}

#[test]
fn names_come_and_go_with_networks() {
    let (host, [web, db, _cache]) = networks();
    let back = on(&host, "web", "back");
    host.ok(&["network", "disconnect", "back", "web"]);
    assert!(dig(&db, back.gateways[0], &["web"]).contains("status: NXDOMAIN"));
    assert!(!dig(&web, web.gateway(), &["db"]).contains("status: NOERROR"));
    host.ok(&["network", "connect", "back", "web"]);
    assert_eq!(dig(&web, web.gateway(), &["+short", "db"]), db.v4().to_string());
    host.ok(&["network", "rm", "--force", "back"]);
    let names = host.json(&["dns", "ls"]);
    assert!(names.as_array().unwrap().iter().all(|row| row["network"] == "br0"), "{names}");
    assert!(!dig(&web, web.gateway(), &["db"]).contains("status: NOERROR"));
}

#[test]
fn an_internal_network_forwards_nothing() {
    let (host, [_web, db, _cache]) = networks();
    let gateway = on(&host, "web", "back").gateways[0];
    let answer = dig(&db, gateway, &["www.example"]);
    assert!(answer.contains("status: NXDOMAIN") && answer.contains("SOA"), "{answer}");
    let stats = host.stats().dns;
    assert_eq!((stats.upstream_queries, stats.no_name), (0, 1), "{stats:?}");
}
