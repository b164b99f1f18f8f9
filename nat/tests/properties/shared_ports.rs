//! Few ports and many connections: no two living connections have the same tuple in a direction, answers come to who
//! asked, and in the end nothing is held.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use vswitch_nat::{
    CompiledPolicy, Endpoint, Kind, Nat, NatConfig, OwnerId, Policy, Published, Realm, Row,
    Segment, Time, Translation, Transport, Tuple, View, Zone,
};
use wire::tcp::Flags;

const PORTS: std::ops::RangeInclusive<u16> = 20_000..=20_007;
/// Another container reaches it by an address of the host.
const SERVER_PORT: u16 = 80;

#[derive(Clone, Debug)]
enum Step {
    Open {
        transport: Transport,
        owner: u8,
        port: u16,
        remote: u8,
    },
    /// A peer of a connection sends; from inside or outside.
    Go {
        which: Index,
        is_reply: bool,
        flags: Flags,
    },
    Stray {
        remote: u8,
        port: u16,
        flags: Flags,
    },
    Wait(u64),
    Remove(u8),
    Flush(Index),
    /// The other address of ours, and whether it stays.
    Readdress {
        address: u8,
        keeps: bool,
    },
    /// Its connections go to another table.
    Transfer,
}

fn flags() -> impl Strategy<Value = Flags> {
    prop_oneof![
        2 => Just(Flags::SYN),
        4 => Just(Flags(0x12)),
        6 => Just(Flags::ACK),
        2 => Just(Flags(0x11)),
        2 => Just(Flags(0x14)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let transport = prop_oneof![
        6 => Just(Transport::Tcp),
        2 => Just(Transport::Udp),
        1 => Just(Transport::Echo),
        1 => Just(Transport::Sctp),
    ];
    let open = (transport, 0..4_u8, 1..=9_u16, 0..5_u8)
        .prop_map(|(transport, owner, port, remote)| Step::Open { transport, owner, port, remote });
    let go = (any::<Index>(), any::<bool>(), flags())
        .prop_map(|(which, is_reply, flags)| Step::Go { which, is_reply, flags });
    let stray = (0..4_u8, PORTS, flags()).prop_map(|(remote, port, flags)| Step::Stray {
        remote,
        port,
        flags,
    });
    prop_oneof![
        24 => open,
        12 => go,
        3 => stray,
        2 => prop_oneof![0..20_u64, 200..300_u64].prop_map(Step::Wait),
        1 => (0..4_u8).prop_map(Step::Remove),
        1 => any::<Index>().prop_map(Step::Flush),
        1 => (0..2_u8, any::<bool>())
            .prop_map(|(address, keeps)| Step::Readdress { address, keeps }),
        1 => Just(Step::Transfer),
    ]
}

fn policy(address: u8, keeps: bool) -> Policy {
    let own = |which: u8| [192, 0, 2, 1 + which].into();
    let other = keeps.then(|| own(1 - address));
    Policy {
        external_v4: Some([192, 0, 2, 1 + address].into()),
        external_v6: None,
        sources: Vec::new(),
        host_addrs: std::iter::once(own(address)).chain(other).collect(),
        ports: PORTS,
        published: vec![Published {
            transport: Transport::Tcp,
            address: None,
            ports: SERVER_PORT..=SERVER_PORT,
            zone: Zone(0),
            to_v4: Some([10, 99, 0, 2].into()),
            to_v6: None,
            to_port: SERVER_PORT,
            owner: OwnerId(0),
            allow_from: Vec::new(),
        }],
        quota: 200,
    }
}

struct Lab {
    nat: Nat,
    policy: Arc<CompiledPolicy>,
    address: u8,
    now: Time,
}

impl Lab {
    fn new(seed: u64) -> Self {
        let nat = Nat::new(NatConfig { capacity: 1_024, seed });
        let policy = CompiledPolicy::compile(policy(0, true), None);
        let mut lab = Self { nat, policy, address: 0, now: Time(1 << 50) };
        lab.nat.revalidate(&lab.policy);
        lab
    }

    /// One of two addresses with two ports each, or the published port.
    fn remote(&self, which: u8) -> Endpoint {
        match which {
            4 => Endpoint::new([192, 0, 2, 1 + self.address].into(), SERVER_PORT),
            _ => Endpoint::new([198, 51, 100, 1 + which / 2].into(), 53 + u16::from(which % 2)),
        }
    }

    fn send(&mut self, from: Realm, tuple: Tuple, flags: Flags, is_request: bool) -> Option<Realm> {
        let len = u32::from(flags.0 & 3 != 0);
        let segment = Segment { flags, seq: 1, ack: 1, window: 64_000, len, window_scale: None };
        let segment = (tuple.transport == Transport::Tcp).then_some(segment);
        let kind = Kind::Flow { tuple, segment, is_request };
        let (src, dst) = (tuple.src.address, tuple.dst.address);
        let view = View { src, dst, kind, fragment: None, len: 100 };
        match self.nat.translate(self.now, from, &view) {
            Ok(Translation::Edit { to, .. }) => Some(to),
            _ => None,
        }
    }

    fn step(&mut self, step: &Step) {
        let rows: Vec<Row> = self.nat.rows().collect();
        match *step {
            Step::Open { transport, owner, port, remote } => {
                let src = Endpoint::new([10, 99, 0, 2 + owner].into(), port);
                let mut dst = self.remote(remote);
                if transport == Transport::Echo {
                    dst.port = port;
                }
                let from = Realm::Internal(OwnerId(owner.into()), Zone(0));
                self.send(from, Tuple { transport, src, dst }, Flags::SYN, true);
            }
            Step::Go { which, is_reply, flags } if !rows.is_empty() => {
                self.go(&rows[which.index(rows.len())], is_reply, flags);
            }
            Step::Stray { remote, port, flags } => {
                let src = self.remote(remote % 4);
                let dst = Endpoint::new([192, 0, 2, 1 + self.address].into(), port);
                let tuple = Tuple { transport: Transport::Tcp, src, dst };
                self.send(Realm::External, tuple, flags, false);
            }
            Step::Wait(seconds) => {
                self.now = self.now.after(Duration::from_secs(seconds));
                self.nat.tick(self.now, usize::MAX);
            }
            Step::Remove(owner) => self.nat.remove_owner(OwnerId(owner.into())),
            Step::Flush(which) if !rows.is_empty() => {
                let row = rows[which.index(rows.len())];
                self.nat.flush(|it| it.original.dst == row.original.dst);
            }
            Step::Readdress { address, keeps } => {
                self.address = address;
                self.policy = CompiledPolicy::compile(policy(address, keeps), Some(&self.policy));
                self.nat.revalidate(&self.policy);
            }
            Step::Transfer => self.transfer(),
            Step::Go { .. } | Step::Flush(_) => {}
        }
        self.check();
    }

    /// A packet of a connection comes to its other peer, if it passes.
    fn go(&mut self, row: &Row, is_reply: bool, flags: Flags) {
        let client = Realm::Internal(row.owner, Zone(0));
        let server =
            row.server.map_or(Realm::External, |(owner, zone)| Realm::Internal(owner, zone));
        let (is_inbound, tuple) =
            (row.original.src.address.to_string().starts_with("198."), [row.original, row.reply]);
        let ends = if is_inbound { [Realm::External, client] } else { [client, server] };
        let (own, other) = (usize::from(is_reply), usize::from(!is_reply));
        let to = self.send(ends[own], tuple[own], flags, !is_reply);
        assert!(to.is_none_or(|to| to == ends[other]), "{row:?} goes to {to:?}");
    }

    fn transfer(&mut self) {
        let bytes = self.nat.export();
        let mut other = Nat::new(NatConfig { capacity: 1_024, seed: 3 });
        other.revalidate(&self.policy);
        let imported = other.import(self.now, &bytes).expect("an export of ours");
        assert_eq!((imported.kept, imported.skipped), (self.nat.rows().count(), 0));
        self.nat = other;
    }

    fn check(&self) {
        let mut tuples = HashSet::new();
        for row in self.nat.rows() {
            assert!(tuples.insert(row.original), "{:?} is of two connections", row.original);
            assert!(tuples.insert(row.reply), "{:?} is of two connections", row.reply);
        }
    }

    /// All answers come to who asked; then all expires, and each port can be had by somebody else.
    fn finish(mut self) {
        let rows: Vec<Row> = self.nat.rows().collect();
        for row in rows {
            self.go(&row, true, Flags::ACK);
        }
        self.policy = CompiledPolicy::compile(policy(0, true), Some(&self.policy));
        self.nat.revalidate(&self.policy);
        self.address = 0;
        for _ in 0..3 {
            self.now = self.now.after(Duration::from_secs(8_000));
            self.nat.tick(self.now, usize::MAX);
        }
        assert_eq!((self.nat.len(), self.nat.mappings(), self.nat.shared()), (0, 0, 0));
        for transport in [Transport::Tcp, Transport::Udp, Transport::Echo, Transport::Sctp] {
            let mut ports = HashSet::new();
            for (owner, port) in (10..).zip(PORTS) {
                let src = Endpoint::new([10, 99, 0, owner].into(), port);
                let dst = Endpoint::new([198, 51, 100, 1].into(), port);
                let dst =
                    Endpoint { port: if transport == Transport::Echo { port } else { 7 }, ..dst };
                let from = Realm::Internal(OwnerId(owner.into()), Zone(0));
                assert!(self.send(from, Tuple { transport, src, dst }, Flags::SYN, true).is_some());
            }
            let of_it = self.nat.rows().filter(|row| row.transport == transport);
            of_it.for_each(|row| assert!(ports.insert(row.reply.dst), "{row:?}"));
            assert_eq!(ports.len(), PORTS.len(), "{transport:?}");
        }
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn no_two_connections_have_the_same_tuple(seed in any::<u64>(), steps in vec(step(), 1..200)) {
        let mut lab = Lab::new(seed);
        for step in &steps {
            lab.step(step);
        }
        lab.finish();
    }
}
