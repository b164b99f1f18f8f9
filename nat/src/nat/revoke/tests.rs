use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::compiled_policy::CompiledPolicy;
use crate::drop_reason::NatDrop;
use crate::edit::{Realm, Translation};
use crate::limits::TICK_OPERATIONS;
use crate::nat::NatConfig;
use crate::policy::{Policy, Published};
use crate::time::Time;
use crate::tuple::{Endpoint, Transport, Tuple};
use crate::view::{Kind, View};
use crate::zone::Zone;

/// Connections of the large tests: the debug build is ten times as slow.
const MANY: u32 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };
/// Of one owner, so many are in one another's way in no test.
const ENDPOINTS: u32 = 1_000;
const NOW: Time = Time(1 << 40);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVER: u32 = 7;

fn address(owner: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a63_0000 + owner).into()
}

fn remote(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x2d00_0001 + n).into()
}

fn datagram(src: (IpAddr, u16), dst: (IpAddr, u16)) -> View {
    let (src, dst) = (Endpoint::new(src.0, src.1), Endpoint::new(dst.0, dst.1));
    let tuple = Tuple { transport: Transport::Udp, src, dst };
    let kind = Kind::Flow { tuple, segment: None, is_request: false };
    View { src: src.address, dst: dst.address, kind, fragment: None, len: 100 }
}

fn published(port: u16) -> Published {
    Published {
        transport: Transport::Udp,
        address: None,
        ports: port..=port,
        zone: Zone(0),
        to_v4: Some(Ipv4Addr::from_bits(0x0a63_0000 + SERVER)),
        to_v6: None,
        to_port: port,
        owner: OwnerId(SERVER),
        allow_from: Vec::new(),
    }
}

fn policy() -> Policy {
    Policy {
        external_v4: Some(HOST),
        external_v6: None,
        sources: Vec::new(),
        host_addrs: vec![HOST.into()],
        ports: 20_000..=29_999,
        published: vec![published(53), published(54)],
        quota: u32::MAX,
    }
}

struct Lab {
    nat: Nat,
    policy: Policy,
    compiled: Arc<CompiledPolicy>,
}

impl Lab {
    fn new() -> Self {
        let capacity = MANY as usize * 2;
        let nat = Nat::new(NatConfig { capacity, seed: 5 });
        let compiled = CompiledPolicy::compile(policy(), None);
        let mut lab = Self { nat, policy: policy(), compiled };
        lab.nat.revalidate(&lab.compiled);
        lab
    }

    fn send(&mut self, from: Realm, view: &View) -> Result<Translation, NatDrop> {
        self.nat.translate(NOW, from, view)
    }

    /// From an owner to a remote; the port that it appears from.
    fn out(&mut self, owner: u32, port: u16, to: u32) -> u16 {
        let view = datagram((address(owner), port), (remote(to), 9));
        match self.send(Realm::Internal(OwnerId(owner), Zone(0)), &view) {
            Ok(Translation::Edit { edit, .. }) => edit.src.port,
            other => panic!("{other:?}"),
        }
    }

    /// An answer of that remote; who gets it.
    fn back(&mut self, to: u32, port: u16) -> Result<Translation, NatDrop> {
        self.send(Realm::External, &datagram((remote(to), 9), (HOST.into(), port)))
    }

    /// From a remote to a published port.
    fn ask(&mut self, n: u32, port: u16) -> Result<Translation, NatDrop> {
        self.send(
            Realm::External,
            &datagram((remote(n / 50_000), 1000 + (n % 50_000) as u16), (HOST.into(), port)),
        )
    }

    /// So many of an owner to the outside.
    fn fill(&mut self, owner: u32, count: u32) {
        for n in 0..count {
            self.out(owner, 1000 + (n % ENDPOINTS) as u16, n / ENDPOINTS);
        }
    }

    /// Calls, and says how many slots were looked at, and how many connections ended.
    fn operations(&mut self, call: impl FnOnce(&mut Nat)) -> (usize, usize) {
        let (scanned, len) = (self.nat.revoked.scanned, self.nat.len());
        call(&mut self.nat);
        ((self.nat.revoked.scanned - scanned) as usize, len - self.nat.len())
    }

    /// Calls what revokes: it does little at once.
    fn revoke(&mut self, call: impl FnOnce(&mut Nat)) {
        let (scanned, ended) = self.operations(call);
        assert!(scanned <= REVOKE_OPERATIONS, "{scanned}");
        assert!(ended <= REVOKE_OPERATIONS, "{ended}");
    }

    /// Adopts the policy as it is now.
    fn adopt(&mut self) {
        let compiled = CompiledPolicy::compile(self.policy.clone(), Some(&self.compiled));
        self.revoke(|nat| nat.revalidate(&compiled));
        self.compiled = compiled;
    }

    /// Ticks until nothing is left to do, each within its bound.
    fn settle(&mut self) {
        let mut ticks = 0;
        while self.nat.has_work() {
            let (scanned, ended) = self.operations(|nat| nat.tick(NOW, TICK_OPERATIONS));
            assert!(scanned <= TICK_OPERATIONS, "{scanned}");
            assert!(ended <= TICK_OPERATIONS, "{ended}");
            ticks += 1;
            assert!(ticks < MANY, "it makes no headway");
        }
    }
}

#[test]
fn an_owner_with_many_connections_goes_at_once_and_its_memory_by_degrees() {
    let mut lab = Lab::new();
    lab.fill(1, MANY);
    lab.fill(2, 100);
    let external = lab.out(1, 1000, 0);
    let neighbour = lab.out(2, 1000, 0);
    lab.revoke(|nat| nat.remove_owner(OwnerId(1)));
    assert!(lab.nat.has_work());
    assert_eq!(lab.nat.rows().count(), 100, "nobody sees it any more");
    assert_eq!(lab.back(0, external), Ok(Translation::NotOurs));
    assert!(matches!(lab.back(0, neighbour), Ok(Translation::Edit { .. })));
    // Its slot is used again: the next container with this address is another one.
    let again = lab.out(1, 1000, 0);
    assert_ne!(again, external, "whoever knew the former does not reach this one");
    assert!(matches!(lab.back(0, again), Ok(Translation::Edit { .. })));
    lab.settle();
    assert_eq!((lab.nat.len(), lab.nat.mappings()), (101, 101));
    assert_eq!(lab.nat.counters().connections_ended, u64::from(MANY));
    assert!(matches!(lab.back(0, again), Ok(Translation::Edit { .. })));
}

#[test]
fn connections_of_others_to_an_owner_go_with_it() {
    let mut lab = Lab::new();
    lab.fill(1, MANY / 2);
    let hairpin = datagram((address(1), 5000), (HOST.into(), 53));
    assert!(lab.send(Realm::Internal(OwnerId(1), Zone(0)), &hairpin).is_ok());
    let row = *lab.nat.rows().collect::<Vec<_>>().last().unwrap();
    lab.revoke(|nat| nat.remove_owner(OwnerId(SERVER)));
    let answer = datagram((address(SERVER), 53), (HOST.into(), row.reply.dst.port));
    let sent = lab.send(Realm::Internal(OwnerId(SERVER), Zone(0)), &answer);
    assert_ne!(
        sent.ok().and_then(|sent| match sent {
            Translation::Edit { edit, .. } => Some(edit.dst.address),
            Translation::NotOurs => None,
        }),
        Some(address(1)),
        "a dead connection is not followed"
    );
    lab.settle();
    assert_eq!(lab.nat.owners.get(OwnerId(SERVER)).unwrap().hairpins, 0);
}

#[test]
fn what_is_no_longer_published_is_over_at_once() {
    let mut lab = Lab::new();
    for n in 0..MANY {
        assert!(lab.ask(n, if n % 2 == 0 { 53 } else { 54 }).is_ok());
    }
    lab.policy.published = vec![published(54)];
    lab.adopt();
    assert_eq!(lab.nat.rows().count() as u32, MANY / 2);
    assert_eq!(lab.ask(MANY - 2, 53), Ok(Translation::NotOurs));
    assert!(matches!(lab.ask(MANY - 1, 54), Ok(Translation::Edit { .. })));
    lab.settle();
    assert_eq!(lab.nat.len() as u32, MANY / 2);
}

/// What is published again before the former connections are out of the table is something else.
#[test]
fn what_is_published_again_has_none_of_the_former_connections() {
    let mut lab = Lab::new();
    for n in 0..MANY {
        assert!(lab.ask(n, 53).is_ok());
    }
    lab.policy.published = vec![published(54)];
    lab.adopt();
    lab.policy.published = vec![published(53)];
    lab.adopt();
    assert_eq!(lab.nat.rows().count(), 0);
    let before = lab.nat.counters().connections_created;
    assert!(matches!(lab.ask(MANY - 1, 53), Ok(Translation::Edit { .. })));
    assert_eq!(lab.nat.counters().connections_created, before + 1, "it begins anew");
    lab.settle();
    assert_eq!(lab.nat.len(), 1);
}

#[test]
fn an_address_that_goes_and_comes_again_has_none_of_the_former_connections() {
    let mut lab = Lab::new();
    lab.fill(1, MANY);
    let external = lab.out(1, 1000, 0);
    let gone = Policy { external_v4: None, host_addrs: Vec::new(), ..policy() };
    lab.policy = gone;
    lab.adopt();
    assert_eq!(lab.back(0, external), Ok(Translation::NotOurs));
    lab.policy = policy();
    lab.adopt();
    assert_eq!(lab.nat.rows().count(), 0);
    assert_eq!(lab.back(0, external), Ok(Translation::NotOurs));
    assert_ne!(lab.out(1, 1000, 0), external);
    lab.settle();
    assert_eq!((lab.nat.len(), lab.nat.mappings()), (1, 1));
}

#[test]
fn another_range_of_ports_waits_until_the_former_is_back() {
    let mut lab = Lab::new();
    lab.fill(1, MANY);
    lab.policy.ports = 20_000..=20_999;
    lab.adopt();
    assert_eq!(lab.nat.rows().count(), 0);
    let view = datagram((address(1), 1000), (remote(0), 9));
    let refused = lab.send(Realm::Internal(OwnerId(1), Zone(0)), &view);
    assert_eq!(refused, Err(NatDrop::PortsExhausted));
    lab.settle();
    assert!(lab.nat.is_empty());
    assert!((20_000..=20_999).contains(&lab.out(1, 1000, 0)));
}

/// The next container in the slot of one that had its quota does not wait for its memory.
#[test]
fn what_is_revoked_makes_room() {
    let mut lab = Lab::new();
    lab.policy.quota = 5_000;
    lab.adopt();
    for n in 0..5_000 {
        assert!(lab.ask(n, 53).is_ok());
        // Both ways, twice: nobody would let it go.
        let client = (remote(0), 1000 + n as u16);
        let answer = datagram((address(SERVER), 53), client);
        assert!(lab.send(Realm::Internal(OwnerId(SERVER), Zone(0)), &answer).is_ok());
        assert!(lab.ask(n, 53).is_ok());
    }
    assert_eq!(lab.ask(5_001, 53), Err(NatDrop::Quota));
    lab.revoke(|nat| nat.remove_owner(OwnerId(SERVER)));
    for n in 0..5_000 {
        assert!(lab.ask(100_000 + n, 53).is_ok(), "{n}");
    }
    assert_eq!(
        lab.nat.counters().connections_evicted,
        0,
        "they do not take the room from each other"
    );
    assert_eq!(lab.nat.rows().count(), 5_000);
}

#[test]
fn a_flush_goes_on_in_slices_and_counts() {
    let mut lab = Lab::new();
    lab.fill(1, MANY);
    lab.fill(2, 100);
    let mut flushing = lab.nat.start_flush();
    lab.fill(3, 100);
    let (mut slices, mut done) = (0, false);
    while !done {
        let before = lab.nat.len();
        done = lab.nat.flush_some(&mut flushing, 512, |row| row.owner != OwnerId(2));
        assert!(before - lab.nat.len() <= 512);
        slices += 1;
    }
    assert!(slices >= MANY / 512, "{slices}");
    assert_eq!(flushing.ended() as u32, MANY, "not those that began meanwhile");
    assert_eq!(lab.nat.len(), 200);
}

/// Revocations and expiry share the operations of a tick: neither waits for the other.
#[test]
fn what_expires_does_not_wait_for_what_is_revoked() {
    let mut lab = Lab::new();
    lab.fill(1, MANY / 2);
    lab.fill(2, 1_000);
    lab.revoke(|nat| nat.remove_owner(OwnerId(1)));
    let later = NOW.after(Duration::from_secs(200));
    for _ in 0..100 {
        lab.nat.tick(later, TICK_OPERATIONS);
    }
    assert!(lab.nat.has_work());
    assert!(lab.nat.counters().connections_expired > 1_000, "{:?}", lab.nat.counters());
}

/// Those that begin meanwhile make the table longer, and are not in the sweep's way.
#[test]
fn a_sweep_misses_nothing_when_the_table_grows() {
    let mut lab = Lab::new();
    lab.fill(1, 1_900);
    for n in 0..100 {
        lab.ask(n, 53).expect("a connection to 53");
    }
    // One sweep, which ends behind these.
    lab.policy.published.retain(|entry| *entry.ports.start() != 54);
    lab.adopt();
    lab.settle();
    lab.fill(2, 8_000);
    lab.policy.published.clear();
    lab.adopt();
    lab.fill(3, 500);
    lab.settle();
    assert_eq!(lab.nat.len(), 1_900 + 8_000 + 500);
}
