//! The policy on recorded samples, and against a machine that reacts to it.

use super::*;

/// The decision after these samples of two processors.
fn after(governor: &mut Governor, spare: &[f64]) -> bool {
    let sample = |&spare| Sample { spare, processors: 2 };
    spare.iter().for_each(|spare| {
        governor.observe(sample(spare));
    });
    governor.verdict().spins
}

/// Processors, shared fairly by all who want one: the workers, their endpoints, and neighbours.
struct Simulated {
    processors: f64,
    /// Demand of each, in processors.
    endpoints: Vec<f64>,
    /// Processor time that a worker needs beside spinning.
    work: f64,
    workers: usize,
}

impl Simulated {
    fn pair_on(processors: f64) -> Self {
        Self { processors, endpoints: vec![0.5, 0.5], work: 0.5, workers: 1 }
    }

    /// Processors that others leave, by max-min fairness between threads.
    fn spare(&self, spins: bool, neighbours: &[f64]) -> f64 {
        let worker = if spins { 1.0 } else { self.work };
        let workers = std::iter::repeat_n((worker, true), self.workers);
        let others = self.endpoints.iter().chain(neighbours).map(|&want| (want, false));
        let mut wants: Vec<(f64, bool)> = workers.chain(others).collect();
        wants.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut left, mut used_by_others) = (self.processors, 0.0);
        for (nth, (want, is_worker)) in wants.iter().enumerate() {
            let share = want.min(left / (wants.len() - nth) as f64);
            left -= share;
            used_by_others += if *is_worker { 0.0 } else { share };
        }
        self.processors - used_by_others
    }

    /// Runs for some time; returns the number of changes, and what holds at the end.
    fn run(
        &self,
        governor: &mut Governor,
        seconds: f64,
        neighbours: impl Fn(f64) -> Vec<f64>,
    ) -> (usize, bool) {
        let (mut changes, mut now) = (0, 0.0);
        governor.begin(Duration::ZERO);
        while now < seconds {
            let before = governor.verdict().spins;
            let spare = self.spare(before, &neighbours(now));
            governor.observe(Sample { spare, processors: self.processors as usize });
            changes += usize::from(governor.verdict().spins != before);
            now += SAMPLE_EVERY.as_secs_f64();
        }
        (changes, governor.verdict().spins)
    }
}

#[test]
fn an_idle_host_lets_workers_spin() {
    let mut governor = Governor::new(1);
    assert!(governor.verdict().spins);
    let machine = Simulated { work: 0.3, ..Simulated::pair_on(2.0) };
    assert_eq!(machine.run(&mut governor, 60.0, |_| vec![]), (0, true));
}

#[test]
fn neighbours_on_every_processor_end_it_within_a_second() {
    let mut governor = Governor::new(1);
    let machine = Simulated::pair_on(2.0);
    let (changes, spins) = machine.run(&mut governor, 1.0, |_| vec![1.0, 1.0]);
    assert_eq!((changes, spins), (1, false));
    assert_eq!(machine.run(&mut governor, 600.0, |_| vec![1.0, 1.0]), (0, false), "it stays so");
}

#[test]
fn it_spins_again_when_the_neighbour_is_gone() {
    let mut governor = Governor::new(1);
    let machine = Simulated { work: 0.3, ..Simulated::pair_on(2.0) };
    assert!(!machine.run(&mut governor, 30.0, |_| vec![1.0]).1);
    let hold = f64::from(HOLD_SAMPLES_MIN + 3) * SAMPLE_EVERY.as_secs_f64();
    assert_eq!(machine.run(&mut governor, hold, |_| vec![]), (1, true));
}

#[test]
fn a_neighbour_that_comes_and_goes_is_followed_less_and_less() {
    let mut governor = Governor::new(1);
    let machine = Simulated { work: 0.3, ..Simulated::pair_on(2.0) };
    let neighbour =
        |period: f64| move |now: f64| if now % period < period / 2.0 { vec![1.0] } else { vec![] };
    let (changes, _) = machine.run(&mut governor, 600.0, neighbour(4.0));
    assert!(changes < 30, "{changes} changes in 150 periods");
    assert!(machine.run(&mut governor, 60.0, |_| vec![]).1, "it does not stick");
    let (changes, _) = machine.run(&mut Governor::new(1), 600.0, neighbour(60.0));
    assert_eq!(changes, 20, "two in each of ten periods: worth it");
}

#[test]
fn spinning_does_not_hide_that_it_hurts() {
    // A spinning worker squeezes the others, so that they use less than they would.
    for neighbours in [vec![1.0], vec![1.0, 1.0], vec![1.0; 8]] {
        let machine = Simulated::pair_on(2.0);
        let mut governor = Governor::new(1);
        let wanted = neighbours.clone();
        let (changes, spins) = machine.run(&mut governor, 60.0, |_| wanted.clone());
        assert_eq!((changes, spins), (1, false), "{} neighbours", neighbours.len());
    }
}

#[test]
fn many_processors_have_room_for_both() {
    let mut governor = Governor::new(4);
    let machine = Simulated { workers: 4, ..Simulated::pair_on(16.0) };
    assert_eq!(machine.run(&mut governor, 60.0, |_| vec![1.0; 8]), (0, true));
    assert!(!machine.run(&mut governor, 60.0, |_| vec![1.0; 16]).1);
}

/// Twelve samples of 250 ms on a machine with two processors (docs/performance/experiments/idle-policy.md):
/// smallest, median and largest, so that each comes as often as it did at least.
const IDLE_HOST: [(&str, [f64; 3]); 6] = [
    ("round trip, spins", [1.32, 1.40, 1.44]),
    ("round trip, sleeps", [1.52, 1.56, 1.56]),
    ("HTTP, spins", [0.96, 1.00, 1.08]),
    ("HTTP, sleeps", [0.92, 1.00, 1.16]),
    ("TCP 4 streams, spins", [0.64, 1.16, 1.22]),
    ("TCP 4 streams, sleeps", [0.84, 1.18, 1.22]),
];
/// The same beside a hog.
const ONE_HOG: [(&str, [f64; 3]); 6] = [
    ("round trip, spins", [0.64, 0.80, 0.84]),
    ("round trip, sleeps", [0.48, 0.52, 0.52]),
    ("HTTP, spins", [0.36, 0.48, 0.52]),
    ("HTTP, sleeps", [0.44, 0.44, 0.59]),
    ("TCP 4 streams, spins", [0.47, 0.56, 0.67]),
    ("TCP 4 streams, sleeps", [0.47, 0.61, 0.80]),
];

/// An odd sample among usual ones.
fn series([least, median, most]: [f64; 3]) -> Vec<f64> {
    [&[median; 5][..], &[least], &[median; 5], &[most]].concat()
}

#[test]
fn recorded_samples_of_an_idle_host_let_workers_spin() {
    for (load, recorded) in IDLE_HOST {
        let mut governor = Governor::new(1);
        governor.begin(Duration::ZERO);
        for _ in 0..10 {
            assert!(after(&mut governor, &series(recorded)), "{load}");
        }
    }
}

#[test]
fn recorded_samples_beside_a_hog_do_not() {
    for (load, recorded) in ONE_HOG {
        let mut governor = Governor::new(1);
        governor.begin(Duration::ZERO);
        for _ in 0..10 {
            assert!(!after(&mut governor, &series(recorded)), "{load}");
        }
    }
}

#[test]
fn one_odd_sample_changes_nothing() {
    let mut governor = Governor::new(1);
    governor.begin(Duration::ZERO);
    assert!(after(&mut governor, &[0.4]), "the first one");
    assert!(after(&mut governor, &[1.5, 1.4, 1.5, 0.4, 1.5, 1.5]));
    assert!(!after(&mut governor, &[0.4; 4]));
    assert!(!after(&mut governor, &[0.5, 0.5, 2.0, 0.5, 0.5]));
}

#[test]
fn time_without_traffic_ends_a_hold() {
    let mut governor = Governor::new(1);
    assert!(!after(&mut governor, &[0.4; 4]));
    assert!(!governor.begin(SAMPLE_EVERY * (HOLD_SAMPLES_MIN - 1)).spins);
    assert!(governor.begin(SAMPLE_EVERY * HOLD_SAMPLES_MIN).spins);
}

#[test]
fn bursts_beside_a_hog_begin_asleep_after_a_few() {
    let mut governor = Governor::new(1);
    let begins_asleep = |_| {
        let spins = governor.begin(Duration::from_secs(3)).spins;
        after(&mut governor, &[0.4; 3]);
        !spins
    };
    let bursts: Vec<bool> = (0..20).map(begins_asleep).collect();
    assert!(bursts.iter().filter(|asleep| **asleep).count() >= 14, "{bursts:?}");
}

#[test]
fn a_verdict_says_why() {
    let mut governor = Governor::new(1);
    assert_eq!(governor.begin(Duration::ZERO).to_string(), "no traffic yet");
    let verdict = governor.observe(Sample { spare: 0.82, processors: 2 });
    assert_eq!(verdict.to_string(), "other processes leave 1.4 of 2 processors");
    let verdict = governor.observe(Sample { spare: 0.2, processors: 2 });
    assert_eq!(verdict.to_string(), "other processes leave only 0.8 of 2 processors");
}
