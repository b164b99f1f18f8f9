use serde_json::Map;

use super::{markdown, number, text};
use crate::metric::Metric;
use crate::result::{Entry, FORMAT, Failure, Outcome};
use crate::turns::TurnRecord;

/// Four contenders, of which one cannot run.
pub(crate) fn outcome() -> Outcome {
    let entry = |name: &str, tcp: &[f64], p50: &[f64]| Entry {
        name: name.to_owned(),
        is_own: name == "vswitch",
        is_user_space: name == "vswitch" || name.starts_with("ovs"),
        about: Map::from_iter([("version".to_owned(), "1.2".into())]),
        cannot_run: None,
        values: [("tcp1.gbps", tcp), ("rtt-tcp.p50_us", p50)]
            .map(|(key, values)| (key.to_owned(), values.to_vec()))
            .into_iter()
            .filter(|(_, values)| !values.is_empty())
            .collect(),
        turns: Vec::new(),
    };
    let mut vde = entry("ovs", &[], &[]);
    vde.cannot_run = Some("no ovs-vswitchd: package openvswitch-switch".to_owned());
    Outcome {
        format: FORMAT,
        machine: Map::from_iter([("kernel".to_owned(), "6.18".into())]),
        settings: Map::new(),
        metrics: vec![
            Metric::higher("tcp1.gbps".into(), "TCP 1 stream".into(), "Gb/s"),
            Metric::lower("rtt-tcp.p50_us".into(), "TCP round trip p50".into(), "us"),
            Metric::higher("http.per_s".into(), "HTTP requests".into(), "1/s"),
        ],
        contenders: vec![
            entry("docker0", &[20.0, 19.0, 25.0], &[80.0]),
            entry("ovs-tso", &[8.0], &[70.0]),
            vde,
            entry("vswitch", &[16.0, 15.0, 17.0], &[40.0]),
        ],
        failures: vec![Failure {
            contender: "vswitch".to_owned(),
            workload: "http".to_owned(),
            round: 2,
            reason: "wrk: Socket errors: timeout 1".to_owned(),
        }],
    }
}

#[test]
fn the_markdown_has_medians_spreads_ratios_and_verdicts() {
    let text = markdown(&outcome());
    assert!(text.contains("- kernel: 6.18"), "{text}");
    let row = "| TCP 1 stream, Gb/s | 20.0 (19.0-25.0) | 8.00 | - | 16.0 (15.0-17.0) |";
    assert!(text.contains(row), "{text}");
    assert!(
        text.contains("| TCP 1 stream, Gb/s | 16.0 | 0.80 MISSED | - | 2.00 met ovs-tso |"),
        "{text}"
    );
    let row = "| TCP 1 stream | ratio to docker0 | 1.1 | - | 0.80 MISSED |";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("| 0.5 | - | not measured |"), "{text}");
}

/// The same with a second switch of ours, which has targets of its own.
pub(crate) fn with_cut_through() -> Outcome {
    let mut outcome = outcome();
    let mut entry = outcome.contenders[3].clone();
    entry.name = "vswitch-cut-through".to_owned();
    entry.values = [("tcp1.gbps", 21.0), ("connect.per_s", 94.0)]
        .map(|(key, value)| (key.to_owned(), vec![value]))
        .into();
    outcome.contenders.push(entry);
    outcome.contenders[3].values.insert("connect.per_s".to_owned(), vec![100.0]);
    outcome.metrics.push(Metric::higher("connect.per_s".into(), "connections".into(), "1/s"));
    outcome
}

#[test]
fn a_variant_stands_beside_the_switch_and_its_own_targets() {
    let text = markdown(&with_cut_through());
    let (_, after) = text.split_once("## Ratios of vswitch-cut-through").expect("ratios");
    assert!(after.contains("| to best in user space | to vswitch |"), "{after}");
    assert!(after.contains("| 21.0 | 1.05 MISSED | - | 2.62 ovs-tso | 1.31 |"), "{after}");
    assert!(after.contains("| connections, 1/s | 94.0 | - | - | - | 0.94 MISSED |"), "{after}");
    let row = "| TCP 1 stream | ratio to docker0 | 1.1 | - |";
    assert!(after.contains(&format!("{row} 0.80 MISSED | - |")), "{after}");
    assert!(after.contains(&format!("{row} - | 1.05 MISSED |")), "{after}");
    assert!(after.contains("| ratio to vswitch | 0.95 | - | - | 0.94 MISSED |"), "{after}");
}

#[test]
fn who_cannot_run_is_shown_with_the_reason() {
    for shown in [markdown(&outcome()), text(&outcome())] {
        assert!(shown.contains("ovs (cannot run)"), "{shown}");
        assert!(shown.contains("no ovs-vswitchd: package openvswitch-switch"), "{shown}");
        assert!(shown.contains("wrk: Socket errors: timeout 1"), "{shown}");
    }
}

#[test]
fn disturbed_turns_are_named_below_the_table() {
    let mut outcome = outcome();
    outcome.contenders[0].turns.push(TurnRecord {
        round: 2,
        workload: "tcp1".to_owned(),
        load: 2.0,
        distance_ns: Some(80.0),
        steal: 0.0,
        foreign_cpus: 0.31,
        is_repeated: false,
    });
    for shown in [markdown(&outcome), text(&outcome)] {
        assert!(shown.contains("docker0 tcp1 in round 2 (0.31)."), "{shown}");
    }
}

#[test]
fn the_terminal_has_the_spread_below_the_median() {
    let shown = text(&outcome());
    assert!(shown.lines().any(|line| line.contains("(19.0-25.0)") && !line.contains("20.0")));
}

#[test]
fn a_result_that_was_saved_reads_the_same() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("a/b.json");
    outcome().save(&path).expect("saved");
    let read = Outcome::load(&path).expect("read");
    assert_eq!(markdown(&read), markdown(&outcome()));
}

#[test]
fn a_result_of_another_format_is_refused() {
    let dir = tempfile::tempdir().expect("folder");
    let path = dir.path().join("b.json");
    std::fs::write(&path, r#"{"format": 99}"#).expect("written");
    let error = Outcome::load(&path).expect_err("refused").to_string();
    assert!(error.contains("99"), "{error}");
}

#[test]
fn numbers_have_three_digits() {
    let shown = [0.0, 0.0123, 0.5, 1.234, 45.67, 123.4, 98_765.4].map(number);
    assert_eq!(shown, ["0.00", "0.012", "0.50", "1.23", "45.7", "123", "98765"]);
}
