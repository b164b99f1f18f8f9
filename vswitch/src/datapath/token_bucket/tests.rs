use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;

use super::*;

/// The bucket as the textbook has it, in rational numbers: levels in units times a second's
/// nanoseconds.
struct Model {
    per_s: u128,
    burst: u128,
    level: u128,
    at: u128,
}

impl Model {
    fn new(rate: Rate, now: u64) -> Self {
        let burst = u128::from(rate.burst) * SECOND;
        Self { per_s: rate.per_s.into(), burst, level: burst, at: now.into() }
    }

    fn level_at(&mut self, now: u64) -> u128 {
        self.level = (self.level + (u128::from(now) - self.at) * self.per_s).min(self.burst);
        self.at = now.into();
        self.level
    }
}

fn bits(bits: u64) -> Rate {
    Rate::bits(BitRate::try_from(bits).expect("in range"))
}

fn frames(frames: u64) -> Rate {
    Rate::frames(FrameRate::try_from(frames).expect("in range"))
}

fn rates() -> impl Strategy<Value = Rate> {
    let (min, max) = (BitRate::MIN.get(), BitRate::MAX.get());
    prop_oneof![
        (min..=max).prop_map(bits),
        (min..1_000_000).prop_map(bits),
        (1..=FrameRate::MAX).prop_map(frames),
        (1u64..100).prop_map(frames),
    ]
}

proptest! {
    /// What passes, the model has; what the model has, and one unit more, passes.
    #[test]
    fn agrees_with_the_rational_model(
        rate in rates(),
        // From the moment of boot to two years of uptime.
        start in 0u64..60_000_000_000_000_000,
        steps in prop::collection::vec((0u64..2_000_000_000, 0.0f64..1.2, any::<bool>()), 1..300),
    ) {
        let bucket = TokenBucket::new(rate);
        let mut model = Model::new(rate, start);
        let mut now = start;
        for (pause, part, hurry) in steps {
            now += if hurry { pause % 1000 } else { pause };
            let cost = ((rate.burst as f64) * part) as u64;
            let level = model.level_at(now);
            let passed = bucket.pass(Nanos(now), cost);
            if passed {
                prop_assert!(u128::from(cost) * SECOND <= level, "too much passed");
                model.level -= u128::from(cost) * SECOND;
            } else {
                prop_assert!(u128::from(cost + 1) * SECOND > level, "starved");
            }
        }
    }

    /// A clock that is behind, as another worker's may be, gives nothing that was not there.
    #[test]
    fn clocks_that_differ_give_no_more(
        rate in rates(),
        steps in prop::collection::vec((0u64..1_000_000, 0u64..5_000_000), 1..300),
    ) {
        let bucket = TokenBucket::new(rate);
        let start = 1_000_000_000_000u64;
        let (mut latest, mut taken) = (start, 0u128);
        for (forward, behind) in steps {
            latest += forward;
            taken += u128::from(bucket.take(Nanos(latest - behind.min(latest - start)), |a| a));
            let bound = u128::from(rate.burst) * SECOND
                + u128::from(rate.per_s) * u128::from(latest - start);
            prop_assert!(taken * SECOND <= bound);
        }
    }
}

#[test]
fn the_longest_frame_passes_through_every_bucket() {
    for rate in [BitRate::MIN.get(), 1_000_000, BitRate::MAX.get()] {
        let bucket = TokenBucket::new(bits(rate));
        assert!(bucket.pass(Nanos(1_234_567), fastpath::limits::FRAME_MAX as u64 * 2), "{rate}");
    }
    assert!(TokenBucket::new(frames(1)).pass(Nanos(1), 1));
}

#[test]
fn ten_years_of_the_highest_rate_can_be_counted() {
    let bucket = TokenBucket::new(bits(BitRate::MAX.get()));
    let now = Duration::from_secs(10 * 365 * 86_400).as_nanos() as u64;
    assert!(bucket.pass(Nanos(now), 1_000_000));
    let burst = bucket.rate().burst();
    assert!(bucket.take(Nanos(now + 1_000_000_000), |_| 0) >= burst - 1);
}

#[test]
fn workers_share_what_is_in_it() {
    let rate = frames(100_000);
    let (bucket, passed) = (TokenBucket::new(rate), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    if bucket.pass(Nanos(5_000_000_000), 1) {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 100_000, "the clock stands: the burst passes, and no more");
}
