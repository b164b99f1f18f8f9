use std::time::Duration;

use super::*;

const A: PortIndex = PortIndex(1);
const B: PortIndex = PortIndex(2);

/// A port's period: frames and bytes from it, frames to it, drops.
fn tally(rx_frames: u64, rx_bytes: u64, tx_frames: u64, dropped: u64) -> Tally {
    Tally { rx_frames, rx_bytes, tx_frames, dropped }
}

/// What becomes of ports with these periods in a row, one after another.
fn bounds(periods: &[&[(PortIndex, Tally)]]) -> Vec<Option<u32>> {
    let mut rx_throttle = RxThrottle::default();
    rx_throttle.ports.resize(3, Port::default());
    let mut now = Nanos::default().after(Duration::from_secs(1));
    let mut seen = Vec::new();
    for &ports in periods {
        now = now.after(THROTTLE_PERIOD);
        rx_throttle.classes =
            ports.iter().map(|&(port, tally)| (port, tally.classify(false))).collect();
        rx_throttle.throttle(now);
        let port = &rx_throttle.ports[A.get()];
        seen.push((port.until > now).then_some(port.budget));
    }
    seen
}

#[test]
fn who_sends_what_is_dropped_is_held_back() {
    let garbage = tally(400, 400 * 64, 0, 400);
    assert_eq!(bounds(&[&[(A, garbage)]]), [Some(THROTTLE_FRAMES as u32)]);
    // Also with nobody else there: the endpoints want the processor.
    let half = tally(400, 400 * 64, 400, 200);
    assert_eq!(bounds(&[&[(A, half)]]), [None], "no more than half");
    let few = tally(THROTTLE_FRAMES - 1, 64, 0, THROTTLE_FRAMES - 1);
    assert_eq!(bounds(&[&[(A, few)]]), [None], "too few to hurt");
}

#[test]
fn a_rate_is_still_reached() {
    let too_fast = tally(1_000, 1_400_000, 500, 700);
    assert_eq!(bounds(&[&[(A, too_fast)]]), [Some(600)], "twice what got through");
}

#[test]
fn a_flood_is_held_back_only_where_others_talk() {
    let flood = tally(300, 300 * 64, 0, 0);
    let quiet = tally(5, 5 * 64_000, 5, 0);
    assert_eq!(bounds(&[&[(A, flood)]]), [None]);
    assert_eq!(
        bounds(&[&[(A, flood), (B, flood)]]),
        [None],
        "two floods are a load, not an attack"
    );
    assert_eq!(bounds(&[&[(A, flood), (B, quiet)]]), [Some(THROTTLE_FRAMES as u32)]);
}

/// Held back, it cannot flood, and shows that it would.
#[test]
fn a_flood_that_is_held_back_remains_one() {
    let all_that_it_may = tally(THROTTLE_FRAMES, THROTTLE_FRAMES * 64, 0, 0);
    assert_eq!(all_that_it_may.classify(true), TrafficClass::Flood);
    assert_eq!(all_that_it_may.classify(false), TrafficClass::Normal);
}

#[test]
fn traffic_with_answers_and_long_frames_are_no_flood() {
    let quiet = tally(5, 500, 5, 0);
    let answered = tally(300, 300 * 64, 280, 0);
    let long = tally(300, 300 * 1_400, 0, 0);
    for good in [answered, long] {
        assert_eq!(bounds(&[&[(A, good), (B, quiet)]]), [None], "{good:?}");
    }
}

#[test]
fn it_is_let_go_when_it_has_behaved() {
    let garbage = tally(32, 32 * 64, 0, 32);
    let good = tally(10, 640, 10, 0);
    let (garbage, good) = ([(A, garbage)], [(A, good)]);
    let mut periods = vec![&garbage[..]];
    let time = (THROTTLE_TIME.as_nanos() / THROTTLE_PERIOD.as_nanos()) as usize;
    periods.extend(std::iter::repeat_n(&good[..], time));
    let seen = bounds(&periods);
    assert!(seen[..time].iter().all(Option::is_some), "{seen:?}");
    assert_eq!(seen[time], None);
}
