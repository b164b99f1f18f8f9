use std::collections::BTreeSet;

use super::*;

fn lines() -> impl Iterator<Item = &'static Metric> {
    let port = PortTraffic::METRICS.iter().chain(VtepTraffic::METRICS);
    port.chain(WorkerStats::METRICS).chain(DnsCounters::METRICS).chain(CutThroughCounters::METRICS)
}

#[test]
fn names_are_unique_and_follow_the_conventions() {
    let names: BTreeSet<_> = lines().map(|line| line.name).collect();
    assert_eq!(names.len(), lines().count());
    for line in lines() {
        assert!(line.name.starts_with("vswitch_"), "{line:?}");
        assert_eq!(line.name.ends_with("_total"), line.kind == Kind::Counter, "{line:?}");
        assert!(line.help.ends_with('.'), "{line:?}");
    }
}

#[test]
fn a_stage_adds_to_the_sum() {
    let mut stats = WorkerStats { worker: 3, received: 1, ..WorkerStats::default() };
    stats += DatapathCounters { generated: 2, ..DatapathCounters::default() };
    stats += ReportCounters { received: 4, ..ReportCounters::default() };
    stats += WorkerStats { generated: 5, worker: 1, ..WorkerStats::default() };
    assert_eq!((stats.worker, stats.received, stats.generated), (3, 5, 7));
    let nonzero: Vec<_> = stats.values().filter(|(_, value)| *value > 0).collect();
    assert_eq!(nonzero.len(), 2);
    assert_eq!((nonzero[0].0.field, nonzero[0].1), ("received", 5));
}

#[test]
fn json_is_flat_and_lenient() {
    let stats: WorkerStats = serde_json::from_str(r#"{"worker": 2, "sleeps": 9}"#).unwrap();
    assert_eq!((stats.worker, stats.sleeps, stats.sent), (2, 9, 0));
    let json = serde_json::to_value(stats).unwrap();
    assert_eq!(json.as_object().unwrap().len(), WorkerStats::METRICS.len() + 1);
}
