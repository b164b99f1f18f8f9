//! Switches joined by their tunnel ports over a wire that may lose, double and reorder datagrams.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fastpath::datagram::{self, Header};
use wire::MacAddr;
use wire::vxlan::{self, Vni};

use crate::datapath::tests::sim::{self, Random, Sim};
use crate::datapath::*;

/// Container ports of each node.
pub(super) const PORTS: u16 = 3;

/// The overlay's VNI.
pub(super) const VNI: Vni = match Vni::new(0x00ab_cdef) {
    Ok(vni) => vni,
    Err(_) => panic!("24 bits"),
};

/// Longest inner packet of a path.
pub(super) const PATH_MTU: u32 = 1450;

/// What the wire does to datagrams: one of so many is lost, doubled, or overtaken; 0: none.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) overtaken: u64,
    /// Datagrams of one size come together (`UDP_GRO`), as far as they follow each other.
    pub(super) joined: bool,
    /// The ECN that routers set in the outer header.
    pub(super) mark: Option<u8>,
}

/// A datagram on its way: sender, receiver, type of service of the outer header, payload.
type Arriving = (usize, usize, u8, Vec<u8>);

/// Nodes of one overlay network.
pub(super) struct Nodes {
    pub(super) sims: Vec<Sim>,
    pub(super) tunnel: u16,
    pub(super) random: Random,
    pub(super) faults: Faults,
    is_ipv6: bool,
    /// Datagrams that the wire carried.
    pub(super) carried: Vec<(usize, Header, Vec<u8>)>,
}

/// The MAC address of a container.
pub(super) fn mac(node: usize, port: u16) -> MacAddr {
    sim::mac(0x100 * (1 + node as u16) + port)
}

/// Its IPv4 address.
pub(super) fn ip(node: usize, port: u16) -> Ipv4Addr {
    Ipv4Addr::new(10, 50, node as u8, 10 + port as u8)
}

/// Its IPv6 address.
pub(super) fn ip6(node: usize, port: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, node as u16, 10 + port)
}

/// The gateway's addresses, on each node.
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 50, 255, 1);
pub(super) const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x50, 0, 0, 0, 0, 0, 1);

impl Nodes {
    /// Nodes that know each other's containers from a registry, and their own from their frames.
    pub(super) fn new(count: usize) -> Self {
        Self::with_underlay(count, false)
    }

    /// The same over IPv6.
    pub(super) fn with_underlay(count: usize, is_ipv6: bool) -> Self {
        let mut sims: Vec<Sim> = (0..count).map(|_| Sim::new(PORTS)).collect();
        let mut tunnel = 0;
        for (node, sim) in sims.iter_mut().enumerate() {
            for port in 0..PORTS {
                sim.set(port, |conf| conf.mac = mac(node, port));
            }
            let vteps = (0..count).map(|other| {
                (other != node).then(|| VtepConf {
                    address: vtep(other, is_ipv6),
                    mtu: PATH_MTU,
                    is_learning: false,
                })
            });
            tunnel = sim.open_tunnel(vteps.collect());
            let overlay = NetworkOverlay {
                vni: VNI,
                vteps: others(node, count).collect(),
                remotes: remotes(node, count),
            };
            sim.network(|network| {
                network.mtu = PATH_MTU;
                network.overlay = Some(overlay);
                network.service = Some(ServiceConf {
                    vlan: 0,
                    gateways: vec![GATEWAY.into(), GATEWAY6.into()],
                    has_host_port: true,
                });
            });
            let now_s = sim.now().seconds();
            for port in 0..PORTS {
                let key = Key::new(NetworkIndex(0), 0, mac(node, port));
                let learnt = Learnt { key, destination: fastpath::PortIndex(port).into() };
                sim.state().fdb.learn(learnt, now_s, 300, FdbQuota::ALL);
            }
        }
        let (random, faults) = (Random::new(0), Faults::default());
        Self { sims, tunnel, random, faults, is_ipv6, carried: Vec::new() }
    }

    /// Nodes that learn from each other's frames instead.
    pub(super) fn learning(count: usize) -> Self {
        let mut nodes = Self::new(count);
        for node in 0..count {
            nodes.overlay(node, |overlay| overlay.remotes = RemoteTable::default());
            nodes.vteps(node, |_, conf| conf.is_learning = true);
        }
        nodes
    }

    /// Changes the overlay of a node.
    pub(super) fn overlay(&mut self, node: usize, change: impl FnOnce(&mut NetworkOverlay)) {
        self.sims[node].network(|network| {
            if let Some(overlay) = &mut network.overlay {
                change(overlay);
            }
        });
    }

    /// Changes VTEPs of a node.
    pub(super) fn vteps(&mut self, node: usize, mut change: impl FnMut(usize, &mut VtepConf)) {
        let confs = (0..self.sims.len()).map(|other| {
            let learning = self.sims[node].vtep(VtepIndex(other as u16));
            learning.map(|mut conf| {
                change(other, &mut conf);
                conf
            })
        });
        let confs = confs.collect();
        self.sims[node].set_vteps(self.tunnel, confs);
    }

    /// The address of a node's VTEP.
    pub(super) fn address(&self, node: usize) -> SocketAddr {
        vtep(node, self.is_ipv6)
    }

    /// A container sends a frame.
    pub(super) fn inject(&mut self, node: usize, port: u16, frame: Vec<u8>) {
        self.sims[node].inject(port, frame);
    }

    /// A datagram comes to a node, whoever sent it.
    pub(super) fn inject_datagram(&mut self, node: usize, peer: SocketAddr, payload: &[u8]) {
        let tunnel = self.tunnel;
        self.sims[node]
            .inject(tunnel, datagram(Header { peer, segment: 0, socket: 0, tos: 0 }, payload));
    }

    /// Runs until nothing is on the way.
    pub(super) fn run(&mut self) {
        loop {
            self.sims.iter_mut().for_each(Sim::run);
            let mut sent = Vec::new();
            for node in 0..self.sims.len() {
                let tunnel = self.tunnel;
                let buffers = self.sims[node].sent(tunnel);
                sent.extend(buffers.into_iter().flat_map(|buffer| split(node, &buffer)));
            }
            if sent.is_empty() {
                return;
            }
            self.carried.extend(sent.iter().cloned());
            self.carry(sent);
        }
    }

    fn carry(&mut self, sent: Vec<(usize, Header, Vec<u8>)>) {
        let mut arriving: Vec<Arriving> = Vec::new();
        for (from, header, payload) in sent {
            let to = (0..self.sims.len()).find(|&node| self.address(node) == header.peer);
            let Some(to) = to else { continue };
            let Faults { lost, doubled, overtaken, mark, .. } = self.faults;
            let mut happens = |one_of| one_of > 0 && self.random.below(one_of) == 0;
            if happens(lost) {
                continue;
            }
            let copies = 1 + usize::from(happens(doubled));
            for _ in 0..copies {
                let at = arriving.len() - usize::from(happens(overtaken)).min(arriving.len());
                let tos = mark.unwrap_or(header.tos);
                arriving.insert(at, (from, to, tos, payload.clone()));
            }
        }
        let mut rest = &arriving[..];
        while let Some((from, to, tos, first)) = rest.first() {
            // The last of several may be shorter (`UDP_GRO`).
            let is_next = |it: &&Arriving| (it.0, it.1, it.2) == (*from, *to, *tos);
            let same = rest.iter().take_while(is_next).take(40);
            let full = same.clone().take_while(|it| it.3.len() == first.len()).count();
            let shorter = same.skip(full).take(1).filter(|it| it.3.len() < first.len()).count();
            let count = if self.faults.joined { full + shorter } else { 1 };
            let segment = if count > 1 { first.len() as u16 } else { 0 };
            let header = Header { peer: self.address(*from), segment, socket: 0, tos: *tos };
            let payload: Vec<u8> = rest[..count].iter().flat_map(|it| it.3.clone()).collect();
            let tunnel = self.tunnel;
            self.sims[*to].inject(tunnel, datagram(header, &payload));
            rest = &rest[count..];
        }
    }

    /// Frames that a container got, from the virtio-net header on.
    pub(super) fn sent(&mut self, node: usize, port: u16) -> Vec<Vec<u8>> {
        self.sims[node].sent(port)
    }

    /// Frames that each container of each node got.
    pub(super) fn counts(&mut self) -> Vec<Vec<usize>> {
        let ports = 0..usize::from(PORTS);
        self.sims.iter_mut().map(|sim| sim.sent_counts()[ports.clone()].to_vec()).collect()
    }

    /// Drops of frames that came to a node by the tunnel.
    pub(super) fn drops(&self, node: usize, reason: DropReason) -> u64 {
        self.sims[node].drops(self.tunnel, reason)
    }

    /// The law of conservation on each node.
    pub(super) fn check(&self) {
        self.sims.iter().for_each(Sim::check);
    }
}

fn vtep(node: usize, is_ipv6: bool) -> SocketAddr {
    let address: IpAddr = match is_ipv6 {
        false => Ipv4Addr::new(192, 0, 2, 1 + node as u8).into(),
        true => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1 + node as u16).into(),
    };
    (address, vxlan::PORT).into()
}

fn others(node: usize, count: usize) -> impl Iterator<Item = VtepIndex> {
    (0..count).filter(move |&other| other != node).map(|other| VtepIndex(other as u16))
}

/// Containers of the other nodes.
fn remotes(node: usize, count: usize) -> RemoteTable {
    let mut remotes = RemoteTable::default();
    for vtep in others(node, count) {
        for port in 0..PORTS {
            let other = usize::from(vtep.0);
            remotes.insert(Remote { mac: mac(other, port), vtep });
            remotes.insert_ip(ip(other, port).into(), mac(other, port));
            remotes.insert_ip(ip6(other, port).into(), mac(other, port));
        }
    }
    remotes
}

/// A buffer as the engine has it.
pub(super) fn datagram(header: Header, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; datagram::LEN];
    assert!(header.write(&mut bytes));
    bytes.extend(payload);
    bytes
}

/// The datagrams of a buffer that a node sends.
fn split(node: usize, buffer: &[u8]) -> Vec<(usize, Header, Vec<u8>)> {
    let header = Header::read(buffer).expect("a datagram header");
    let payload = &buffer[datagram::LEN..];
    assert!(payload.len() <= 65_507, "UDP takes no more");
    let segment = if header.segment == 0 { payload.len() } else { header.segment.into() };
    let datagrams =
        payload.chunks(segment).map(|it| (node, header, it.to_vec())).collect::<Vec<_>>();
    assert!(datagrams.len() <= 128, "the kernel takes no more segments");
    datagrams
}

/// A VXLAN packet with a frame, given from its virtio-net header on.
pub(super) fn vxlan(vni: Vni, frame: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; vxlan::HEADER_LEN];
    vxlan::emit(vni, &mut packet).expect("room");
    packet.extend(&frame[fastpath::limits::VNET_LEN..]);
    packet
}
