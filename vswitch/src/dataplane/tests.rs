//! Routing as control sees it: connections, and questions for next hops.

use std::net::{IpAddr, Ipv4Addr};

use fastpath::{BackendChoice, IdlePolicy, SchedulingChoice};
use nat::{CompiledPolicy, OwnerId, Policy};
use tokio::sync::mpsc;
use wire::frames::{self, Link};
use wire::{MacAddr, Protocol, ip, udp};

use super::*;
use crate::config::Cpus;
use crate::datapath::limits::CONNTRACK_FLUSHED_MAX;
use crate::datapath::{
    EgressMode, HostConfig, NetworkConf, NetworkIndex, PortConf, PortKind, RouteAction, RouterConf,
    Routes, UplinkConf, UplinkLink, UplinkNeighbours,
};

const UPLINK: PortIndex = PortIndex(1);
const CONTAINER: PortIndex = PortIndex(2);
const GATEWAY: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const OWN: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const KNOWN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10));

fn start() -> (Dataplane, mpsc::Receiver<DataplaneEvent>) {
    let config = DataplaneConfig {
        workers: 1,
        backend: BackendChoice::Epoll,
        cpus: Cpus::default(),
        scheduling: SchedulingChoice::Normal,
        idle: IdlePolicy::Sleep,
    };
    Dataplane::start(&config).expect("a worker")
}

/// A container, and an uplink on whose link those are known.
fn snapshot(known: &[IpAddr]) -> Snapshot {
    let policy = Policy {
        external_v4: Some(OUTSIDE),
        external_v6: None,
        sources: Vec::new(),
        host_addrs: vec![OUTSIDE.into()],
        ports: 20_000..=29_999,
        published: Vec::new(),
        quota: 10_000,
    };
    let everywhere = "0.0.0.0/0".parse().expect("a prefix");
    let uplink = UplinkConf {
        links: Arc::new(vec![UplinkLink {
            port: UPLINK,
            device_mac: MacAddr([2, 0, 0, 0, 1, 1]),
            tap_mac: MacAddr([2, 0, 0, 0, 1, 2]),
            mtu: 1500,
            up: true,
            neighbours: UplinkNeighbours::new(known.iter().map(|&address| (address, GATEWAY))),
        }]),
        by_container: Vec::new(),
        by_source: Vec::new(),
        routes: Routes::new([(everywhere, RouteAction::via(None))]),
        policy: CompiledPolicy::compile(policy, None),
    };
    let network = NetworkConf {
        host_config: HostConfig::default(),
        mtu: 1500,
        ageing: Duration::from_secs(300),
        fdb_entries_max: 100,
        statics: Vec::new(),
        neighbours: Vec::new(),
        mac: GATEWAY,
        snooping: false,
        service: None,
        overlay: None,
        router: Some(RouterConf {
            gateway_mac: GATEWAY,
            gateways: Vec::new(),
            subnets: Vec::new(),
            local: Arc::new(vec![OUTSIDE.into()]),
            reachable: Vec::new(),
            egress: EgressMode::Uplink(Arc::new(uplink)),
        }),
    };
    let container = PortConf::new(NetworkIndex(0), PortKind::Container, OWN);
    let uplink = (UPLINK, PortConf::uplink(GATEWAY));
    Snapshot::compile(vec![network], [uplink, (CONTAINER, container)])
}

fn datagram(to: IpAddr) -> Vec<u8> {
    datagram_from(5000, to)
}

fn datagram_from(src_port: u16, to: IpAddr) -> Vec<u8> {
    let from = Ipv4Addr::new(10, 99, 0, 2).into();
    let ip = ip::Repr::new(from, to, Protocol::UDP).expect("one family");
    let ports = udp::Repr { src_port, dst_port: 53 };
    let mut buffer = [0; 100];
    let link = Link::new(OWN, GATEWAY);
    let len = frames::udp(&mut buffer, &link, &ip, &ports, b"hello").expect("it fits");
    buffer[..len].to_vec()
}

/// Publishes, and waits for the round after the next: the one that runs may have loaded what was before.
async fn publish(dataplane: &Dataplane, snapshot: Snapshot) {
    dataplane.publish(snapshot);
    let mut rounds = Vec::new();
    while rounds.last() <= rounds.first().map(|first| first + 1).as_ref() {
        let worker = dataplane.stats().await.expect("a worker").workers.remove(0);
        rounds.push(worker.rounds);
    }
}

/// Gives the worker all UDP ports of the range.
async fn claim_all(dataplane: &Dataplane) {
    let first_ports = Some((20_000..=29_999).step_by(64).collect());
    let blocks = ClaimedBlocks { transport: nat::Transport::Udp, first_ports, obtainable: 157 };
    dataplane.claim_blocks(0, blocks).await.expect("a router");
}

/// The worker's counters, once so many frames were translated: what is injected is handled after the answer.
async fn translated(dataplane: &Dataplane, frames: u64) -> WorkerStats {
    for _ in 0..1_000 {
        let worker = dataplane.stats().await.expect("a worker").workers.remove(0);
        if worker.translated >= frames {
            return worker;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{:?}", dataplane.stats().await);
}

#[tokio::test]
async fn connections_are_listed_and_flushed() {
    let (dataplane, _events) = start();
    assert_eq!(dataplane.conntrack().await.expect("a worker"), [], "without a router");
    publish(&dataplane, snapshot(&[KNOWN])).await;
    claim_all(&dataplane).await;
    dataplane.inject(CONTAINER, datagram(KNOWN)).await.expect("a buffer");
    translated(&dataplane, 1).await;
    let rows = dataplane.conntrack().await.expect("a worker");
    let seen: Vec<_> = rows.iter().map(|row| (row.owner, row.original.dst.address)).collect();
    assert_eq!(seen, [(OwnerId(2), KNOWN)]);
    assert_eq!(rows[0].reply.dst.address, IpAddr::V4(OUTSIDE));
    let none = dataplane.conntrack_flush(|row| row.owner == OwnerId(7)).await;
    assert_eq!(none.expect("a worker"), 0);
    let all = dataplane.conntrack_flush(|row| row.owner == OwnerId(2)).await;
    assert_eq!(all.expect("a worker"), 1);
    assert_eq!(translated(&dataplane, 1).await.connections, 0);
    dataplane.shutdown().await;
}

/// More of them than a round looks at.
#[tokio::test]
async fn many_connections_are_flushed_in_several_rounds() {
    let (dataplane, _events) = start();
    publish(&dataplane, snapshot(&[KNOWN])).await;
    claim_all(&dataplane).await;
    let connections = CONNTRACK_FLUSHED_MAX as u64 + 100;
    for number in 0..connections {
        let frame = datagram_from(1000 + number as u16, KNOWN);
        dataplane.inject(CONTAINER, frame).await.expect("a buffer");
    }
    assert_eq!(translated(&dataplane, connections).await.connections as u64, connections);
    let ended = dataplane.conntrack_flush(|_| true).await.expect("a worker");
    assert_eq!(ended as u64, connections);
    assert_eq!(translated(&dataplane, connections).await.connections, 0);
    dataplane.shutdown().await;
}

#[tokio::test]
async fn a_next_hop_is_asked_for_and_the_frame_goes_when_it_is_known() {
    let (dataplane, mut events) = start();
    publish(&dataplane, snapshot(&[KNOWN])).await;
    claim_all(&dataplane).await;
    dataplane.inject(CONTAINER, datagram(STRANGER)).await.expect("a buffer");
    assert_eq!(
        events.recv().await,
        Some(DataplaneEvent::Resolve { next_hop: STRANGER, uplink: UPLINK, port: CONTAINER })
    );
    let held = dataplane.stats().await.expect("a worker").workers[0].in_flight;
    assert_eq!((held, dataplane.conntrack().await.expect("a worker").len()), (1, 0));
    // The worker sleeps: it is woken by what is published.
    dataplane.publish(snapshot(&[KNOWN, STRANGER]));
    assert_eq!(translated(&dataplane, 1).await.in_flight, 0);
    dataplane.shutdown().await;
}

/// Ports are claimed, not assumed: a worker without any asks control, and drops what it would have to refuse.
#[tokio::test]
async fn a_worker_asks_for_snat_ports_and_returns_them() {
    let (dataplane, mut events) = start();
    publish(&dataplane, snapshot(&[KNOWN])).await;
    let transport = nat::Transport::Udp;
    for _ in 0..2 {
        dataplane.inject(CONTAINER, datagram(KNOWN)).await.expect("a buffer");
    }
    let request = nat::BlockRequest { transport, blocks: 16 };
    assert_eq!(events.recv().await, Some(DataplaneEvent::BlocksWanted { worker: 0, request }));
    let stats = dataplane.stats().await.expect("a worker");
    assert_eq!(stats.workers[0].translated, 0);
    claim_all(&dataplane).await;
    dataplane.inject(CONTAINER, datagram(KNOWN)).await.expect("a buffer");
    translated(&dataplane, 1).await;
    let is_request = |event| matches!(event, DataplaneEvent::BlocksWanted { .. });
    assert!(!events.try_recv().is_ok_and(is_request), "asked once");
    let first = dataplane.collect_blocks(0, transport).await.expect("a worker");
    let second = dataplane.collect_blocks(0, transport).await.expect("a worker");
    assert!(first.is_empty(), "they must stay empty for a while");
    assert!(second.len() > 130 && second.iter().all(|port| port % 64 == 20_000 % 64), "{second:?}");
    dataplane.shutdown().await;
}

/// A request comes as an event, once, and is counted.
#[tokio::test]
async fn dhcp_requests_are_events() {
    let (dataplane, mut events) = start();
    let host_config = HostConfig { dhcp: true, ra: false };
    let network = NetworkConf {
        host_config,
        mtu: 1500,
        ageing: Duration::from_secs(300),
        fdb_entries_max: 100,
        statics: Vec::new(),
        neighbours: Vec::new(),
        mac: GATEWAY,
        snooping: false,
        service: None,
        overlay: None,
        router: None,
    };
    let container = PortConf::new(NetworkIndex(0), PortKind::Container, OWN);
    publish(&dataplane, Snapshot::compile(vec![network], [(CONTAINER, container)])).await;
    let (from, to) = (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::BROADCAST.into());
    let ip = ip::Repr::new(from, to, Protocol::UDP).expect("one family");
    let ports = udp::Repr { src_port: 68, dst_port: 67 };
    let mut request = vec![0; 100];
    let link = Link::new(OWN, MacAddr::BROADCAST);
    let len = frames::udp(&mut request, &link, &ip, &ports, b"hello").expect("it fits");
    request.truncate(len);
    dataplane.inject(CONTAINER, request.clone()).await.expect("a buffer");
    let event = events.recv().await;
    assert_eq!(
        event,
        Some(DataplaneEvent::DhcpRequest { port: CONTAINER, frame: request.clone() })
    );
    // Nobody is behind the port: the answer goes nowhere.
    dataplane.send_later(CONTAINER, request).expect("a free command");
    let worker = dataplane.stats().await.expect("a worker").workers.remove(0);
    assert_eq!((worker.dhcp_requests, worker.dhcp_requests_lost, worker.dhcp_answers), (1, 0, 0));
    dataplane.shutdown().await;
}
