//! What the table allocates, and when: a range of ports is one rule, and packets allocate nothing.
//!
//! Of an address of ours the first port of each transport allocates what is known of its ports; another policy
//! is compiled. All else of the table is there from the beginning.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use vswitch_nat::{
    CompiledPolicy, Endpoint, Kind, Nat, NatConfig, NatDrop, OwnerId, Policy, Published, Realm,
    Segment, Time, Translation, Transport, Tuple, View, Zone,
};
use wire::tcp::Flags;

const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const REMOTE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const START: Time = Time(77 << 30);

/// What a published range may cost more than a published port, in bytes.
const RANGE_BYTES_MAX: u64 = 64 << 10;

fn published(ports: RangeInclusive<u16>) -> Published {
    Published {
        transport: Transport::Udp,
        address: None,
        to_port: *ports.start(),
        ports,
        zone: Zone(0),
        to_v4: Some(SERVER),
        to_v6: None,
        owner: OwnerId(1),
        allow_from: Vec::new(),
    }
}

fn policy(published: Vec<Published>) -> Policy {
    Policy {
        external_v4: Some(HOST),
        external_v6: None,
        sources: Vec::new(),
        host_addrs: vec![HOST.into()],
        ports: 20_000..=29_999,
        published,
        quota: 500,
    }
}

fn packet(transport: Transport, src: (Ipv4Addr, u16), mut dst: (Ipv4Addr, u16)) -> View {
    if transport == Transport::Echo {
        dst.1 = src.1;
    }
    let end = |(address, port): (Ipv4Addr, u16)| Endpoint::new(IpAddr::V4(address), port);
    let tuple = Tuple { transport, src: end(src), dst: end(dst) };
    let syn = Segment {
        flags: Flags::SYN,
        seq: 1_000,
        ack: 0,
        window: 64_000,
        len: 1,
        window_scale: None,
    };
    let segment = (transport == Transport::Tcp).then_some(syn);
    let kind = Kind::Flow { tuple, segment, is_request: true };
    View { src: src.0.into(), dst: dst.0.into(), kind, fragment: None, len: 100 }
}

fn table() -> Nat {
    Nat::new(NatConfig { capacity: 4_096, seed: 5 })
}

/// What it takes to make a table with a policy that publishes these ranges, and to let a packet in to the
/// last port of them.
fn cost(ranges: impl Iterator<Item = RangeInclusive<u16>>, last: u16) -> AllocationInfo {
    measure(|| {
        let policy = policy(ranges.map(published).collect());
        let mut nat = table();
        nat.revalidate(&CompiledPolicy::compile(policy, None));
        let view = packet(Transport::Udp, (REMOTE, 9), (HOST, last));
        let seen = nat.translate(START, Realm::External, &view);
        assert!(matches!(seen, Ok(Translation::Edit { edit, .. }) if edit.dst.port == last));
        let answer = packet(Transport::Udp, (SERVER, last), (REMOTE, 9));
        let seen = nat.translate(START, Realm::Internal(OwnerId(1), Zone(0)), &answer);
        assert!(matches!(seen, Ok(Translation::Edit { edit, .. }) if edit.src.port == last));
    })
}

#[test]
fn a_range_of_ten_thousand_ports_is_one_rule() {
    let one = cost(std::iter::once(1_000..=1_000), 1_000);
    let range = cost(std::iter::once(1_000..=10_999), 10_999);
    let more = range.bytes_max.saturating_sub(one.bytes_max);
    assert!(more < RANGE_BYTES_MAX, "{more} bytes more for the range");
    assert_eq!(range.count_total, one.count_total);
    // The measure itself: as many rules of one port each are seen.
    let rules = cost((1_000..=10_999).map(|port| port..=port), 10_999);
    assert!(rules.bytes_max - one.bytes_max > RANGE_BYTES_MAX, "{} bytes", rules.bytes_max);
}

/// A table and its clock.
struct Lab {
    nat: Nat,
    now: Time,
}

impl Lab {
    fn new() -> Self {
        let policy = policy(vec![published(700..=799)]);
        let mut lab = Self { nat: table(), now: START };
        lab.nat.revalidate(&CompiledPolicy::compile(policy, None));
        lab
    }

    fn send(&mut self, from: Realm, view: &View) -> Result<Translation, NatDrop> {
        self.nat.translate(self.now, from, view)
    }

    /// From an owner to a remote: what was allocated.
    fn out(&mut self, transport: Transport, owner: u8, port: u16) -> u64 {
        let view = packet(transport, (Ipv4Addr::new(10, 99, 1, owner), port), (REMOTE, 53));
        let from = Realm::Internal(OwnerId(owner.into()), Zone(0));
        let mut sent = Err(NatDrop::Protocol);
        let counted = measure(|| sent = self.send(from, &view));
        assert!(matches!(sent, Ok(Translation::Edit { .. })), "{sent:?}");
        counted.count_total
    }
}

const TRANSPORTS: [Transport; 4] =
    [Transport::Tcp, Transport::Udp, Transport::Echo, Transport::Sctp];

#[test]
fn only_the_first_port_of_each_transport_allocates() {
    let mut lab = Lab::new();
    for transport in TRANSPORTS {
        assert!(lab.out(transport, 1, 1) > 0, "the ports of {transport:?}");
        assert_eq!(lab.out(transport, 1, 1), 0, "a connection goes on, {transport:?}");
        assert_eq!(lab.out(transport, 1, 2), 0, "another endpoint, {transport:?}");
        assert_eq!(lab.out(transport, 200, 1), 0, "another owner's first, {transport:?}");
    }
}

#[test]
fn a_warm_table_allocates_nothing_as_connections_come_and_go() {
    let mut lab = Lab::new();
    for transport in TRANSPORTS {
        lab.out(transport, 1, 1);
    }
    let mut refused = 0;
    let counted = measure(|| {
        for round in 0..20_u16 {
            for port in 1..=150 {
                for (transport, owner) in TRANSPORTS.into_iter().zip(1..) {
                    let client = (Ipv4Addr::new(10, 99, 1, owner), port);
                    let view = packet(transport, client, (REMOTE, 53 + round % 3));
                    let from = Realm::Internal(OwnerId(owner.into()), Zone(0));
                    refused += u32::from(lab.send(from, &view).is_err());
                }
                let view = packet(Transport::Udp, (REMOTE, port), (HOST, 700 + round));
                refused += u32::from(lab.send(Realm::External, &view).is_err());
            }
            lab.now = lab.now.after(Duration::from_secs(45));
            lab.nat.tick(lab.now, 10_000);
        }
    });
    let counters = lab.nat.counters();
    assert!(
        counters.connections_created > 5_000 && counters.connections_expired > 1_000,
        "{counters:?}"
    );
    assert!(
        counters.connections_evicted > 1_000 && refused == 0,
        "{refused} refused, {counters:?}"
    );
    assert_eq!(counted.count_total, 0, "allocations for {counters:?}");
}

/// A segment with an acknowledgement, and a SYN or a FIN.
fn segment(src: (Ipv4Addr, u16), dst: (Ipv4Addr, u16), flags: Flags, seq: u32, ack: u32) -> View {
    let mut view = packet(Transport::Tcp, src, dst);
    if let Kind::Flow { segment: Some(segment), .. } = &mut view.kind {
        (segment.flags, segment.seq, segment.ack) = (flags, seq, ack);
    }
    view
}

#[test]
fn ports_at_rest_allocate_nothing() {
    let mut lab = Lab::new();
    lab.out(Transport::Tcp, 1, 9_999);
    let counted = measure(|| {
        for port in 1..=300 {
            let (client, server) = ((Ipv4Addr::new(10, 99, 1, 1), port), (REMOTE, 80));
            let internal = Realm::Internal(OwnerId(1), Zone(0));
            let created = lab.send(internal, &packet(Transport::Tcp, client, server));
            let Ok(Translation::Edit { edit, .. }) = created else { panic!("{created:?}") };
            let external = (HOST, edit.src.port);
            let (syn, fin) = (Flags(0x12), Flags(0x11));
            for (from, view) in [
                (Realm::External, segment(server, external, syn, 5_000, 1_001)),
                (internal, segment(client, server, fin, 1_001, 5_001)),
                (Realm::External, segment(server, external, fin, 5_001, 1_002)),
            ] {
                let seen = lab.send(from, &view);
                assert!(matches!(seen, Ok(Translation::Edit { .. })), "{seen:?}");
            }
        }
        lab.now = lab.now.after(Duration::from_secs(300));
        lab.nat.tick(lab.now, 10_000);
    });
    assert_eq!((lab.nat.len(), lab.nat.counters().connections_expired), (0, 301));
    assert_eq!(counted.count_total, 0, "allocations for 300 ports");
}
