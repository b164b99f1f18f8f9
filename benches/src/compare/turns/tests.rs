use super::{Glance, TurnRecord, load, sentence};

fn turn(foreign_cpus: f64, is_repeated: bool) -> TurnRecord {
    let workload = "tcp1".to_owned();
    let (load, steal, distance_ns) = (1.5, 0.0, None);
    TurnRecord { round: 2, workload, load, distance_ns, steal, foreign_cpus, is_repeated }
}

#[test]
fn a_quiet_machine_is_not_worth_a_sentence() {
    let quiet = turn(0.04, false);
    assert_eq!(sentence([("vde", &quiet)].into_iter()), None);
}

#[test]
fn disturbed_turns_are_named_where_they_were_kept() {
    let (repeated, kept) = (turn(0.5, true), turn(0.25, false));
    let said = sentence([("vde", &repeated)].into_iter()).expect("a sentence");
    assert_eq!(said, "Turns repeated because other processes used more than 0.05 CPUs: 1.");
    let said = sentence([("vde", &repeated), ("ovs", &kept)].into_iter()).expect("a sentence");
    assert!(said.ends_with(" Kept all the same: ovs tcp1 in round 2 (0.25)."), "{said}");
}

#[test]
fn the_average_of_a_minute_comes_first() {
    assert_eq!(load("2.14 1.80 1.03 3/211 26994\n"), Some(2.14));
    assert_eq!(load(""), None);
}

#[test]
fn a_record_says_what_was_measured() {
    let record = Glance::now().record(3, "http", Some(80.0));
    assert_eq!((record.round, record.workload.as_str()), (3, "http"));
    assert!(!record.is_repeated && record.steal >= 0.0 && record.foreign_cpus >= 0.0);
}
