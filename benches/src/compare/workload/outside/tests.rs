use super::{OverUplink, PUBLISHED, Workload as _, published_as};
use crate::workload::connect::Connect;

#[test]
fn metrics_are_the_loads_by_other_names() {
    let workload = OverUplink::egress("egress-connect", Connect);
    let load = super::Workload::metrics(&Connect);
    let metrics = workload.metrics();
    assert_eq!(metrics.len(), load.len());
    assert_eq!(metrics[0].key, "egress-connect.per_s");
    assert_eq!(metrics[0].title, format!("egress: {}", load[0].title));
    assert!(metrics.iter().all(|metric| metric.key.starts_with("egress-connect.")));
}

#[test]
fn no_published_port_is_taken_twice_or_by_a_container() {
    let mut ports: Vec<u16> = PUBLISHED.into_iter().chain(PUBLISHED.map(published_as)).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 2 * PUBLISHED.len());
}
