//! Codes, sections, EDNS and truncation.

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{DNSClass, RData};

use super::*;
use crate::dns::limits::{NAME_TTL_S, NEGATIVE_TTL_S};

fn ask(port: u8, name: &str, record_type: RecordType) -> Message {
    answer(&service(), port, &query(name, record_type), Protocol::Udp)
}

#[test]
fn a_name_of_ours_has_a_short_ttl_and_the_letters_of_the_question() {
    let message = ask(1, "DB.Net", RecordType::A);
    assert_eq!(message.metadata.id, 7);
    assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    let flags = &message.metadata;
    assert!(flags.authoritative && flags.recursion_available && flags.recursion_desired);
    assert!(!flags.truncation && message.edns.is_none());
    assert_eq!(message.queries[0].name().to_ascii(), "DB.Net.");
    let [record] = &message.answers[..] else { panic!("{message}") };
    assert_eq!(record.name.to_ascii(), "DB.Net.");
    assert_eq!((record.ttl, record.data.to_string()), (NAME_TTL_S, "10.99.0.3".to_owned()));
}

#[test]
fn addresses_lead_to_names() {
    let message = ask(1, "3.0.99.10.in-addr.arpa", RecordType::PTR);
    assert_eq!(message.answers[0].data.to_string(), "db.net.");
    let message = ask(1, "host.vswitch.internal", RecordType::A);
    assert_eq!(message.answers[0].data.to_string(), "10.99.0.1");
}

#[test]
fn negative_answers_have_the_soa_record_of_a_zone_around_the_name() {
    let cases = [
        (1, "db", RecordType::AAAA, ResponseCode::NoError, "db."),
        (1, "db.net", RecordType::MX, ResponseCode::NoError, "db.net."),
        (
            1,
            "99.0.99.10.in-addr.arpa",
            RecordType::PTR,
            ResponseCode::NXDomain,
            "0.99.10.in-addr.arpa.",
        ),
        (1, "x.vswitch.internal", RecordType::A, ResponseCode::NXDomain, "vswitch.internal."),
        (1, "host.vswitch.internal", RecordType::AAAA, ResponseCode::NoError, "vswitch.internal."),
        (3, "nobody", RecordType::A, ResponseCode::NXDomain, "."),
        (3, "www.example.com", RecordType::A, ResponseCode::NXDomain, "example.com."),
    ];
    for (port, name, record_type, code, zone) in cases {
        let message = ask(port, name, record_type);
        assert_eq!((message.metadata.response_code, message.answers.len()), (code, 0), "{name}");
        let [record] = &message.authorities[..] else { panic!("{message}") };
        assert_eq!((record.name.to_ascii().as_str(), record.ttl), (zone, NEGATIVE_TTL_S), "{name}");
        let RData::SOA(soa) = &record.data else { panic!("{record}") };
        assert_eq!(soa.minimum, NEGATIVE_TTL_S);
    }
}

#[test]
fn what_is_not_served_has_a_code_of_its_own() {
    let service = service();
    let code = |port, message: &Message| {
        answer(&service, port, message, Protocol::Udp).metadata.response_code
    };
    assert_eq!(code(9, &query("db", RecordType::A)), ResponseCode::Refused);
    assert_eq!(code(77, &query("db", RecordType::A)), ResponseCode::Refused);
    assert_eq!(code(1, &query("net", RecordType::AXFR)), ResponseCode::Refused);
    let mut update = query("db", RecordType::SOA);
    update.metadata.op_code = OpCode::Notify;
    assert_eq!(code(1, &update), ResponseCode::NotImp);
    let mut chaos = query("version.bind", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(code(1, &chaos), ResponseCode::Refused);
    let mut newer = with_edns(query("db", RecordType::A), 1232);
    newer.edns.as_mut().unwrap().set_version(1);
    let answer = answer(&service, 1, &newer, Protocol::Udp);
    // 16 is BADSIG as well.
    assert_eq!(u16::from(answer.metadata.response_code), u16::from(ResponseCode::BADVERS));
    assert_eq!(answer.edns.unwrap().version(), 0);
    let counters = service.counters.get();
    assert_eq!((counters.queries, counters.unserved, counters.unknown_clients), (6, 4, 2));
}

#[test]
fn edns_is_answered_with_edns() {
    let service = service();
    let mut message = with_edns(query("db", RecordType::A), 4096);
    message.edns.as_mut().unwrap().set_dnssec_ok(true);
    let edns = answer(&service, 1, &message, Protocol::Udp).edns.unwrap();
    assert_eq!((edns.max_payload(), edns.flags().dnssec_ok), (1232, true));
}

#[test]
fn an_answer_that_does_not_fit_is_truncated_and_whole_by_tcp() {
    let service = service();
    let plain = query("many", RecordType::A);
    let small = answer_bytes(&service, 1, &plain.to_vec().unwrap(), Protocol::Udp).unwrap();
    assert!(small.len() <= 512, "{}", small.len());
    let small = Message::from_vec(&small).unwrap();
    assert!(small.metadata.truncation && small.answers.len() > 20, "{small}");
    for (payload, is_whole) in [(0, false), (600, false), (1232, true), (65_535, true)] {
        let message = with_edns(plain.clone(), payload);
        let bytes = answer_bytes(&service, 1, &message.to_vec().unwrap(), Protocol::Udp).unwrap();
        assert!(bytes.len() <= usize::from(payload.clamp(512, 1232)), "{payload}");
        let message = Message::from_vec(&bytes).unwrap();
        assert!(message.edns.is_some(), "{payload}");
        assert_eq!(message.metadata.truncation, !is_whole, "{payload}");
        assert_eq!(message.answers.len() == 40, is_whole, "{payload}");
    }
    let by_tcp = answer(&service, 1, &plain, Protocol::Tcp);
    assert_eq!((by_tcp.metadata.truncation, by_tcp.answers.len()), (false, 40));
    assert_eq!(service.counters.get().truncated, 3);
}

#[test]
fn an_alias_that_is_shared_takes_turns() {
    let service = service();
    let first = || {
        let message = answer(&service, 1, &query("many", RecordType::A), Protocol::Tcp);
        message.answers[0].data.to_string()
    };
    let firsts: std::collections::BTreeSet<_> = (0..40).map(|_| first()).collect();
    assert_eq!(firsts.len(), 40);
}
