//! Overlay networks: hosts that are joined by VXLAN, switches and kernels.

mod capture;
mod faults;
mod foreign;
mod kernel;
mod loss;
mod mtu;
mod outer;
mod ports;
mod registry;
mod sites;
mod wire;

use std::net::IpAddr;
use std::time::Duration;

use testkit::{Snapshot, wait_for};
use vswitch_api::network::NetworkDetail;
use vswitch_api::overlay::{Peer, Scope};

use crate::transfer::transfer;
use sites::{Family, Sites, address};

/// How long a peer may take to answer at first.
const SOON: Duration = Duration::from_secs(10);

/// Two hosts with static peers: containers and hosts reach each other, with what `peers`, `network` and `fdb` show of it.
#[track_caller]
fn two_hosts(family: Family) {
    let sites = Sites::up(family, &[]);
    let [n1, n2] = &sites.hosts;
    let (a, b) = sites.containers();
    a.ping_soon(b.v4(), SOON);
    b.ping_soon(a.v6(), SOON);
    transfer(&a, &b, b.v4(), 8);
    transfer(&b, &a, a.v6(), 8);
    // The host of each node, by the address of its own.
    n1.netns().ping_soon(b.v4(), SOON);
    n1.netns().ping_soon(b.v6(), SOON);
    a.ping_soon(address("10.50.255.2"), SOON);
    b.ping_soon(address("fd00:50::ff:1"), SOON);
    n2.netns().ping_soon(address("10.50.255.1"), SOON);
    transfer(n1.netns(), &b, b.v4(), 4);
    // The gateway is each node's own, for both the same.
    assert_eq!((a.gateway(), a.gateway6()), (b.gateway(), b.gateway6()));
    for container in [&a, &b] {
        container.ping(container.gateway());
        container.ping(container.gateway6());
    }
    let neighbour = |netns: &testkit::Netns, to: IpAddr| {
        let text = netns.ok(&["ip", "neigh", "show", &to.to_string()]);
        text.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned)
    };
    assert_eq!(neighbour(&a, a.gateway()).as_deref(), Some("02:76:78:00:00:2a"));
    assert_eq!(neighbour(&b, b.gateway()).as_deref(), Some("02:76:78:00:00:2a"));
    shows_the_peer(&sites);
    [n1, n2].into_iter().for_each(sites::balanced);
}

/// What commands show of the peer of the first host.
#[track_caller]
fn shows_the_peer(sites: &Sites) {
    let (n1, family) = (&sites.hosts[0], sites.family);
    let peers: Vec<Peer> = serde_json::from_value(n1.json(&["peers"])).expect("Peer[]");
    let [peer] = peers.as_slice() else { panic!("one peer: {peers:#?}") };
    assert_eq!(peer.address, family.endpoint(2));
    assert_eq!((peer.networks.as_slice(), peer.mtu), (&["blue".to_owned()][..], family.mtu()));
    let traffic = peer.traffic;
    assert!(peer.learning && traffic.rx_frames > 100 && traffic.tx_frames > 100, "{peer:#?}");
    assert!(traffic.rx_bytes > 8 << 20 && traffic.tx_bytes > 8 << 20, "{peer:#?}");
    let blue: NetworkDetail =
        serde_json::from_value(n1.json(&["network", "inspect", "blue"])).expect("NetworkDetail");
    let overlay = blue.network.overlay.expect("an overlay network");
    assert_eq!((blue.network.scope, overlay.vni), (Scope::Overlay, 42));
    assert_eq!((overlay.peers, blue.network.mtu), (vec![family.endpoint(2)], family.mtu()));
    let listed = n1.ok(&["network", "ls", "-o", "wide"]);
    let line = listed.lines().find(|line| line.starts_with("blue")).expect("a line");
    let words = ["overlay", "42", &family.endpoint(2).to_string()];
    assert!(words.iter().all(|word| line.contains(word)), "{listed}");
    assert_eq!(n1.ok(&["network", "peer", "ls", "blue"]).trim(), family.endpoint(2).to_string());
    let learnt = n1.ok(&["fdb", "--filter", &format!("port={}", family.endpoint(2))]);
    assert!(learnt.lines().count() >= 2, "a MAC address behind the peer: {learnt}");
    let status = n1.status().underlay.expect("an underlay");
    assert_eq!((status.node.as_str(), status.address), ("n1", family.endpoint(1)));
    assert_eq!((status.device.as_deref(), status.mtu, status.peers), (Some("ul"), family.mtu(), 1));
    let doctor = n1.json(&["doctor"]);
    let row = |name: &str| {
        let rows = doctor.as_array().expect("rows").iter();
        rows.clone().find(|row| row["check"] == name).expect("a row").clone()
    };
    assert_eq!(row("vxlan_port")["status"], "ok", "{doctor:#}");
    assert_eq!(row("underlay_mtu")["status"], "ok", "{doctor:#}");
}

#[test]
fn two_hosts_over_ipv4_share_a_network() {
    two_hosts(Family::V4);
}

#[test]
fn two_hosts_over_ipv6_share_a_network() {
    two_hosts(Family::V6);
}

/// The same with the epoll backend, and with two workers.
#[test]
fn other_backends_and_workers_do_the_same() {
    for args in [&["--backend", "epoll"][..], &["--workers", "2"]] {
        let sites = Sites::up(Family::V4, args);
        let (a, b) = sites.containers();
        a.ping_soon(b.v4(), SOON);
        transfer(&a, &b, b.v4(), 8);
        transfer(&b, &a, a.v6(), 8);
        sites.hosts.iter().for_each(sites::balanced);
    }
}

/// Peers, VNI and the host's MAC address survive a restart, also after a crash. `down` leaves nothing.
#[test]
fn a_restart_keeps_it_and_down_leaves_nothing() {
    let mut sites = Sites::new(Family::V4);
    let before = Snapshot::take(sites.hosts[0].netns());
    sites.start(&[]);
    let (a, b) = sites.containers();
    a.ping_soon(b.v4(), SOON);
    let mac = sites.hosts[0].netns().mac("br-blue");
    sites.hosts[0].down();
    assert_eq!(sites.hosts[0].netns().exec(&["ss", "-Hlun", "sport", "=", "4789"]).stdout, "");
    sites.up_again(0);
    a.ping_soon(b.v4(), SOON);
    assert_eq!(sites.hosts[0].netns().mac("br-blue"), mac);
    sites.hosts[0].kill();
    sites.up_again(0);
    a.ping_soon(b.v6(), SOON);
    b.ping_soon(a.v4(), SOON);
    // A peer that is removed gets nothing more, and one that comes back does.
    let n1 = &sites.hosts[0];
    let peer = sites.family.address(2).to_string();
    n1.ok(&["network", "peer", "rm", "blue", &peer]);
    assert!(
        !a.exec(&["ping", "-n", "-c1", "-W1", &b.v4().to_string()]).status.success()
            && n1.json(&["peers"]).as_array().expect("rows").is_empty()
    );
    n1.ok(&["network", "peer", "add", "blue", &peer]);
    a.ping_soon(b.v4(), SOON);
    // A network that goes takes its peers along.
    sites.hosts[1].ok(&["network", "rm", "--force", "blue"]);
    wait_for("the peer is gone", SOON, || {
        sites.hosts[1].json(&["peers"]).as_array().expect("rows").is_empty()
    });
    drop((a, b));
    sites.hosts[0].down();
    before.assert_same(&Snapshot::take(sites.hosts[0].netns()));
    // After a crash, too: the kernel closes the sockets.
    sites.up_again(0);
    sites.hosts[0].kill();
    sites.hosts[0].ok(&["down"]);
    before.assert_same(&Snapshot::take(sites.hosts[0].netns()));
}
