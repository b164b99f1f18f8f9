//! Answers of a worker, beside those of the server: what a worker answers means the same.

use proptest::prelude::*;

use super::*;
use crate::dns::limits::UDP_ANSWER_MAX;

/// The worker's answer.
fn direct(service: &Service, port: u16, query: &[u8]) -> Option<Vec<u8>> {
    let mut answer = [0; UDP_ANSWER_MAX as usize];
    let len = service.names.answer(PortIndex(port), query, &mut answer)?;
    Some(answer[..len].to_vec())
}

/// A message whose records have an order of their own.
fn sorted(bytes: &[u8]) -> Message {
    let mut message = Message::from_vec(bytes).unwrap();
    message.answers.sort_by_key(|record| record.data.to_string());
    message
}

/// Whether a worker answers; then as the server does.
fn is_direct(service: &Service, port: u8, query: &[u8]) -> bool {
    let Some(direct) = direct(service, port.into(), query) else { return false };
    let served = answer_bytes(service, port, query, Protocol::Udp).expect("an answer");
    assert_eq!(sorted(&direct), sorted(&served));
    assert!(direct.len() <= 512 || Message::from_vec(query).unwrap().edns.is_some());
    true
}

fn is_direct_message(service: &Service, port: u8, message: &Message) -> bool {
    is_direct(service, port, &message.to_vec().unwrap())
}

#[test]
fn plain_queries_for_names_of_ours_are_answered_by_the_worker() {
    let service = service();
    for name in ["db", "DB", "db.net", "wEb.Net", "www", "far", "Far.net"] {
        for record_type in [RecordType::A, RecordType::AAAA] {
            let plain = query(name, record_type);
            assert!(is_direct_message(&service, 1, &plain), "{name} {record_type}");
            let mut edns = with_edns(plain, 4096);
            assert!(is_direct_message(&service, 1, &edns), "{name} {record_type}");
            edns.edns.as_mut().unwrap().set_dnssec_ok(true);
            edns.metadata.checking_disabled = true;
            edns.metadata.authentic_data = true;
            edns.metadata.recursion_desired = false;
            assert!(is_direct_message(&service, 1, &edns), "{name} {record_type}");
        }
    }
    assert!(is_direct_message(&service, 3, &query("one.inner", RecordType::A)));
}

#[test]
fn everything_else_is_the_servers() {
    let service = service();
    for (port, name, record_type) in [
        (1, "nobody", RecordType::A),
        (1, "www.example", RecordType::A),
        (1, "lone", RecordType::A),
        (1, "db.inner", RecordType::A),
        (3, "db", RecordType::A),
        (77, "db", RecordType::A),
        (1, "db", RecordType::MX),
        (1, "db", RecordType::ANY),
        (1, "db", RecordType::PTR),
        (1, "3.0.99.10.in-addr.arpa", RecordType::A),
        (1, "host.vswitch.internal", RecordType::A),
        (1, "x.vswitch.internal", RecordType::A),
    ] {
        let bytes = query(name, record_type).to_vec().unwrap();
        assert_eq!(direct(&service, port, &bytes), None, "{name} {record_type}");
    }
    // 40 addresses fit into 1,232 bytes, and not into 512.
    let many = query("many", RecordType::A);
    assert!(!is_direct_message(&service, 1, &many));
    assert!(!is_direct_message(&service, 1, &with_edns(many.clone(), 600)));
    assert!(is_direct_message(&service, 1, &with_edns(many, 1232)));
    let mut other_class = query("db", RecordType::A);
    other_class.queries[0].set_query_class(hickory_server::proto::rr::DNSClass::CH);
    assert!(!is_direct_message(&service, 1, &other_class));
    let mut newer = with_edns(query("db", RecordType::A), 1232);
    newer.edns.as_mut().unwrap().set_version(1);
    assert!(!is_direct_message(&service, 1, &newer));
    let good = query_bytes("db");
    for cut in 0..good.len() {
        assert_eq!(direct(&service, 1, &good[..cut]), None, "{cut}");
    }
    assert_eq!(direct(&service, 1, &[&good[..], &[0]].concat()), None, "a byte too many");
    assert_eq!(service.names.answer(PortIndex(1), &good, &mut [0; 100]), None, "no room");
}

#[test]
fn a_label_with_a_dot_is_not_two() {
    let service = service();
    for label in [&b"db.net"[..], b"d\xffb", b"\0"] {
        let message = query_of(Name::from_labels([label]).unwrap(), RecordType::A);
        assert_eq!(direct(&service, 1, &message.to_vec().unwrap()), None);
    }
}

#[test]
fn a_shared_alias_takes_turns_over_both() {
    let service = service();
    let bytes = with_edns(query("many", RecordType::A), 1232).to_vec().unwrap();
    let first = |bytes: &[u8]| Message::from_vec(bytes).unwrap().answers[0].data.to_string();
    let firsts: std::collections::BTreeSet<_> = (0..20)
        .flat_map(|_| {
            let served = answer_bytes(&service, 1, &bytes, Protocol::Udp).unwrap();
            [first(&direct(&service, 1, &bytes).unwrap()), first(&served)]
        })
        .collect();
    assert_eq!(firsts.len(), 40);
}

#[test]
fn a_change_is_seen_by_the_next_query() {
    let service = service();
    let bytes = query_bytes("db");
    assert!(direct(&service, 1, &bytes).is_some());
    service.names.remove_endpoint(PortIndex(2));
    assert_eq!(direct(&service, 1, &bytes), None);
    let endpoint = EndpointNames {
        network: NetworkIndex(0),
        container: "db".to_owned(),
        names: vec!["db".to_owned()],
        addresses: vec![[10, 99, 0, 77].into()],
    };
    service.names.set_endpoint(PortIndex(8), endpoint);
    assert!(direct(&service, 1, &bytes).unwrap().ends_with(&[10, 99, 0, 77]));
}

#[test]
fn they_are_counted_as_answers() {
    let service = service();
    for record_type in [RecordType::A, RecordType::AAAA, RecordType::A] {
        direct(&service, 1, &query("db", record_type).to_vec().unwrap()).unwrap();
    }
    direct(&service, 1, &query_bytes("nobody"));
    let mut counters = service.counters.get();
    service.names.direct().add_to(&mut counters);
    let DnsCounters { queries, answered, no_data, direct, .. } = counters;
    assert_eq!([queries, answered, no_data, direct], [3, 2, 1, 3]);
}

proptest! {
    /// Queries with some bytes changed: the worker answers as the server does, or not at all.
    #[test]
    fn a_worker_says_what_the_server_says(
        name in prop_oneof!["db", "far", "many.net", "[dDwW][bBeE][bB]?(\\.net)?", "[a-z.]{0,9}"],
        record_type in any::<bool>(),
        edns in proptest::option::of((any::<u16>(), any::<bool>())),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let record_type = if record_type { RecordType::A } else { RecordType::AAAA };
        let Ok(name) = name_of(&name) else { return Ok(()) };
        let mut message = query_of(name, record_type);
        if let Some((payload, dnssec_ok)) = edns {
            message = with_edns(message, payload);
            message.edns.as_mut().unwrap().set_dnssec_ok(dnssec_ok);
        }
        let mut bytes = message.to_vec().unwrap();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        is_direct(&service(), 1, &bytes);
    }
}
