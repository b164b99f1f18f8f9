use super::{ALL, Against, Verdict};
use crate::metric::Better;
use crate::table::tests::outcome;

#[test]
fn every_target_has_a_metric_that_is_measured() {
    let metrics: Vec<_> = crate::registry::workloads().iter().flat_map(|w| w.metrics()).collect();
    for target in ALL {
        let metric = metrics.iter().find(|m| m.key == target.metric);
        let metric = metric.unwrap_or_else(|| panic!("nothing measures {}", target.metric));
        // What is worth reaching for is not below what must be met.
        if let Some(reach) = target.reach {
            assert_eq!(reach > target.least, metric.better == Better::Higher, "{}", target.metric);
        }
    }
}

#[test]
fn ratios_and_verdicts() {
    let outcome = outcome();
    let find = |metric: &str, against| {
        *ALL.iter().find(|t| t.metric == metric && t.against == against).expect("a target")
    };
    let tcp = find("tcp1.gbps", super::DOCKER);
    assert_eq!(tcp.value(&outcome, "vswitch"), Some(0.8));
    assert_eq!(tcp.verdict(Better::Higher, 1.1), Verdict::Met);
    assert_eq!(tcp.verdict(Better::Higher, 1.09), Verdict::Missed);
    let http = find("http.per_s", super::DOCKER);
    assert_eq!(http.verdict(Better::Higher, 0.95), Verdict::Met);
    assert_eq!(http.verdict(Better::Higher, 1.0), Verdict::Reached);
    let p50 = find("rtt-tcp.p50_us", super::DOCKER);
    assert_eq!(p50.value(&outcome, "vswitch"), Some(0.5));
    assert_eq!(p50.verdict(Better::Lower, 0.5), Verdict::Met);
    assert_eq!(p50.verdict(Better::Lower, 0.61), Verdict::Missed);
}

#[test]
fn the_best_in_user_space_is_neither_ours_nor_the_kernels() {
    let outcome = outcome();
    let target = ALL
        .iter()
        .find(|t| t.metric == "tcp1.gbps" && t.against == Against::BestUserSpace)
        .expect("a target");
    assert_eq!(target.value(&outcome, "vswitch"), Some(2.0));
}

#[test]
fn what_was_not_measured_has_no_value() {
    let outcome = outcome();
    let target = ALL.iter().find(|t| t.metric == "http.per_s").expect("a target");
    assert_eq!(target.value(&outcome, "vswitch"), None);
}

#[test]
fn the_switch_with_cut_through_has_targets_of_its_own() {
    let of = |metric: &str, own: &str| -> Vec<f64> {
        let mut found: Vec<_> = ALL.iter().filter(|t| t.metric == metric).collect();
        found.retain(|t| t.is_for(own) && t.against == super::DOCKER);
        found.into_iter().map(|t| t.least).collect()
    };
    assert_eq!(of("tcp4.gbps", "vswitch-cut-through"), [2.0]);
    for own in ["vswitch", "vswitch-spin", "old"] {
        assert_eq!(of("tcp4.gbps", own), [0.85], "{own}");
    }
    assert!(of("udp64.kpps", "vswitch-cut-through").is_empty());
    let rows = crate::registry::CUT_THROUGH_ROWS;
    for target in ALL.iter().filter(|t| t.own.is_some()) {
        let row = target.metric.split('.').next().expect("a row");
        assert!(rows.contains(&row), "{row} is not measured with cut-through");
    }
}

#[test]
fn no_target_is_given_twice() {
    for (number, target) in ALL.iter().enumerate() {
        let is_same = |other: &&super::Target| {
            (other.metric, other.against, other.own) == (target.metric, target.against, target.own)
        };
        assert_eq!(ALL.iter().position(|t| is_same(&t)), Some(number), "{}", target.metric);
    }
}
