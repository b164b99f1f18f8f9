use super::*;

const START: Moment = Moment(1_000);

fn take_all(ports: &mut Ports, like: u16, now: Moment) -> Vec<u16> {
    let mut state = 7;
    std::iter::from_fn(|| ports.take(like, now, &mut state, |_| true)).collect()
}

#[test]
fn every_port_is_had_once_those_of_the_parity_first() {
    for range in [20_000..=20_000, 20_001..=20_064, 65_407..=65_535, 1_024..=1_151] {
        let mut ports = Ports::new(range.clone());
        let like = 1;
        let mut taken = take_all(&mut ports, like, START);
        let alike = range.clone().filter(|port| port % 2 == like).count();
        assert!(taken[..alike].iter().all(|port| port % 2 == like), "{range:?}");
        taken.sort_unstable();
        assert_eq!(taken, range.collect::<Vec<_>>());
        assert_eq!(ports.available(), 0);
    }
}

#[test]
fn those_at_rest_come_back_oldest_first_or_when_their_time_is_over() {
    let mut ports = Ports::new(20_000..=20_003);
    take_all(&mut ports, 0, START);
    for (port, later) in [(20_002, 0), (20_001, 1), (20_003, 2)] {
        ports.give_back(port, true, START.later(later));
    }
    assert_eq!(ports.available(), 3);
    let mut state = 7;
    let refuses_first = ports.take(0, START.later(3), &mut state, |port| port != 20_002);
    assert_eq!(refuses_first, Some(20_001), "the next oldest");
    // One has rested to the very end and not beyond; that of the next is over.
    assert_eq!(ports.free_count, 0);
    ports.wake(START.later(REST + 2));
    assert_eq!((ports.free_count, ports.resting.len()), (0, 2), "behind one that does not go yet");
    ports.wake(START.later(REST + 3));
    assert_eq!((ports.free_count, ports.resting.len()), (2, 0));
}

#[test]
fn a_port_knows_its_mapping_until_it_is_given_back() {
    let mut ports = Ports::new(65_534..=65_535);
    take_all(&mut ports, 0, START);
    ports.set_mapping(65_535, 0);
    assert_eq!((ports.mapping(65_535), ports.mapping(65_534)), (Some(0), None));
    assert_eq!((ports.mapping(0), ports.mapping(65_533)), (None, None), "before the range");
    ports.give_back(65_535, false, START);
    assert_eq!((ports.mapping(65_535), ports.available()), (None, 1));
    assert_eq!(take_all(&mut ports, 0, START), [65_535]);
}
