use super::{Loopback, Workload as _};
use crate::workload::connect::Connect;

#[test]
fn its_metrics_are_the_loads_by_another_name() {
    let workload = Loopback::new("loopback-connect", Connect);
    let metrics = workload.metrics();
    let keys: Vec<_> = metrics.iter().map(|metric| metric.key.as_str()).collect();
    let names = ["per_s", "cpu_s_per_million", "switch_cpus"];
    assert_eq!(keys, names.map(|name| format!("loopback-connect.{name}")));
    assert_eq!(metrics[0].title, "loopback beside the switch: new TCP connections");
    assert!(workload.needs().by_name_only);
}
