//! A switch with a tunnel port, on which frames for endpoints on other nodes, or datagrams of other nodes, come in for
//! ever.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use fastpath::PortIndex;
use fastpath::datagram::{self, Header};
use fastpath::engine::memory::MemoryEngine;
use fastpath::limits::VNET_LEN;
use vswitch::datapath::{
    NetworkIndex, NetworkOverlay, PortConf, PortKind, Remote, RemoteTable, Snapshot, TunnelConf,
    VtepConf, VtepIndex,
};
use wire::MacAddr;
use wire::vxlan::{self, Vni};

use crate::{Load, Pipeline, frames, mac, network, routed};

/// Container ports.
const PORTS: u16 = 4;

const TUNNEL: PortIndex = PortIndex(PORTS);

/// Other nodes.
const NODES: u16 = 100;

/// Which way frames cross the tunnel port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To other nodes.
    Encapsulated,
    /// From other nodes.
    Decapsulated,
}

impl Pipeline {
    /// A pipeline of 64-byte frames to or from other nodes, of 1,000 local MAC addresses on four ports. So many endpoints
    /// are on 100 other nodes; frames are for 1,000 of them, or for all where there are fewer.
    ///
    /// # Panics
    /// When there is no memory.
    #[must_use]
    pub fn overlay(direction: Direction, endpoints: u64) -> Self {
        let vni = Vni::new(42).expect("24 bits");
        let mut engine = MemoryEngine::new();
        let load = Load { ports: PORTS, macs: 1_000, ..Load::L2 };
        for port in 0..PORTS {
            let mut sent = frames(load, port);
            if direction == Direction::Encapsulated {
                for (n, frame) in sent.iter_mut().enumerate() {
                    let to = spread((n * usize::from(PORTS) + usize::from(port)) as u64, endpoints);
                    frame[VNET_LEN..VNET_LEN + 6].copy_from_slice(&remote(to).mac.0);
                }
            }
            engine.open_cycle(PortIndex(port), sent);
        }
        engine.open_datagram_cycle(TUNNEL, Vec::new());
        let mut conf = network(routed::GATEWAY, None);
        let mut remotes = RemoteTable::default();
        (0..endpoints).for_each(|n| remotes.insert(remote(n)));
        let vteps = (0..NODES).map(VtepIndex).collect();
        conf.overlay = Some(NetworkOverlay { vni, vteps, remotes });
        let vteps = (0..NODES)
            .map(|node| Some(VtepConf { address: address(node), mtu: 1500, is_learning: false }));
        let tunnel = TunnelConf::new(TUNNEL, vteps.collect());
        let port = |port| {
            let conf = PortConf::new(NetworkIndex(0), PortKind::Container, mac(1 << 20 | port));
            (PortIndex(port as u16), conf)
        };
        let ports = (0..u64::from(PORTS)).map(port).chain([(TUNNEL, PortConf::tunnel())]);
        let snapshot = Snapshot::compile(vec![conf], ports).with_tunnel(Some(Arc::new(tunnel)));
        let mut pipeline = Self::over(engine, snapshot);
        let mut learnt = 0;
        while learnt < 2 * load.macs {
            learnt += pipeline.round() as u64;
        }
        if direction == Direction::Decapsulated {
            for port in 0..PORTS {
                pipeline.engine.open_cycle(PortIndex(port), Vec::new());
            }
            let datagrams = (0..1_000).map(|n| datagram(load, vni, n, endpoints));
            pipeline.engine.open_datagram_cycle(TUNNEL, datagrams.collect());
        }
        pipeline
    }

    /// Frames to and from other nodes since the start.
    #[must_use]
    pub fn tunnelled(&self) -> (u64, u64) {
        let vteps = self.stats.vteps().iter();
        vteps.fold((0, 0), |(tx, rx), vtep| (tx + vtep.tx_frames, rx + vtep.rx_frames))
    }
}

/// Endpoint `n` of the thousand that have traffic, spread over all.
fn spread(n: u64, endpoints: u64) -> u64 {
    n * (endpoints / 1_000).max(1) % endpoints
}

fn remote(n: u64) -> Remote {
    let vtep = VtepIndex((n % u64::from(NODES)) as u16);
    Remote { mac: MacAddr::from_u64(0x0242_0000_0000 + n), vtep }
}

fn address(node: u16) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, node as u8), vxlan::PORT).into()
}

/// A datagram of one node with a frame to local address `n`.
fn datagram(load: Load, vni: Vni, n: u64, endpoints: u64) -> Vec<u8> {
    let mut bytes = vec![0; datagram::LEN + vxlan::HEADER_LEN];
    let from = remote(spread(n, endpoints));
    let header = Header { peer: address(from.vtep.0), segment: 0, socket: 0, tos: 0 };
    assert!(header.write(&mut bytes), "room for the header");
    vxlan::emit(vni, &mut bytes[datagram::LEN..]).expect("room for the header");
    let mut frame = frames(load, (n % u64::from(PORTS)) as u16).swap_remove(0);
    frame[VNET_LEN..VNET_LEN + 6].copy_from_slice(&mac(n).0);
    frame[VNET_LEN + 6..VNET_LEN + 12].copy_from_slice(&from.mac.0);
    bytes.extend(&frame[VNET_LEN..]);
    bytes
}
