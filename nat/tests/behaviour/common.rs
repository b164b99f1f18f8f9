//! What the tests share: a translator with its policy and clock, and packets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use vswitch_nat::{
    CompiledPolicy, Edit, Endpoint, Kind, Nat, NatConfig, NatDrop, OwnerId, Policy, Published,
    Quoted, Realm, Segment, Time, Translation, Transport, Tuple, View, Zone,
};
use wire::tcp::Flags;

pub(crate) const EXTERNAL: &str = "192.0.2.1";
pub(crate) const EXTERNAL6: &str = "2001:db8::1";

/// Container `a`, of owner 1, and `b`, of owner 2.
pub(crate) const A: &str = "10.99.0.2";
pub(crate) const B: &str = "10.99.0.3";

pub(crate) const SYN: Flags = Flags::SYN;
pub(crate) const ACK: Flags = Flags::ACK;
pub(crate) const RST: Flags = Flags::RST;
pub(crate) const SYN_ACK: Flags = Flags(0x12);
pub(crate) const FIN: Flags = Flags::FIN;
pub(crate) const FIN_ACK: Flags = Flags(0x11);
pub(crate) const RST_ACK: Flags = Flags(0x14);

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// `10.0.0.1:80` or `[2001:db8::1]:80`.
pub(crate) fn endpoint(text: &str) -> Endpoint {
    let socket: std::net::SocketAddr = text.parse().expect("an endpoint");
    Endpoint::new(socket.ip(), socket.port())
}

pub(crate) fn internal(owner: u32) -> Realm {
    Realm::Internal(OwnerId(owner), Zone(0))
}

pub(crate) fn tuple(transport: Transport, src: &str, dst: &str) -> Tuple {
    Tuple { transport, src: endpoint(src), dst: endpoint(dst) }
}

pub(crate) fn view_of(tuple: Tuple, segment: Option<Segment>, is_request: bool) -> View {
    View {
        src: tuple.src.address,
        dst: tuple.dst.address,
        kind: Kind::Flow { tuple, segment, is_request },
        fragment: None,
        len: 100,
    }
}

pub(crate) fn udp(src: &str, dst: &str) -> View {
    view_of(tuple(Transport::Udp, src, dst), None, false)
}

pub(crate) fn sctp(src: &str, dst: &str) -> View {
    view_of(tuple(Transport::Sctp, src, dst), None, false)
}

pub(crate) fn echo(src: &str, dst: &str, id: u16, is_request: bool) -> View {
    let (src, dst) = (Endpoint::new(ip(src), id), Endpoint::new(ip(dst), id));
    view_of(Tuple { transport: Transport::Echo, src, dst }, None, is_request)
}

pub(crate) fn segment(flags: Flags, seq: u32, ack: u32, bytes: u32) -> Segment {
    let controls = u32::from(flags.contains(Flags::SYN)) + u32::from(flags.contains(Flags::FIN));
    Segment { flags, seq, ack, window: 64_000, len: bytes + controls, window_scale: None }
}

pub(crate) fn tcp(src: &str, dst: &str, segment: Segment) -> View {
    view_of(tuple(Transport::Tcp, src, dst), Some(segment), false)
}

/// An ICMP error of `src` about a packet.
pub(crate) fn error(src: &str, dst: IpAddr, quoted: Tuple, seq: Option<u32>) -> View {
    let quoted = Quoted { tuple: quoted, seq, mtu: None };
    View { src: ip(src), dst, kind: Kind::Error(quoted), fragment: None, len: 100 }
}

/// A translator with its policy and clock.
pub(crate) struct Lab {
    pub(crate) nat: Nat,
    /// Adopted by the next call.
    pub(crate) policy: Policy,
    compiled: Arc<CompiledPolicy>,
    pub(crate) now: Time,
}

pub(crate) fn policy() -> Policy {
    Policy {
        external_v4: Some(Ipv4Addr::new(192, 0, 2, 1)),
        external_v6: Some(EXTERNAL6.parse().expect("an address")),
        sources: Vec::new(),
        host_addrs: vec![ip(EXTERNAL), ip("10.99.0.1"), ip(EXTERNAL6), ip("fd00:99::1")],
        ports: 20_000..=29_999,
        published: Vec::new(),
        quota: 10_000,
    }
}

/// Ports of the host that lead to `to:to_port` on.
pub(crate) fn published(
    transport: Transport,
    ports: std::ops::RangeInclusive<u16>,
    to: &str,
    to_port: u16,
    owner: u32,
) -> Published {
    let to_v6: Ipv6Addr = "fd00:99::2".parse().expect("an address");
    Published {
        transport,
        address: None,
        ports,
        zone: Zone(0),
        to_v4: Some(to.parse().expect("an address")),
        to_v6: Some(to_v6),
        to_port,
        owner: OwnerId(owner),
        allow_from: Vec::new(),
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(policy())
    }

    pub(crate) fn with(policy: Policy) -> Self {
        Self::sized(policy, 4096)
    }

    pub(crate) fn sized(policy: Policy, capacity: usize) -> Self {
        Self::seeded(policy, capacity, 0x5eed)
    }

    pub(crate) fn seeded(policy: Policy, capacity: usize, seed: u64) -> Self {
        Self::around(Nat::new(NatConfig { capacity, seed }), policy)
    }

    /// One whose ports are claimed.
    pub(crate) fn claiming(policy: Policy) -> Self {
        let nat = Nat::new(NatConfig { capacity: 4096, seed: 0x5eed });
        Self::around(nat.with_claimed_blocks(), policy)
    }

    pub(crate) fn around(nat: Nat, policy: Policy) -> Self {
        let compiled = CompiledPolicy::compile(policy.clone(), None);
        let mut lab = Self { nat, policy, compiled, now: Time(77_000_000_000) };
        lab.revalidate();
        lab
    }

    /// Adopts the policy as it is now.
    pub(crate) fn revalidate(&mut self) {
        self.compiled = CompiledPolicy::compile(self.policy.clone(), Some(&self.compiled));
        self.nat.revalidate(&self.compiled);
    }

    /// Time passes; what has expired ends.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now = self.now.after(time);
        self.revalidate();
        self.nat.tick(self.now, usize::MAX);
    }

    pub(crate) fn wait_s(&mut self, seconds: u64) {
        self.wait(Duration::from_secs(seconds));
    }

    pub(crate) fn send(&mut self, from: Realm, view: &View) -> Result<Translation, NatDrop> {
        self.revalidate();
        self.nat.translate(self.now, from, view)
    }

    /// Sends what is translated.
    #[track_caller]
    pub(crate) fn edit(&mut self, from: Realm, view: &View) -> (Edit, Realm) {
        match self.send(from, view) {
            Ok(Translation::Edit { edit, to }) => (edit, to),
            other => panic!("{view:?} from {from:?} is not translated: {other:?}"),
        }
    }

    /// Sends from owner 1 to the outside, and says where it appears from.
    #[track_caller]
    pub(crate) fn out(&mut self, view: &View) -> Endpoint {
        let (edit, to) = self.edit(internal(1), view);
        assert_eq!(to, Realm::External);
        edit.src
    }

    /// Sends from outside, and says where it comes in.
    #[track_caller]
    pub(crate) fn back(&mut self, view: &View) -> Endpoint {
        let (edit, to) = self.edit(Realm::External, view);
        assert_eq!(to, internal(1));
        edit.dst
    }

    /// A TCP connection of `src` to `dst`, established; its external endpoint. The client has sent up to 1001, the
    /// server up to 5001.
    #[track_caller]
    pub(crate) fn establish(&mut self, src: &str, dst: &str) -> Endpoint {
        let external = self.out(&tcp(src, dst, segment(SYN, 1000, 0, 0)));
        self.back(&tcp(dst, &external.to_string(), segment(SYN_ACK, 5000, 1001, 0)));
        self.out(&tcp(src, dst, segment(ACK, 1001, 5001, 0)));
        external
    }

    /// The state of the only connection.
    #[track_caller]
    pub(crate) fn state(&self) -> vswitch_nat::State {
        let rows: Vec<_> = self.nat.rows().collect();
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows[0].state
    }
}
