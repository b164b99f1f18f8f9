//! The table without programs.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU64;
use std::thread;

use super::*;
use crate::NetnsCookie;

fn tuple(netns: u64, local: &str, remote: &str) -> Tuple {
    let at = |text: &str| text.parse::<SocketAddr>().expect("an address and a port");
    let netns = NetnsCookie(NonZeroU64::new(netns).expect("not 0"));
    Tuple { netns, local: at(local), remote: at(remote) }
}

fn handshake(port: u16) -> Handshake {
    let client = tuple(1, "10.99.0.2:1", "10.99.0.3:80");
    let client = Tuple { local: SocketAddr::new(client.local.ip(), port), ..client };
    let server =
        Tuple { netns: NetnsCookie(NonZeroU64::MAX), local: client.remote, remote: client.local };
    Handshake { client, server, client_next: 1000 + u32::from(port), server_next: 7 }
}

#[test]
fn both_ends_have_one_id_and_their_sides() {
    let allowed = Allowed::detached(42);
    for port in 1..1000 {
        let it = handshake(port);
        allowed.allow(&it);
        let client = allowed.find(&it.client, [it.client_next, it.server_next]).expect("there");
        let server = allowed.find(&it.server, [it.server_next, it.client_next]).expect("there");
        assert_eq!(client.0, server.0);
        assert_eq!((client.1, server.1), (false, true));
    }
}

#[test]
fn another_namespace_address_port_or_number_is_not_found() {
    let allowed = Allowed::detached(42);
    let it = handshake(5);
    allowed.allow(&it);
    let next = [it.client_next, it.server_next];
    let at = |ip: &str, port| SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), port);
    let others = [
        Tuple { netns: NetnsCookie(NonZeroU64::new(2).expect("not 0")), ..it.client },
        Tuple { local: at("10.99.0.4", 5), ..it.client },
        Tuple { local: at("10.99.0.2", 6), ..it.client },
        Tuple { remote: at("10.99.0.3", 81), ..it.client },
        Tuple { remote: at("::ffff:10.99.0.4", 80), ..it.client },
    ];
    assert!(others.iter().all(|other| allowed.find(other, next).is_none()));
    assert!(allowed.find(&it.client, [next[0] + 1, next[1]]).is_none());
    assert!(allowed.find(&it.client, [next[0], next[1] + 1]).is_none());
    // A listener of both families sees an IPv4 client as a mapped address.
    let mapped = Tuple { remote: at("::ffff:10.99.0.3", 80), ..it.client };
    assert!(allowed.find(&mapped, next).is_some());
}

#[test]
fn the_oldest_of_a_bucket_makes_room() {
    let allowed = Allowed::detached(42);
    let found = |it: &Handshake| allowed.find(&it.client, [it.client_next, it.server_next]);
    (1..=u16::MAX).map(handshake).for_each(|it| allowed.allow(&it));
    let kept = (1..=u16::MAX).filter(|&port| found(&handshake(port)).is_some()).count();
    // Both ends of 65,535 in 16,384 entries.
    assert!((7000..=8192).contains(&kept), "{kept}");
    let last =
        (u16::MAX - 100..=u16::MAX).filter(|&port| found(&handshake(port)).is_some()).count();
    assert_eq!(last, 101, "the newest stay");
}

#[test]
fn workers_write_at_once() {
    let allowed = Allowed::detached(42);
    thread::scope(|scope| {
        for worker in 0..4 {
            let allowed = &allowed;
            scope.spawn(move || {
                for round in 0..2000 {
                    allowed.allow(&handshake(worker * 10_000 + round % 50));
                }
            });
        }
    });
    for it in (0..4).flat_map(|worker| (0..50).map(move |i| handshake(worker * 10_000 + i))) {
        let client = allowed.find(&it.client, [it.client_next, it.server_next]);
        let server = allowed.find(&it.server, [it.server_next, it.client_next]);
        assert!(client.is_some() && server.is_some(), "{it:?}");
    }
}
