//! All contenders and workloads.

use std::sync::Arc;

use crate::agent::Attack;
use crate::contender::vswitch::Vswitch;
use crate::contender::{Build, Contender, OVS_TSO, bridge, docker, host, ovs, vde};
use crate::workload::across::AcrossHosts;
use crate::workload::busy::Busy;
use crate::workload::outside::OverUplink;
use crate::workload::{
    Workload, attack, connect, distance, docker_run, http, idle, loopback, names, networks, redis,
    round_trip, scale, tcp, udp,
};

/// Every contender, in the order of the table. `builds`: versions of this switch to measure.
pub(crate) fn contenders(builds: &[Arc<Build>]) -> Vec<Box<dyn Contender>> {
    let mut all: Vec<Box<dyn Contender>> = vec![
        Box::new(docker::Docker::docker0()),
        Box::new(bridge::KernelBridge::default()),
        Box::new(host::HostNetwork::default()),
        Box::new(ovs::OpenVswitch::new("ovs", false)),
        Box::new(ovs::OpenVswitch::new(OVS_TSO, true)),
        Box::new(vde::Vde::default()),
    ];
    let main = builds.iter().filter(|build| build.is_main);
    all.extend(main.map(|b| Box::new(docker::Docker::on_vswitch(b)) as Box<dyn Contender>));
    all.extend(builds.iter().map(|b| Box::new(Vswitch::new(b)) as Box<dyn Contender>));
    all
}

/// Every workload, in the order of the table.
pub(crate) fn workloads() -> Vec<Box<dyn Workload>> {
    let mut all: Vec<Box<dyn Workload>> = vec![
        // First: other workloads depend on it.
        Box::new(distance::Distance),
        Box::new(tcp::Tcp::streams(1)),
        Box::new(tcp::Tcp::streams(2)),
        Box::new(tcp::Tcp::streams(4)),
        Box::new(tcp::Tcp::streams(16)),
        Box::new(tcp::Tcp::both_directions()),
        Box::new(round_trip::PingPong::tcp()),
        Box::new(round_trip::PingPong::tcp_by_epoll()),
        Box::new(round_trip::PingPong::udp()),
        Box::new(round_trip::Window::tcp()),
        Box::new(round_trip::Window::udp()),
        Box::new(udp::NoLoss::frame(64)),
        Box::new(udp::NoLoss::frame(512)),
        Box::new(udp::NoLoss::frame(1400)),
        Box::new(connect::Connect),
        Box::new(loopback::Loopback::new("loopback-connect", connect::Connect)),
        Box::new(http::Http),
        Box::new(redis::Redis::clients(1)),
        Box::new(redis::Redis::clients(50)),
        Box::new(OverUplink::egress("egress-tcp1", tcp::Tcp::streams(1))),
        Box::new(OverUplink::publish("publish-tcp1", tcp::Tcp::streams(1))),
        Box::new(OverUplink::publish("publish-http", http::Http)),
        Box::new(OverUplink::egress("egress-connect", connect::Connect)),
        Box::new(OverUplink::publish("publish-connect", connect::Connect)),
        Box::new(OverUplink::publish("publish-rtt", round_trip::PingPong::tcp())),
        Box::new(AcrossHosts::nic("overlay-tcp1", tcp::Tcp::streams(1))),
        Box::new(AcrossHosts::nic("overlay-tcp4", tcp::Tcp::streams(4))),
        Box::new(AcrossHosts::nic("overlay-rtt", round_trip::PingPong::tcp())),
        Box::new(AcrossHosts::nic("overlay-udp1400", udp::NoLoss::frame(1400))),
        Box::new(AcrossHosts::nic("overlay-connect", connect::Connect)),
        Box::new(AcrossHosts::nic("overlay-http", http::Http)),
        Box::new(AcrossHosts::veth("overlay-veth-tcp1", tcp::Tcp::streams(1))),
        Box::new(AcrossHosts::veth("overlay-veth-tcp4", tcp::Tcp::streams(4))),
        Box::new(AcrossHosts::veth("overlay-veth-rtt", round_trip::PingPong::tcp())),
        Box::new(names::Names),
        Box::new(docker_run::DockerRun::default_network()),
        Box::new(docker_run::DockerRun::user_defined()),
        Box::new(idle::Idle::ports(2)),
        Box::new(idle::Idle::ports(200)),
        Box::new(scale::Scale::ports(2)),
        Box::new(scale::Scale::ports(10)),
        Box::new(scale::Scale::ports(100)),
        Box::new(scale::Scale::ports(1000)),
        Box::new(names::ManyNames),
        Box::new(networks::Networks),
        Box::new(attack::Hostile::new(Attack::MacFlood)),
        Box::new(attack::Hostile::new(Attack::BroadcastStorm)),
        Box::new(attack::Hostile::new(Attack::Garbage)),
        Box::new(attack::Hostile::new(Attack::UdpFlood)),
        // Last: where it succeeds, neighbour tables stay wrong.
        Box::new(attack::Hostile::new(Attack::ArpSpoof)),
    ];
    all.extend(on_a_busy_host().map(|load| Box::new(Busy::one(load)) as Box<dyn Workload>));
    all.extend(on_a_busy_host().map(|load| Box::new(Busy::all(load)) as Box<dyn Workload>));
    all
}

/// Loads that are run beside hogs as well.
fn on_a_busy_host() -> impl Iterator<Item = Box<dyn Workload>> {
    let loads: [Box<dyn Workload>; 12] = [
        Box::new(tcp::Tcp::streams(1)),
        Box::new(tcp::Tcp::streams(4)),
        Box::new(round_trip::PingPong::tcp()),
        Box::new(round_trip::PingPong::tcp_by_epoll()),
        Box::new(udp::NoLoss::frame(64)),
        Box::new(connect::Connect),
        Box::new(http::Http),
        Box::new(redis::Redis::clients(1)),
        Box::new(redis::Redis::clients(50)),
        Box::new(OverUplink::publish("publish-http", http::Http)),
        Box::new(OverUplink::egress("egress-connect", connect::Connect)),
        Box::new(OverUplink::publish("publish-connect", connect::Connect)),
    ];
    loads.into_iter()
}

/// What `make bench-quick` runs.
pub(crate) const QUICK: [&str; 10] = [
    "distance",
    "tcp1",
    "tcp4",
    "rtt-tcp",
    "udp64",
    "udp1400",
    "connect",
    "http",
    "busy1-http",
    "idle200",
];

/// The name by which `--only` chooses [`CUT_THROUGH_ROWS`].
pub(crate) const CUT_THROUGH: &str = "cut-through";

/// What `make bench-cut-through` runs: rows of other families, and what the programs cost others.
pub(crate) const CUT_THROUGH_ROWS: [&str; 18] = [
    "tcp1",
    "tcp4",
    "rtt-tcp",
    "rtt-tcp-epoll",
    "connect",
    "loopback-connect",
    "http",
    "redis1",
    "redis50",
    "idle2",
    "busy1-tcp1",
    "busy1-tcp4",
    "busy1-rtt-tcp",
    "busy1-rtt-tcp-epoll",
    "busy1-connect",
    "busy1-http",
    "busy1-redis1",
    "busy1-redis50",
];
