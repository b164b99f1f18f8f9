use std::time::Duration;

use clap::ValueEnum as _;

use super::{Count, Hostile, kpps};
use crate::agent::Attack;

#[test]
fn every_attack_is_a_workload_of_the_family() {
    let all = crate::registry::workloads();
    for kind in Attack::value_variants() {
        let key = Hostile::new(*kind).key;
        let workload = all.iter().find(|w| w.key() == key);
        assert_eq!(workload.map(|w| w.needs().family), Some("attack"), "{kind:?}");
    }
}

#[test]
fn an_attack_is_counted_by_what_reached_the_switch() {
    let before = Count::parse(r#"{"sent": 100, "passed": 40}"#).expect("parsed");
    let after = Count::parse(r#"{"sent": 1100, "passed": 640}"#).expect("parsed");
    assert_eq!(before.until(&after, true), 600);
    assert_eq!(before.until(&after, false), 1000);
    assert_eq!(kpps(600, Duration::from_secs(2)), 0.3);
    let error = Count::parse(r#"{"sent": 1}"#).expect_err("one is missing").to_string();
    assert!(error.contains("passed"), "{error}");
}
