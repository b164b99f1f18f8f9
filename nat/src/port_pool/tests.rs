use super::*;

const START: CoarseTime = CoarseTime(1_000);

fn take_all(ports: &mut PortPool, like: u16, now: CoarseTime) -> Vec<u16> {
    let (mut state, mut blocks) = (7, whole(ports));
    std::iter::from_fn(|| ports.allocate(&mut blocks, like, now, &mut state, |_| true)).collect()
}

fn whole(ports: &PortPool) -> PortBlocks {
    PortBlocks::whole(ports.range.clone())
}

fn available(ports: &PortPool) -> u32 {
    ports.available(&whole(ports))
}

#[test]
fn every_port_is_had_once_those_of_the_parity_first() {
    for range in [20_000..=20_000, 20_001..=20_064, 65_407..=65_535, 1_024..=1_151] {
        let mut ports = PortPool::new(range.clone());
        let like = 1;
        let mut taken = take_all(&mut ports, like, START);
        let alike = range.clone().filter(|port| port % 2 == like).count();
        assert!(taken[..alike].iter().all(|port| port % 2 == like), "{range:?}");
        taken.sort_unstable();
        assert_eq!(taken, range.collect::<Vec<_>>());
        assert_eq!(available(&ports), 0);
    }
}

#[test]
fn those_at_rest_come_back_oldest_first_or_when_their_time_is_over() {
    let mut ports = PortPool::new(20_000..=20_003);
    take_all(&mut ports, 0, START);
    for (port, later) in [(20_002, 0), (20_001, 1), (20_003, 2)] {
        ports.release(port, true, START.later(later));
    }
    assert_eq!(available(&ports), 3);
    let (mut state, mut blocks) = (7, whole(&ports));
    let refuses_first =
        ports.allocate(&mut blocks, 0, START.later(3), &mut state, |port| port != 20_002);
    assert_eq!(refuses_first, Some(20_001), "the next oldest");
    // One has rested to the very end and not beyond; that of the next is over.
    assert_eq!(ports.free_count, 0);
    ports.release_due(START.later(REUSE_DELAY + 2), RELEASE_MAX);
    assert_eq!((ports.free_count, ports.delayed.len()), (0, 2), "behind one that does not go yet");
    ports.release_due(START.later(REUSE_DELAY + 3), RELEASE_MAX);
    assert_eq!((ports.free_count, ports.delayed.len()), (2, 0));
}

#[test]
fn a_port_knows_its_mapping_until_it_is_given_back() {
    let mut ports = PortPool::new(65_534..=65_535);
    take_all(&mut ports, 0, START);
    ports.set_mapping(65_535, 0);
    assert_eq!((ports.mapping(65_535), ports.mapping(65_534)), (Some(0), None));
    assert_eq!((ports.mapping(0), ports.mapping(65_533)), (None, None), "before the range");
    ports.release(65_535, false, START);
    assert_eq!((ports.mapping(65_535), available(&ports)), (None, 1));
    assert_eq!(take_all(&mut ports, 0, START), [65_535]);
}

#[test]
fn ports_come_from_claimed_blocks_only_and_spread_over_all_of_them() {
    let mut ports = PortPool::new(20_000..=29_999);
    let mut blocks = PortBlocks::none(20_000..=29_999);
    let mut state = 7;
    assert_eq!(ports.allocate(&mut blocks, 0, START, &mut state, |_| true), None);
    let first_ports: Vec<u16> = (0..16).map(|n| 20_000 + 64 * (9 * n + 3)).collect();
    blocks.claim(&first_ports, 100);
    assert_eq!(ports.available(&blocks), 6_400, "of what is to be had");
    let mut hits = [0_u32; 16];
    for _ in 0..16_000 {
        let port = ports.allocate(&mut blocks, 0, START, &mut state, |_| true).unwrap();
        let block = first_ports.iter().position(|first| (*first..first + 64).contains(&port));
        hits[block.expect("of a claimed block")] += 1;
        ports.release(port, false, START);
    }
    assert!(hits.iter().all(|hits| (850..1150).contains(hits)), "{hits:?}");
    let taken: Vec<u16> =
        std::iter::from_fn(|| ports.allocate(&mut blocks, 0, START, &mut state, |_| true))
            .collect();
    assert_eq!((taken.len(), ports.available(&blocks)), (1_024, 6_400 - 1_024));
}

#[test]
fn a_port_stays_until_its_mapping_and_all_who_share_it_have_ended() {
    for ends_with_mapping in [false, true] {
        let mut ports = PortPool::new(20_000..=20_003);
        take_all(&mut ports, 0, START);
        ports.set_mapping(20_001, 5);
        ports.share(20_001);
        ports.share(20_001);
        ports.unshare(20_001, true, START);
        assert!(ports.is_shared(20_001) && !ports.is_shared(20_002));
        if ends_with_mapping {
            ports.unshare(20_001, false, START);
            assert_eq!(available(&ports), 0, "the mapping has it");
            ports.release(20_001, false, START);
        } else {
            ports.release(20_001, false, START);
            assert_eq!(available(&ports), 0, "another connection has it");
            ports.unshare(20_001, false, START);
        }
        assert_eq!((available(&ports), ports.delayed.len()), (1, 1), "a peer may remember one");
        ports.release_all_due(START.later(REUSE_DELAY + 1));
        assert_eq!((ports.free_count, ports.is_shared(20_001)), (1, false));
        // The next mapping inherits nothing.
        assert_eq!(take_all(&mut ports, 0, START), [20_001]);
        ports.release(20_001, false, START);
        assert_eq!(ports.delayed.len(), 0);
    }
}

#[test]
fn each_port_in_use_is_offered_once_in_many_orders() {
    let range = 20_000..=20_299;
    let mut ports = PortPool::new(range.clone());
    let blocks = whole(&ports);
    for port in range.clone().filter(|port| port.is_multiple_of(3)) {
        ports.claim(port);
        ports.set_mapping(port, 1);
    }
    ports.claim(20_001);
    ports.share(20_001);
    // At rest.
    ports.claim(20_003);
    ports.release(20_003, true, START);
    let mut orders = std::collections::HashSet::new();
    let mut state = 7;
    for _ in 0..100 {
        let mut offered: Vec<u16> = ports.shareable(blocks.active(), random(&mut state)).collect();
        orders.insert(offered.clone());
        offered.sort_unstable();
        let used = |port: &u16| port.is_multiple_of(3) && *port != 20_003 || *port == 20_001;
        assert_eq!(offered, range.clone().filter(used).collect::<Vec<_>>());
    }
    assert!(orders.len() > 95, "{} orders", orders.len());
    assert_eq!(ports.shareable(&[], 9).count(), 0);
    assert!(ports.shareable(&blocks.active()[..1], 9).all(|port| port < 20_064));
}
