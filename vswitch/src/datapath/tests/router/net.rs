//! A network with a router: the host's port, an uplink, two containers; and packets of either family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use fastpath::PortIndex;
use fastpath::limits::VNET_LEN;
use nat::{CompiledPolicy, OwnerId, Policy, Published, Transport};
use wire::frames::{self, Link};
use wire::meta::{L3, L4, Meta};
use wire::ports::Ports;
use wire::tcp::Flags;
use wire::{MacAddr, Protocol, checksum, icmpv4, icmpv6, ip, ipv4, ipv6, tcp, udp};

use crate::datapath::tests::sim::{Sim, mac};
use crate::datapath::*;

pub(super) const HOST: u16 = 0;
pub(super) const UPLINK: u16 = 1;
pub(super) const A: u16 = 2;
pub(super) const B: u16 = 3;
pub(super) const PORTS: u16 = 4;

pub(super) const GATEWAY_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
pub(super) const DEVICE_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 1]);
pub(super) const TAP_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 2]);
pub(super) const HOP_MAC: MacAddr = MacAddr([2, 0, 0, 0, 1, 3]);

/// The families that a test runs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

pub(super) const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    pub(super) fn of(self, v4: &str, v6: &str) -> IpAddr {
        let text = if self == Self::V4 { v4 } else { v6 };
        text.parse().expect("an address")
    }

    /// The container behind a port.
    pub(super) fn container(self, port: u16) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 99, 0, port as u8).into(),
            Self::V6 => Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, port).into(),
        }
    }

    pub(super) fn gateway(self) -> IpAddr {
        self.of("10.99.0.1", "fd00:99::1")
    }

    /// The host's address on the uplink, from which containers appear.
    pub(super) fn outside(self) -> IpAddr {
        self.of("192.0.2.1", "2001:db8::1")
    }

    /// Somebody behind the router on the uplink.
    pub(super) fn remote(self) -> IpAddr {
        self.of("198.51.100.7", "2a00::7")
    }

    /// A neighbour on the uplink's link whose MAC address is known.
    pub(super) fn neighbour(self) -> IpAddr {
        self.of("192.0.2.9", "2001:db8::9")
    }

    /// One whose MAC address is not.
    pub(super) fn stranger(self) -> IpAddr {
        self.of("192.0.2.10", "2001:db8::10")
    }
}

pub(super) struct TestNet {
    pub(super) sim: Sim,
    pub(super) uplink: UplinkConf,
    pub(super) egress: fn(UplinkConf) -> EgressMode,
}

pub(super) fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

fn published(transport: Transport, port: u16, to: u16, to_port: u16) -> Published {
    let v4 = Ipv4Addr::new(10, 99, 0, to as u8);
    let v6 = Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, to);
    Published {
        transport,
        address: None,
        ports: port..=port,
        zone: nat::Zone(0),
        to_v4: Some(v4),
        to_v6: Some(v6),
        to_port,
        owner: OwnerId(to.into()),
        allow_from: Vec::new(),
    }
}

/// Ports 8080 and 5353 lead to container B.
fn policy() -> Policy {
    let [v4, v6] = FAMILIES.map(Family::outside);
    Policy {
        external_v4: Some("192.0.2.1".parse().expect("an address")),
        external_v6: Some("2001:db8::1".parse().expect("an address")),
        sources: Vec::new(),
        host_addrs: vec![v4, v6],
        ports: 20_000..=29_999,
        published: vec![
            published(Transport::Tcp, 8080, B, 80),
            published(Transport::Udp, 5353, B, 53),
        ],
        quota: 1000,
    }
}

fn uplink() -> UplinkConf {
    let net = |text: &str| text.parse().expect("a prefix");
    let via = |text: &str| RouteAction::via(Some(text.parse().expect("an address")));
    let address = |text: &str| text.parse().expect("an address");
    let routes = [
        (net("192.0.2.0/24"), RouteAction::via(None)),
        (net("2001:db8::/64"), RouteAction::via(None)),
        (net("172.17.0.0/16"), RouteAction::Elsewhere),
        (net("fd17::/64"), RouteAction::Elsewhere),
        (net("0.0.0.0/0"), via("192.0.2.254")),
        (net("::/0"), via("2001:db8::fe")),
    ];
    let known = ["192.0.2.254", "2001:db8::fe", "192.0.2.9", "2001:db8::9"];
    UplinkConf {
        links: Arc::new(vec![UplinkLink {
            port: PortIndex(UPLINK),
            device_mac: DEVICE_MAC,
            tap_mac: TAP_MAC,
            mtu: 1500,
            up: true,
            neighbours: UplinkNeighbours::new(known.map(|text| (address(text), HOP_MAC))),
        }]),
        by_container: Vec::new(),
        by_source: Vec::new(),
        routes: Routes::new(routes),
        policy: CompiledPolicy::compile(policy(), None),
    }
}

impl TestNet {
    pub(super) fn new() -> Self {
        Self::with_ports(PORTS)
    }

    /// With further containers, from port [`PORTS`] on.
    pub(super) fn with_ports(ports: u16) -> Self {
        let mut sim = Sim::new(ports);
        sim.set(HOST, |conf| *conf = PortConf::new(conf.network, PortKind::Host, GATEWAY_MAC));
        sim.set(UPLINK, |conf| *conf = PortConf::uplink(TAP_MAC));
        sim.network(|network| {
            let host = StaticMac { mac: GATEWAY_MAC, vlan: 0, port: PortIndex(HOST) };
            network.statics = vec![host];
            network.neighbours = [A, B].map(neighbour).into();
        });
        let egress = |uplink| EgressMode::Uplink(Arc::new(uplink));
        let mut net = Self { sim, uplink: uplink(), egress };
        net.change(|_| {});
        net
    }

    /// Changes the uplink, and publishes it.
    /// Changes the first uplink.
    pub(super) fn change_link(&mut self, change: impl FnOnce(&mut UplinkLink)) {
        self.change(|uplink| change(&mut Arc::make_mut(&mut uplink.links)[0]));
    }

    pub(super) fn change(&mut self, change: impl FnOnce(&mut UplinkConf)) {
        change(&mut self.uplink);
        let router = RouterConf {
            gateway_mac: GATEWAY_MAC,
            gateways: FAMILIES.map(Family::gateway).into(),
            subnets: ["10.99.0.0/16", "fd00:99::/64"].map(|it| it.parse().expect("net")).into(),
            local: FAMILIES
                .iter()
                .flat_map(|it| [it.gateway(), it.outside()])
                .collect::<Vec<_>>()
                .into(),
            reachable: Vec::new(),
            egress: (self.egress)(self.uplink.clone()),
        };
        self.sim.network(|network| network.router = Some(router));
    }

    /// Changes the policy, and publishes it.
    pub(super) fn policy(&mut self, change: impl FnOnce(&mut Policy)) {
        self.change(|uplink| {
            let mut policy = uplink.policy.source().clone();
            change(&mut policy);
            uplink.policy = CompiledPolicy::compile(policy, Some(&uplink.policy));
        });
    }

    /// What every port gets of a frame that comes in on a port.
    pub(super) fn sent(&mut self, port: u16, frame: Vec<u8>) -> [Vec<Vec<u8>>; PORTS as usize] {
        self.sim.inject(port, frame);
        self.sim.run();
        let sent = std::array::from_fn(|port| self.sim.sent(port as u16));
        self.sim.check();
        sent
    }

    /// The one frame that leaves, and the port that it leaves by.
    #[track_caller]
    pub(super) fn one(&mut self, port: u16, frame: Vec<u8>) -> (u16, Vec<u8>) {
        let mut sent = self.sent(port, frame);
        let counts: Vec<_> = sent.iter().map(Vec::len).collect();
        assert_eq!(counts.iter().sum::<usize>(), 1, "{counts:?}");
        let to = counts.iter().position(|&count| count == 1).expect("one");
        (to as u16, sent[to].remove(0))
    }
}

fn neighbour(port: u16) -> Neighbour {
    Neighbour {
        mac: mac(port),
        ipv4: Some(Ipv4Addr::new(10, 99, 0, port as u8)),
        ipv6: Some(Ipv6Addr::new(0xfd00, 0x99, 0, 0, 0, 0, 0, port)),
        port: PortIndex(port),
    }
}

/// From a container to the gateway's MAC address.
pub(super) fn up(port: u16) -> Link {
    Link::new(mac(port), GATEWAY_MAC)
}

/// From the next hop to the host's device.
pub(super) const DOWN: Link = Link::new(HOP_MAC, DEVICE_MAC);

fn whole(write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut bytes = vec![0; VNET_LEN + 4000];
    let len = write(&mut bytes[VNET_LEN..]);
    bytes.truncate(VNET_LEN + len);
    bytes
}

fn header(from: IpAddr, to: IpAddr) -> ip::Repr {
    ip::Repr::new(from, to, Protocol::UDP).expect("one family")
}

pub(super) fn udp(link: Link, from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let ports = udp::Repr { src_port: from.port(), dst_port: to.port() };
    let ip = header(from.ip(), to.ip());
    whole(|buffer| frames::udp(buffer, &link, &ip, &ports, payload).expect("it fits"))
}

/// A segment that begins a connection, or goes on with it.
pub(super) fn tcp(
    link: Link,
    from: SocketAddr,
    to: SocketAddr,
    flags: Flags,
    at: [u32; 2],
) -> Vec<u8> {
    let is_syn = flags.contains(Flags::SYN);
    let repr = tcp::Repr {
        src_port: from.port(),
        dst_port: to.port(),
        seq: at[0],
        ack: at[1],
        flags,
        window: 64_000,
        mss: is_syn.then_some(1460),
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
    };
    let ip = header(from.ip(), to.ip());
    whole(|buffer| frames::tcp(buffer, &link, &ip, &repr, &[]).expect("it fits"))
}

pub(super) fn echo(
    link: Link,
    (from, to): (IpAddr, IpAddr),
    is_request: bool,
    ident: u16,
) -> Vec<u8> {
    whole(|buffer| match header(from, to) {
        ip::Repr::V4(ip) => {
            let message = if is_request {
                icmpv4::Repr::EchoRequest { ident, seq: 1, data: b"ping" }
            } else {
                icmpv4::Repr::EchoReply { ident, seq: 1, data: b"ping" }
            };
            frames::icmpv4(buffer, &link, &ip, &message).expect("it fits")
        }
        ip::Repr::V6(ip) => {
            let message = if is_request {
                icmpv6::Repr::EchoRequest { ident, seq: 1, data: b"ping" }
            } else {
                icmpv6::Repr::EchoReply { ident, seq: 1, data: b"ping" }
            };
            frames::icmpv6(buffer, &link, &ip, &message).expect("it fits")
        }
    })
}

/// A packet of a protocol without ports.
pub(super) fn portless(
    link: Link,
    (from, to): (IpAddr, IpAddr),
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let ip = ip::Repr::new(from, to, Protocol(protocol)).expect("one family");
    whole(|buffer| {
        let mut at = link.emit(ip.ethertype(), buffer).expect("it fits");
        at += ip.emit(payload.len(), &mut buffer[at..]).expect("it fits");
        buffer[at..at + payload.len()].copy_from_slice(payload);
        at + payload.len()
    })
}

/// Sets TTL or hop limit.
pub(super) fn with_hops(mut frame: Vec<u8>, hops: u8) -> Vec<u8> {
    let packet = &mut frame[VNET_LEN + 14..];
    if packet[0] >> 4 == 4 {
        let mut ip = ipv4::Packet::new_checked(packet).expect("IPv4");
        ip.set_ttl(hops);
        ip.fill_checksum();
    } else {
        packet[7] = hops;
    }
    frame
}

/// Says whether an IPv4 packet may be cut.
pub(super) fn set_fragment(frame: &mut [u8], dont_fragment: bool) {
    let mut ip = ipv4::Packet::new_checked(&mut frame[VNET_LEN + 14..]).expect("IPv4");
    ip.set_fragment(dont_fragment, false, 0);
    ip.fill_checksum();
}

/// What a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) link: Link,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) hops: u8,
    pub(super) l4: L4,
    pub(super) payload: Vec<u8>,
}

/// Reads a frame; its checksums must be right, where they are not left to others. Of an echo both ports
/// are the identifier.
#[track_caller]
pub(super) fn seen(bytes: &[u8]) -> Seen {
    let frame = &bytes[VNET_LEN..];
    let meta = Meta::parse(frame).expect("a frame");
    let (packet, segment) = (meta.l3_bytes(frame), meta.l4_bytes(frame));
    let (from, to, hops, pseudo) = match meta.l3 {
        L3::Ipv4 => {
            let ip = ipv4::Packet::new_checked(packet).expect("IPv4");
            assert!(ip.verify_checksum(), "IPv4 checksum");
            (ip.src().into(), ip.dst().into(), ip.ttl(), ip.pseudo_header())
        }
        L3::Ipv6 => {
            let ip = ipv6::Packet::new_checked(packet).expect("IPv6");
            let upper = ip.upper_layer().expect("a transport");
            let pseudo = ip.pseudo_header(upper.protocol, segment.len() as u32);
            (IpAddr::from(ip.src()), IpAddr::from(ip.dst()), ip.hop_limit(), pseudo)
        }
        other => panic!("{other:?}"),
    };
    let pseudo = if meta.l4 == L4::Icmpv4 { 0 } else { pseudo };
    if bytes[0] & 1 == 0 && !meta.fragment {
        assert_eq!(checksum::transport(pseudo, segment), 0, "{:?} checksum", meta.l4);
    }
    let ports = match meta.l4 {
        L4::Icmpv4 | L4::Icmpv6 => {
            let ident = u16::from_be_bytes([segment[4], segment[5]]);
            (ident, ident)
        }
        _ => {
            let ports = Ports::new_checked(segment).expect("ports");
            (ports.src(), ports.dst())
        }
    };
    let header = if meta.l4 == L4::Tcp { usize::from(segment[12] >> 4) * 4 } else { 8 };
    Seen {
        link: Link::new(meta.src, meta.dst),
        from: at(from, ports.0),
        to: at(to, ports.1),
        hops,
        l4: meta.l4,
        payload: segment[header..].to_vec(),
    }
}
