//! The whole table against a model that looks at everything each time (`model`): datagrams of three transports,
//! from inside and outside, time, and all that ends connections early.
//!
//! Time goes by whole slots of the wheel, so that the model knows which connections a tick ends.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use vswitch_nat::{
    CompiledPolicy, Edit, Endpoint, Nat, NatConfig, OwnerId, Policy, Published, Realm, Time,
    Translation, Transport, Zone,
};

mod model;

use model::{CLIENTS, Model, PORTS, Packet, SERVER_PORT, Verdict, external_addr, remote};

const SLOT: Duration = Duration::from_nanos(1 << 30);
/// Longer than any timeout, in slots.
const AGES: u64 = 400;

/// What happens.
#[derive(Clone, Debug)]
enum Step {
    /// A client sends to a remote endpoint.
    Out {
        transport: Transport,
        owner: u8,
        port: u16,
        remote: u8,
        is_request: bool,
    },
    /// A remote endpoint sends to an endpoint of ours: of a connection's, if there is one.
    In {
        transport: Transport,
        remote: u8,
        like: Index,
        is_request: bool,
    },
    /// One sends to any endpoint of ours.
    Stray {
        transport: Transport,
        remote: u8,
        external_addr: u8,
        port: u16,
    },
    /// The peer of a connection answers.
    Answer(Index),
    /// Slots pass; the table hears of it with what comes next.
    Wait(u64),
    Tick,
    Remove(u8),
    Flush(Transport),
    /// Another policy: what we appear from, whether the other address is still ours, whether there
    /// is a published port.
    Revalidate {
        snat_addr: u8,
        keeps_other: bool,
        publishes: bool,
    },
}

fn transport() -> impl Strategy<Value = Transport> {
    prop_oneof![Just(Transport::Udp), Just(Transport::Echo), Just(Transport::Sctp)]
}

fn step() -> impl Strategy<Value = Step> {
    let out = (transport(), 0..CLIENTS, 1..=3_u16, 0..4_u8, prop::bool::weighted(0.9)).prop_map(
        |(transport, owner, port, remote, is_request)| Step::Out {
            transport,
            owner,
            port,
            remote,
            is_request,
        },
    );
    let into = (transport(), 0..4_u8, any::<Index>(), any::<bool>()).prop_map(
        |(transport, remote, like, is_request)| Step::In { transport, remote, like, is_request },
    );
    let port = prop_oneof![PORTS, Just(SERVER_PORT)];
    let stray = (transport(), 0..4_u8, 0..2_u8, port).prop_map(
        |(transport, remote, external_addr, port)| Step::Stray {
            transport,
            remote,
            external_addr,
            port,
        },
    );
    let follow = (0..2_u8, prop::bool::weighted(0.7), any::<bool>()).prop_map(
        |(snat_addr, keeps_other, publishes)| Step::Revalidate {
            snat_addr,
            keeps_other,
            publishes,
        },
    );
    prop_oneof![
        12 => out,
        6 => into,
        4 => stray,
        8 => any::<Index>().prop_map(Step::Answer),
        4 => prop_oneof![0..3_u64, 50..70_u64, 105..120_u64, 200..300_u64].prop_map(Step::Wait),
        3 => Just(Step::Tick),
        1 => (0..CLIENTS).prop_map(Step::Remove),
        1 => transport().prop_map(Step::Flush),
        3 => follow,
    ]
}

/// The table, and the model of it.
struct Lab {
    nat: Nat,
    policy: Arc<CompiledPolicy>,
    now: Time,
    model: Model,
}

impl Lab {
    fn new(seed: u64) -> Self {
        let nat = Nat::new(NatConfig { capacity: 1_024, seed });
        let policy = CompiledPolicy::compile(policy(0, true, true), None);
        let mut lab = Self { nat, policy, now: Time(0), model: Model::new() };
        lab.nat.revalidate(&lab.policy);
        lab.revalidate(0, true, true);
        lab
    }

    fn revalidate(&mut self, snat_addr: u8, keeps_other: bool, publishes: bool) {
        let policy = policy(snat_addr, keeps_other, publishes);
        self.policy = CompiledPolicy::compile(policy, Some(&self.policy));
        self.nat.revalidate(&self.policy);
        self.model.revalidate(snat_addr, keeps_other, publishes);
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Out { transport, owner, port, remote: to, is_request } => {
                self.send(Packet::out(
                    transport,
                    owner,
                    port,
                    remote(transport, to, port),
                    is_request,
                ));
            }
            Step::In { transport, remote: from, like, is_request } => {
                let external_endpoints = self.model.external_endpoints(transport);
                if !external_endpoints.is_empty() {
                    let to = external_endpoints[like.index(external_endpoints.len())];
                    self.send(Packet::into(transport, from, to, is_request));
                }
            }
            Step::Stray { transport, remote: from, external_addr: to, port } => {
                let to = Endpoint::new(external_addr(to), port);
                self.send(Packet::into(transport, from, to, false));
            }
            Step::Answer(which) => {
                let answers = self.model.answers();
                if !answers.is_empty() {
                    self.send(answers[which.index(answers.len())]);
                }
            }
            Step::Wait(slots) => {
                self.now = self.now.after(SLOT * slots as u32);
            }
            Step::Tick => self.tick(),
            Step::Remove(owner) => {
                self.nat.remove_owner(OwnerId(owner.into()));
                self.model.end(|flow| flow.owner == owner);
            }
            Step::Flush(transport) => {
                let ended = self.nat.flush(|row| row.transport == transport);
                let expected = self.model.flush(transport);
                assert_eq!(ended, expected, "connections ended");
            }
            Step::Revalidate { snat_addr, keeps_other, publishes } => {
                self.revalidate(snat_addr, keeps_other, publishes);
            }
        }
        assert_eq!(self.nat.len(), self.model.len(), "connections after {step:?}");
        assert_eq!(self.nat.mappings(), self.model.mappings(), "mappings after {step:?}");
        self.compare_rows();
    }

    fn tick(&mut self) {
        self.nat.tick(self.now, usize::MAX);
        self.model.hear(self.now);
        self.model.tick();
    }

    /// Sends a packet, and holds what comes of it against the model.
    fn send(&mut self, packet: Packet) {
        let seen = self.nat.translate(self.now, packet.from(), &packet.view());
        let verdict = match seen {
            Ok(Translation::Edit { edit, to }) => Verdict::Passes { ends: ends(&edit), to },
            Ok(Translation::NotOurs) => Verdict::NotOurs,
            Err(reason) => Verdict::Refused(reason),
        };
        self.model.hear(self.now);
        self.model.check(&packet, verdict);
    }

    /// The connections that are not over are the model's, and of no two a packet has the same ends.
    fn compare_rows(&self) {
        let mut tuples = HashSet::new();
        for row in self.nat.rows() {
            assert!(tuples.insert(row.original), "{:?} is of two connections", row.original);
            assert!(tuples.insert(row.reply), "{:?} is of two connections", row.reply);
        }
        assert_eq!(tuples, self.model.tuples());
    }

    /// All expires; then nothing is held, and every port can be had in its parity, by somebody else each.
    fn finish(mut self) {
        self.revalidate(0, true, false);
        self.step(&Step::Wait(AGES));
        self.step(&Step::Tick);
        assert_eq!((self.nat.len(), self.nat.mappings()), (0, 0), "held in the end");
        for client in 0..CLIENTS {
            self.take_quota_share(client);
        }
        for transport in [Transport::Udp, Transport::Echo, Transport::Sctp] {
            let mut ports = HashSet::new();
            for (owner, port) in (10..).zip(PORTS) {
                let packet = Packet::out(transport, owner, port, remote(transport, 0, port), true);
                let seen = self.nat.translate(self.now, packet.from(), &packet.view());
                let Ok(Translation::Edit { edit, to: Realm::External }) = seen else {
                    panic!("{transport:?}, port {port}: {seen:?}");
                };
                assert_eq!(edit.src.port % 2, port % 2, "parity, {transport:?}");
                assert!(ports.insert(edit.src.port), "{} twice, {transport:?}", edit.src.port);
            }
        }
    }

    /// An owner that holds nothing gets as many ports as one may have: four times what is left.
    fn take_quota_share(&mut self, owner: u8) {
        for port in PORTS {
            let to = remote(Transport::Udp, 0, port);
            let packet = Packet::out(Transport::Udp, owner, port, to, true);
            let seen = self.nat.translate(self.now, packet.from(), &packet.view());
            assert!(matches!(seen, Ok(Translation::Edit { .. })), "{packet:?}: {seen:?}");
        }
        assert_eq!((self.nat.len(), self.nat.mappings()), (13, 13), "share of owner {owner}");
        self.nat.remove_owner(OwnerId(owner.into()));
        assert_eq!((self.nat.len(), self.nat.mappings()), (0, 0), "held by owner {owner}");
    }
}

fn ends(edit: &Edit) -> (Endpoint, Endpoint) {
    (edit.src, edit.dst)
}

fn policy(snat_addr: u8, keeps_other: bool, publishes: bool) -> Policy {
    let v4 = |address| match address {
        std::net::IpAddr::V4(v4) => v4,
        std::net::IpAddr::V6(_) => unreachable!("all are IPv4"),
    };
    let server = Published {
        transport: Transport::Udp,
        address: None,
        ports: SERVER_PORT..=SERVER_PORT,
        zone: Zone(0),
        to_v4: Some(v4(model::client(0))),
        to_v6: None,
        to_port: 1,
        owner: OwnerId(0),
        allow_from: Vec::new(),
    };
    let other = keeps_other.then(|| external_addr(1 - snat_addr));
    Policy {
        external_v4: Some(v4(external_addr(snat_addr))),
        external_v6: None,
        sources: Vec::new(),
        host_addrs: std::iter::once(external_addr(snat_addr)).chain(other).collect(),
        ports: PORTS,
        published: if publishes { vec![server] } else { Vec::new() },
        quota: 1_000,
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn the_table_is_as_its_model(seed in any::<u64>(), steps in vec(step(), 1..120)) {
        let mut lab = Lab::new(seed);
        for step in &steps {
            lab.step(step);
        }
        lab.finish();
    }
}
