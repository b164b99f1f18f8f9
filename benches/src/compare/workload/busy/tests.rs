use super::{Busy, Workload as _};
use crate::workload::http::Http;
use crate::workload::outside::OverUplink;

#[test]
fn metrics_are_the_loads_by_other_names_and_the_hogs() {
    let metrics = Busy::one(Box::new(Http)).metrics();
    let keys: Vec<_> = metrics.iter().map(|metric| metric.key.as_str()).collect();
    let names = ["per_s", "p50_us", "cpu_s_per_million", "switch_cpus", "hog_cpus"];
    assert_eq!(keys, names.map(|name| format!("busy1-http.{name}")));
    assert_eq!(metrics[0].title, "busy1: HTTP requests");
    assert_eq!(metrics[4].title, "busy1: HTTP requests: hogs");
}

#[test]
fn it_goes_over_the_uplink_too() {
    let workload = Busy::all(Box::new(OverUplink::publish("publish-http", Http)));
    assert_eq!(workload.key(), "busy2-publish-http");
    assert!(workload.needs().uplink && workload.needs().by_name_only);
    assert_eq!(workload.metrics()[0].key, "busy2-publish-http.per_s");
    let hogs = workload.metrics().pop().expect("metrics");
    assert_eq!(hogs.key, "busy2-publish-http.hog_cpus");
}

#[test]
fn there_are_as_many_as_the_name_says() {
    assert_eq!(super::Hogs::One.count(), 1);
    let cpus = std::thread::available_parallelism().expect("CPUs").get();
    assert_eq!(super::Hogs::OnePerCpu.count(), cpus);
}
