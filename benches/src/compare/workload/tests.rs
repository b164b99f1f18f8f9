use super::{ESTABLISHED, LISTENING, has_socket};
use crate::registry::workloads as all;

#[test]
fn keys_are_not_given_twice() {
    let workloads = all();
    let mut keys: Vec<_> = workloads.iter().flat_map(|w| w.metrics()).map(|m| m.key).collect();
    keys.sort();
    let count = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), count);
    assert!(count > 50, "{count} metrics");
}

#[test]
fn a_metric_begins_with_the_key_of_its_workload() {
    for workload in all() {
        for metric in workload.metrics() {
            assert_eq!(metric.key.split('.').next(), Some(workload.key()));
        }
    }
}

#[test]
fn quick_workloads_exist() {
    for key in crate::registry::QUICK {
        assert!(all().iter().any(|w| w.key() == key), "{key}");
    }
}

#[test]
fn a_listener_is_told_from_a_connection() {
    let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
        0: 0100007F:1451 0100007F:9999 01 00000000:00000000\n\
        1: 00000000:2710 00000000:0000 0A 00000000:00000000\n";
    assert!(has_socket(table, 10_000, LISTENING));
    assert!(!has_socket(table, 10_000, ESTABLISHED));
    assert!(!has_socket(table, 0x1451, LISTENING));
    assert!(!has_socket(table, 80, LISTENING));
}
