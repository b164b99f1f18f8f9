//! A switch with a router, on which datagrams from containers to the outside come in for ever: each is
//! translated and leaves by the uplink.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use fastpath::PortIndex;
use fastpath::engine::memory::MemoryEngine;
use fastpath::limits::VNET_LEN;
use nat::{CompiledPolicy, Policy, Published};
use vswitch::datapath::{
    EgressMode, NetworkIndex, PortConf, PortKind, RouteAction, RouterConf, Routes, Snapshot,
    UplinkConf, UplinkLink, UplinkNeighbours,
};
use wire::frames::{self, Link};
use wire::{MacAddr, Protocol, ip, udp};

use crate::{Pipeline, mac, network};

/// Container ports: so many that each one's share of the connection table is enough.
const CONTAINERS: u16 = 20;

/// Endpoints inside, over all containers; each speaks to as many remote ones as there are flows left.
const ENDPOINTS: u32 = 2_000;

const HOST: PortIndex = PortIndex(0);
const UPLINK: PortIndex = PortIndex(1);
const FIRST: u16 = 2;
pub(crate) const GATEWAY: MacAddr = MacAddr([2, 1, 0, 0, 0, 1]);
const DEVICE: MacAddr = MacAddr([2, 1, 0, 0, 0, 2]);
const TAP: MacAddr = MacAddr([2, 1, 0, 0, 0, 3]);
const HOP: MacAddr = MacAddr([2, 1, 0, 0, 0, 4]);
const HOP_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

impl Pipeline {
    /// A pipeline that translates so many flows: 64-byte datagrams, 2,000 endpoints inside, or as many
    /// as there are flows. Each flow has sent once.
    ///
    /// # Panics
    /// When there is no memory, or a flow is not translated.
    #[must_use]
    pub fn routed(flows: u32) -> Self {
        let mut engine = MemoryEngine::new();
        engine.open_cycle(HOST, Vec::new());
        engine.open_cycle(UPLINK, Vec::new());
        for port in containers() {
            engine.open_cycle(PortIndex(port), datagrams(flows, port));
        }
        let container = |port: u16| {
            let conf = PortConf::new(NetworkIndex(0), PortKind::Container, mac(port.into()));
            (PortIndex(port), conf)
        };
        let host = (HOST, PortConf::new(NetworkIndex(0), PortKind::Host, GATEWAY));
        let ports = [host, (UPLINK, PortConf::uplink(TAP))];
        let ports = ports.into_iter().chain(containers().map(container));
        let snapshot = Snapshot::compile(vec![network(GATEWAY, Some(router(Vec::new())))], ports);
        let mut pipeline = Self::over(engine, snapshot);
        let mut sent = 0;
        while sent < u64::from(flows) {
            sent += pipeline.round() as u64;
        }
        assert_eq!(pipeline.connections(), flows as usize, "all are translated");
        assert_eq!(pipeline.translated(), sent, "so is every frame");
        pipeline
    }

    /// Frames that were translated since the start.
    ///
    /// # Panics
    /// Where there is no router.
    #[must_use]
    pub fn translated(&self) -> u64 {
        self.state.router.as_ref().expect("a router").counters().translated
    }

    fn connections(&self) -> usize {
        self.state.router.as_ref().expect("a router").len()
    }
}

fn containers() -> std::ops::Range<u16> {
    FIRST..FIRST + CONTAINERS
}

/// A router with an uplink.
pub(crate) fn router(published: Vec<Published>) -> RouterConf {
    let policy = Policy {
        external_v4: Some(OUTSIDE),
        external_v6: None,
        sources: Vec::new(),
        host_addrs: vec![OUTSIDE.into()],
        ports: 20_000..=29_999,
        published,
        quota: u32::MAX,
    };
    let default = "0.0.0.0/0".parse().expect("a prefix");
    let uplink = UplinkConf {
        links: Arc::new(vec![UplinkLink {
            port: UPLINK,
            device_mac: DEVICE,
            tap_mac: TAP,
            mtu: 1500,
            up: true,
            neighbours: UplinkNeighbours::new([(HOP_ADDRESS, HOP)]),
        }]),
        by_container: Vec::new(),
        by_source: Vec::new(),
        routes: Routes::new([(default, RouteAction::via(Some(HOP_ADDRESS)))]),
        policy: CompiledPolicy::compile(policy, None),
    };
    let gateway = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
    RouterConf {
        gateway_mac: GATEWAY,
        gateways: vec![gateway],
        subnets: vec!["10.99.0.0/16".parse().expect("a prefix")],
        local: Arc::new(vec![gateway, OUTSIDE.into()]),
        reachable: Vec::new(),
        egress: EgressMode::Uplink(Arc::new(uplink)),
    }
}

/// The flows of one container, in an order in which neither endpoint comes twice in a row.
fn datagrams(flows: u32, port: u16) -> Vec<Vec<u8>> {
    let endpoints = ENDPOINTS.min(flows);
    let own = (0..flows).filter(|flow| flow % u32::from(CONTAINERS) == u32::from(port - FIRST));
    let datagram = |flow: u32| {
        let (endpoint, remote) = (flow % endpoints, flow / endpoints);
        let src = Ipv4Addr::new(10, 99, 0, port as u8);
        let dst = Ipv4Addr::from_bits(0xc633_6400 + remote);
        let link = Link::new(mac(port.into()), GATEWAY);
        let ip = ip::Repr::new(src.into(), dst.into(), Protocol::UDP).expect("one family");
        let ports = udp::Repr { src_port: 10_000 + endpoint as u16, dst_port: 53 };
        let mut bytes = vec![0; VNET_LEN + 64];
        let written = frames::udp(&mut bytes[VNET_LEN..], &link, &ip, &ports, &[0; 22]);
        assert_eq!(written, Ok(64));
        bytes
    };
    own.map(datagram).collect()
}
