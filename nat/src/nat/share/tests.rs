use std::net::Ipv4Addr;

use super::*;
use crate::compiled_policy::CompiledPolicy;
use crate::nat::NatConfig;
use crate::policy::Policy;
use crate::zone::{InternalEndpoint, Zone};

const OWNER: OwnerId = OwnerId(1);

fn nat() -> Nat {
    let mut nat = Nat::new(NatConfig { capacity: 1_024, seed: 7 });
    let address = Ipv4Addr::new(192, 0, 2, 1);
    let (ports, quota) = (20_000..=20_019, 1_000);
    let policy = Policy {
        external_v4: Some(address),
        host_addrs: vec![address.into()],
        ports,
        quota,
        ..Policy::default()
    };
    nat.revalidate(&CompiledPolicy::compile(policy, None));
    nat.owners.get_or_add(OWNER);
    nat
}

fn request(nat: &mut Nat, transport: Transport, port: u16) -> PortRequest {
    let external = Ipv4Addr::new(192, 0, 2, 1);
    let addr_idx = nat.externals.number(std::net::IpAddr::V4(external).into()).unwrap();
    let address = std::net::IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)).into();
    let server = InternalEndpoint { zone: Zone::EXTERNAL, address, port };
    nat.port_pool(transport, addr_idx);
    PortRequest { pool: PoolKey { owner: OWNER, transport, addr_idx }, server, preferred: 1 }
}

/// A search draws a random number.
#[test]
fn a_flood_to_a_refused_destination_searches_once() {
    for by_few in [true, false] {
        let mut nat = nat();
        let request = request(&mut nat, Transport::Tcp, 80);
        let destination = nat.destination(&request);
        let table = if by_few { &mut nat.soon_refusals } else { &mut nat.late_refusals };
        table.insert((destination, OWNER), nat.now);
        let before = nat.random;
        for _ in 0..100 {
            assert_eq!(nat.share_soon(&request), None);
        }
        assert_eq!(nat.random, before, "by few: {by_few}");
        // After few tries, many are still worthwhile, once.
        let is_searched = |nat: &mut Nat| {
            let before = nat.random;
            nat.share_late(&request);
            nat.random != before
        };
        assert_eq!(is_searched(&mut nat), by_few);
        assert!(!is_searched(&mut nat));
        nat.now = CoarseTime(nat.now.0 + 1);
        assert!(is_searched(&mut nat), "a moment later");
    }
}

/// The owner has the tuples of all ports but one, which is free.
#[test]
fn an_unfair_search_of_few_tries_is_remembered() {
    let mut nat = nat();
    let request = request(&mut nat, Transport::Tcp, 80);
    let external = nat.externals.address(request.pool.addr_idx).unwrap();
    for port in 20_000..=20_019 {
        let ports = nat.port_pool(Transport::Tcp, request.pool.addr_idx);
        ports.claim(port);
        ports.share(port);
        if port > 20_000 {
            let tuple = nat.secrets.hash(&request.answers(external, port));
            nat.rests.insert(tuple, OWNER, nat.now);
        }
    }
    nat.owners.at(OWNER).sharing = 19;
    let destination = nat.destination(&request);
    let is_refused = |nat: &Nat| nat.soon_refusals.has((destination, OWNER), nat.now);
    for _ in 0..100 {
        assert_eq!(nat.share_soon(&request), None);
    }
    assert!(is_refused(&nat));
}

#[test]
fn the_destination_of_an_echo_has_no_identifier() {
    let mut nat = nat();
    for (transport, is_same) in [(Transport::Echo, true), (Transport::Udp, false)] {
        let [one, other] = [1, 2].map(|port| {
            let request = request(&mut nat, transport, port);
            nat.destination(&request)
        });
        assert_eq!(one == other, is_same, "{transport:?}");
    }
}
