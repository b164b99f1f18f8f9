//! Docker on two hosts: its networks stand for overlay networks of the registry.

use std::net::IpAddr;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Docker, READY_MAX, run, wait_for};

use super::SOON;
use super::nodes::{Nodes, has_network, network, status};
use crate::docker::{address, inside, start};
use crate::harness::Host;
use crate::overlay::sites::Family;

const SUBNET: &str = "10.50.0.0/16";

/// `docker network create` for an overlay network, with addresses of the IPAM driver `vswitch`.
const CREATE: [&str; 8] =
    ["network", "create", "-d", "vswitch", "--ipam-driver", "vswitch", "-o", "overlay=blue"];

/// The same, with addresses that Docker does not manage.
const CREATE_NULL: [&str; 8] =
    ["network", "create", "-d", "vswitch", "--ipam-driver", "null", "-o", "overlay=blue"];

/// Two hosts with a registry, each with a daemon and a switch that is its plugin.
fn two_daemons() -> (Nodes, [Docker; 2]) {
    let mut nodes = Nodes::new(Family::V4, 2);
    let daemon = |at: usize| Docker::start_with(nodes.hosts[at].netns(), &["--bridge=none"]);
    let dockers = [daemon(0), daemon(1)];
    for (at, docker) in dockers.iter().enumerate() {
        docker.bring_image();
        up(&mut nodes, at, docker);
    }
    (nodes, dockers)
}

/// Starts the switch of one host.
#[track_caller]
pub(super) fn up(nodes: &mut Nodes, at: usize, docker: &Docker) {
    let mut options = nodes.options(at);
    let api = docker.path("sock").display().to_string();
    options.extend(["--docker-plugin".to_owned(), "--docker-api".to_owned(), api]);
    let options: Vec<_> = options.iter().map(String::as_str).collect();
    nodes.hosts[at].up_inside(docker, &options);
}

/// Runs `docker`, which must fail with a text.
#[track_caller]
fn refused(docker: &Docker, args: &[&str], text: &str) {
    let output = docker.docker(args);
    assert!(!output.status.success() && output.stderr.contains(text), "no {text:?} in\n{output}");
}

/// Waits until a container of Docker has answers from another one, by address or name.
#[track_caller]
fn ping(docker: &Docker, from: &str, to: &str) {
    wait_for(&format!("{from} reaches {to}"), SOON, || {
        docker.docker(&["exec", from, "ping", "-c1", "-W1", to]).status.success()
    });
}

/// Docker's id of its network for `blue`, as the switch knows it.
#[track_caller]
fn id(host: &Host) -> Value {
    host.json(&["network", "inspect", "blue"])["labels"]["docker.network-id"].clone()
}

/// One command on both hosts; containers of Docker and of the switch, by address and name.
#[test]
fn docker_on_two_hosts_with_addresses_of_the_registry() {
    let (mut nodes, mut dockers) = two_daemons();
    let create = [&CREATE[..], &["--subnet", SUBNET, "-o", "mtu=1400", "blue"]].concat();
    // One of both creates the overlay network, and the other one joins it.
    std::thread::scope(|scope| {
        let [other, own] = &dockers;
        let other = scope.spawn(|| other.ok(&create));
        own.ok(&create);
        other.join().expect("the other host");
    });
    let n1 = &nodes.hosts[0];
    assert_eq!(network(n1, "blue").network.overlay.map(|it| it.vni), Some(4096));
    let dns = ["--network", "blue", "--dns", "10.50.0.1"];
    let [d1, d2] = &dockers;
    start(d1, "web", &[&dns[..], &["--network-alias", "shop", "-p", "8080:80"]].concat());
    start(d2, "cli", &dns);
    let of = |docker: &Docker, name: &str| address(docker, name, "blue", "IPAddress");
    let (web, cli) = (of(d1, "web"), of(d2, "cli"));
    let block = |address: IpAddr| match address {
        IpAddr::V4(address) => address.to_bits() >> 6,
        IpAddr::V6(_) => 0,
    };
    assert_ne!(block(web), block(cli), "each node gives out addresses of its own blocks");
    ping(d2, "cli", &web.to_string());
    // Docker's names are the registry's a moment later.
    for name in ["web", "shop", "web.blue"] {
        ping(d2, "cli", name);
    }
    ping(d1, "web", "cli");
    let link = inside(d2, "cli", &["ip", "link", "show", "eth0"]);
    assert!(link.contains("mtu 1400"), "{link}");
    let other = nodes.container(1, "other");
    assert!(![web, cli].contains(&other.v4()));
    other.ping_soon(web, SOON);
    ping(d1, "web", "other");
    refusals(&nodes, &dockers, cli);
    both_families(&dockers);

    // The switch is killed, and the daemon restarted: containers keep their addresses, or get new ones.
    nodes.hosts[0].kill();
    up(&mut nodes, 0, &dockers[0]);
    ping(&dockers[1], "cli", &web.to_string());
    dockers[1].ok(&["kill", "cli"]);
    dockers[1].restart();
    dockers[1].ok(&["start", "cli"]);
    ping(&dockers[1], "cli", "web");
    // Without etcd a container gets an address of the node's own block; others know it when etcd is back.
    nodes.stop_etcd();
    start(&dockers[0], "late", &dns);
    nodes.start_etcd();
    ping(&dockers[1], "cli", "late");
    dockers[0].ok(&["rm", "-f", "late"]);
    removals(&nodes, &dockers);
}

/// What cannot be is refused, with what to type instead.
#[track_caller]
fn refusals(nodes: &Nodes, [d1, d2]: &[Docker; 2], cli: IpAddr) {
    let networks = nodes.hosts[1].json(&["network", "ls"]);
    let own = ["network", "create", "-d", "vswitch", "-o", "overlay=blue"];
    let wanted = "`--ipam-driver null`, or with `--ipam-driver vswitch --subnet 10.50.0.0/16`";
    refused(d2, &[&own[..], &["red"]].concat(), wanted);
    refused(d2, &[&own[..4], &["-o", "vni=7", "red"]].concat(), "add -o overlay=NAME");
    let joined = "blue has a network of Docker on this host already";
    refused(d2, &[&CREATE_NULL[..], &["red"]].concat(), joined);
    refused(d2, &[&CREATE[..], &["--subnet", SUBNET, "red"]].concat(), joined);
    refused(d2, &[&CREATE[..], &["--ipam-opt", "overlay=blue", "red"]].concat(), "by --subnet");
    assert_eq!(nodes.hosts[1].json(&["network", "ls"]), networks);
    // A fixed address is one container's on all hosts.
    let fixed = |address: &str| {
        ["run", "--rm", "--network", "blue", "--ip", address, Docker::IMAGE, "true"]
            .map(str::to_owned)
    };
    let fixed = |docker: &Docker, address: &str| {
        docker.docker(&fixed(address).iter().map(String::as_str).collect::<Vec<_>>())
    };
    let free = fixed(d1, "10.50.77.7");
    assert!(free.status.success(), "{free}");
    let taken = fixed(d1, &cli.to_string());
    assert!(taken.stderr.contains("is taken by an endpoint of node n2"), "{taken}");
}

/// With `--ipv6` each container has an address of either family.
#[track_caller]
fn both_families(dockers: &[Docker; 2]) {
    let create = [&CREATE[..7], &["overlay=green", "--ipv6", "--subnet", "10.60.0.0/16"]].concat();
    let addresses = dockers.each_ref().map(|docker| {
        docker.ok(&[&create[..], &["--subnet", "fd00:60::/64", "green"]].concat());
        start(docker, "six", &["--network", "green"]);
        address(docker, "six", "green", "GlobalIPv6Address")
    });
    assert_ne!(addresses[0], addresses[1]);
    let ping = ["ping", "-n", "-c1", "-W2", &addresses[1].to_string()];
    wait_for("IPv6 passes", SOON, || {
        run(&mut dockers[0].in_netns_of("six", &ping), b"", READY_MAX).status.success()
    });
    for docker in dockers {
        docker.ok(&["rm", "-f", "six"]);
        docker.ok(&["network", "rm", "green"]);
    }
}

/// Docker's networks go, and the overlay network stays until `vswitch network rm`.
#[track_caller]
fn removals(nodes: &Nodes, [d1, d2]: &[Docker; 2]) {
    let n1 = &nodes.hosts[0];
    d1.ok(&["rm", "-f", "web"]);
    d1.ok(&["network", "rm", "blue"]);
    assert_eq!(id(n1), Value::Null);
    ping(d2, "cli", "other");
    // Without Docker's address management, with the network's own gateway, and with what Docker has forgotten.
    forgotten(d1);
    assert!(id(n1).is_string());
    let created = d1.ok(&[&CREATE_NULL[..], &["azure"]].concat());
    assert_eq!(id(n1), created);
    start(d1, "web", &["--network", "azure", "--dns", "10.50.0.1"]);
    ping(d1, "web", "cli");
    ping(d2, "cli", "web");
    let shown = inside(d1, "web", &["ip", "address", "show", "eth0"]);
    assert!(!shown.contains("inet6"), "Docker asks for IPv4: {shown}");
    d1.ok(&["rm", "-f", "web"]);
    d1.ok(&["network", "rm", "azure"]);
    refused(d1, &[&CREATE[..], &["red"]].concat(), "blue has --subnet 10.50.0.0/16");
    let own = [&CREATE[..], &["--subnet", SUBNET]].concat();
    refused(d1, &[&own[..], &["--gateway", "10.50.0.9", "red"]].concat(), "--gateway 10.50.0.1");
    let aux = d1.ok(&[&own[..], &["--aux-address", "nas=10.50.0.200", "blue"]].concat());
    assert_eq!(id(n1), aux);
    d1.ok(&["network", "rm", "blue"]);
    assert!(has_network(n1, "blue"));
    assert_eq!(status(n1).own_endpoints, 0);
    n1.fails(&["network", "rm", "blue"], &[1], "n2");
}

/// A network of which Docker knows nothing: it was removed while the switch did not run.
#[track_caller]
fn forgotten(docker: &Docker) {
    let call = |method: &str, body: Value| {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--unix-socket", "/run/docker/plugins/vswitch.sock"]);
        curl.args(["-d", &body.to_string(), &format!("http://localhost/{method}")]);
        run(&mut docker.inside(&curl), b"", READY_MAX).ok()
    };
    let pool = call("IpamDriver.RequestPool", json!({ "Pool": SUBNET }));
    assert!(pool.contains(SUBNET), "{pool}");
    let created = json!({ "NetworkID": "e".repeat(64), "IPv4Data": [{ "Pool": SUBNET }],
        "Options": { "com.docker.network.generic": { "overlay": "blue" } } });
    assert_eq!(call("NetworkDriver.CreateNetwork", created), "{}");
}
