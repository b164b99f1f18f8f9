use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::{ADDRESS_REUSE_DELAY, Pool, PoolError};
use crate::config::{Subnet4, Subnet6};

const START: Duration = Duration::ZERO;

fn small() -> Pool<Ipv4Addr> {
    let subnet: Subnet4 = "192.0.2.8/29".parse().unwrap();
    Pool::v4(subnet, subnet.gateway(), None)
}

fn pool6(subnet: &str) -> Pool<Ipv6Addr> {
    let subnet: Subnet6 = subnet.parse().unwrap();
    Pool::v6(subnet, subnet.gateway(), None)
}

/// A gateway in the middle is nobody's, and only the range is given out unasked.
#[test]
fn a_gateway_and_a_range_can_be_chosen() {
    let subnet: Subnet4 = "192.0.2.0/24".parse().unwrap();
    let range = Some("192.0.2.8/30".parse().unwrap());
    let mut pool = Pool::v4(subnet, v4(9), range);
    let all: Vec<_> = (0..3).map(|_| pool.allocate(START).unwrap()).collect();
    assert_eq!(all, [v4(8), v4(10), v4(11)]);
    assert!(matches!(pool.allocate(START), Err(PoolError::Exhausted { used: 3, .. })));
    assert!(matches!(pool.allocate_exact(v4(9)), Err(PoolError::Reserved { what: "gateway", .. })));
    pool.allocate_exact(v4(1)).unwrap();
    pool.release(v4(10), START);
    assert_eq!(pool.allocate(START + ADDRESS_REUSE_DELAY).unwrap(), v4(10));
}

fn v4(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, last)
}

#[test]
fn hands_out_all_but_network_gateway_and_broadcast() {
    let mut pool = small();
    let all: Vec<_> = (0..5).map(|_| pool.allocate(START).unwrap()).collect();
    assert_eq!(all, (10..15).map(v4).collect::<Vec<_>>());
    let full = pool.allocate(START).unwrap_err();
    assert!(matches!(full, PoolError::Exhausted { used: 5, quarantined: 0, .. }), "{full}");
}

#[test]
fn refuses_what_is_no_containers_address() {
    let mut pool = small();
    for (last, what) in [(8, "network address"), (9, "gateway"), (15, "broadcast address")] {
        let error = pool.allocate_exact(v4(last)).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    assert!(matches!(pool.allocate_exact(v4(16)), Err(PoolError::Outside { .. })));
    assert!(matches!(pool.allocate_exact(v4(7)), Err(PoolError::Outside { .. })));
}

#[test]
fn ipv6_has_no_broadcast_address() {
    let mut pool = pool6("fd00:1::/112");
    pool.allocate_exact("fd00:1::ffff".parse().unwrap()).unwrap();
    assert_eq!(pool.allocate(START).unwrap(), "fd00:1::2".parse::<Ipv6Addr>().unwrap());
    assert!(matches!(
        pool.allocate_exact("fd00:1::".parse().unwrap()),
        Err(PoolError::Reserved { .. })
    ));
    assert!(matches!(
        pool.allocate_exact("fd00:1::1".parse().unwrap()),
        Err(PoolError::Reserved { .. })
    ));
    assert!(matches!(
        pool.allocate_exact("fd00:1::1:0".parse().unwrap()),
        Err(PoolError::Outside { .. })
    ));
}

#[test]
fn the_last_address_of_ipv6_is_followed_by_the_first() {
    let mut pool = pool6("fdee::/64");
    pool.resume_at("fdee::ffff:ffff:ffff:ffff".parse().unwrap());
    pool.allocate(START).unwrap();
    assert_eq!(pool.allocate(START).unwrap(), "fdee::2".parse::<Ipv6Addr>().unwrap());
}

#[test]
fn a_released_address_rests_unless_it_is_asked_for() {
    let mut pool = small();
    for _ in 0..5 {
        pool.allocate(START).unwrap();
    }
    pool.release(v4(12), START);
    let error =
        pool.allocate(ADDRESS_REUSE_DELAY.saturating_sub(Duration::from_nanos(1))).unwrap_err();
    assert!(matches!(error, PoolError::Exhausted { used: 4, quarantined: 1, .. }), "{error}");
    assert_eq!(pool.allocate(ADDRESS_REUSE_DELAY).unwrap(), v4(12));
    pool.release(v4(12), ADDRESS_REUSE_DELAY);
    pool.allocate_exact(v4(12)).unwrap();
    assert_eq!(pool.allocate_exact(v4(12)), Err(PoolError::InUse("192.0.2.12".into())));
}

#[test]
fn what_nobody_used_is_free_at_once() {
    let mut pool = small();
    for _ in 0..5 {
        pool.allocate(START).unwrap();
    }
    pool.release_unused(v4(11));
    assert_eq!(pool.allocate(START).unwrap(), v4(11));
}

#[test]
fn goes_on_where_the_daemon_before_stopped() {
    let mut pool = small();
    pool.resume_at(v4(13));
    assert_eq!(pool.allocate(START).unwrap(), v4(13));
    assert_eq!(pool.next(), v4(14));
    pool.resume_at(v4(99));
    assert_eq!(pool.next(), v4(14));
}

#[derive(Debug, Clone)]
enum Act {
    TakeAny,
    Take(u8),
    Release(u8),
    GiveBack(u8),
    Wait(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => Just(Act::TakeAny),
        2 => (7_u8..17).prop_map(Act::Take),
        2 => (7_u8..17).prop_map(Act::Release),
        1 => (7_u8..17).prop_map(Act::GiveBack),
        1 => (0_u8..60).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 0..200)
}

/// A simple reference pool: used addresses, and quarantined ones with the time of their release.
#[derive(Default)]
struct Plain {
    used: BTreeSet<u8>,
    released: BTreeMap<u8, Duration>,
}

impl Plain {
    fn rests(&self, last: u8, now: Duration) -> bool {
        self.released.get(&last).is_some_and(|since| now - *since < ADDRESS_REUSE_DELAY)
    }

    fn is_free(&self, last: u8, now: Duration) -> bool {
        (10..15).contains(&last) && !self.used.contains(&last) && !self.rests(last, now)
    }
}

proptest! {
    #[test]
    fn agrees_with_the_plain_pool(acts in acts()) {
        let mut pool = small();
        let mut plain = Plain::default();
        let mut now = START;
        for act in acts {
            match act {
                Act::TakeAny => match pool.allocate(now) {
                    Ok(address) => {
                        let last = address.octets()[3];
                        prop_assert!(plain.is_free(last, now), "{address} was not free");
                        plain.used.insert(last);
                    }
                    Err(_) => prop_assert!((10..15).all(|last| !plain.is_free(last, now))),
                },
                Act::Take(last) => {
                    let can = (10..15).contains(&last) && plain.used.insert(last);
                    plain.used.retain(|last| (10..15).contains(last));
                    prop_assert_eq!(pool.allocate_exact(v4(last)).is_ok(), can);
                    if can {
                        plain.released.remove(&last);
                    }
                }
                Act::Release(last) => {
                    pool.release(v4(last), now);
                    if plain.used.remove(&last) {
                        plain.released.insert(last, now);
                    }
                }
                Act::GiveBack(last) => {
                    pool.release_unused(v4(last));
                    plain.used.remove(&last);
                }
                Act::Wait(seconds) => now += Duration::from_secs(seconds.into()),
            }
        }
    }
}
