//! Bytes that are no query, or hardly one.

use proptest::prelude::*;

use super::*;
use crate::dns::limits::QUERY_BYTES_MAX;

/// What an answer may never be: longer than allowed, for another id, or a query itself.
pub(crate) fn check(service: &Service, bytes: &[u8], protocol: Protocol) {
    let Outcome::Answer(answer) = service.handle(bytes, client(1), protocol) else { return };
    assert!(answer.len() >= 12 && answer[..2] == bytes[..2], "{answer:?}");
    assert!(answer[2] & 0x80 != 0 && bytes[2] & 0x80 == 0, "an answer to a query");
    assert!(protocol == Protocol::Tcp || answer.len() <= 1232);
}

#[test]
fn malformed_queries_get_formerr_or_nothing() {
    let service = service();
    let ask = |bytes: &[u8]| answer_bytes(&service, 1, bytes, Protocol::Udp);
    let good = query("db", RecordType::A).to_vec().unwrap();
    assert_eq!(ask(&[]), None);
    assert_eq!(ask(&good[..11]), None);
    for cut in 12..good.len() {
        assert_eq!(ask(&good[..cut]).unwrap()[3] & 0x0f, 1, "{cut}");
    }
    let with = |offset: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[offset] = value;
        ask(&bytes)
    };
    assert_eq!(with(2, 0x81), None, "an answer is ignored");
    // No question, two, and many that are not there.
    for questions in [0, 2, 255] {
        assert_eq!(with(5, questions).unwrap()[3] & 0x0f, 1, "{questions}");
    }
    assert_eq!(with(7, 200).unwrap()[3] & 0x0f, 1, "answers that are not there");
    assert_eq!(with(12, 0xc0).unwrap()[3] & 0x0f, 1, "a pointer to itself");
    assert_eq!(with(12, 0x7f).unwrap()[3] & 0x0f, 1, "a label that is longer than the query");
    let mut long = good.clone();
    long.resize(QUERY_BYTES_MAX + 1, 0);
    assert_eq!(ask(&long).unwrap()[3] & 0x0f, 1);
    assert_eq!(service.counters.get().unserved, service.counters.get().queries);
}

#[test]
fn strange_labels_are_nobodys() {
    let service = service();
    // One label "db.net", and bytes that are no text.
    for label in [&b"db.net"[..], b"d\xffb", b"\0"] {
        let message = query_of(Name::from_labels([label]).unwrap(), RecordType::A);
        let bytes = message.to_vec().unwrap();
        assert!(matches!(service.handle(&bytes, client(1), Protocol::Udp), Outcome::Wait(_)));
        let inner = answer(&service, 3, &message, Protocol::Udp);
        assert_eq!(inner.metadata.response_code.low(), 3);
    }
    let below = [&b"\xff"[..], b"5", b"0", b"99", b"10", b"in-addr", b"arpa"];
    let message = query_of(Name::from_labels(below).unwrap(), RecordType::PTR);
    let private = answer(&service, 1, &message, Protocol::Udp);
    assert_eq!(private.metadata.response_code.low(), 3, "our addresses do not leave");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(
        bytes in proptest::collection::vec(any::<u8>(), 0..600),
        is_tcp in any::<bool>(),
    ) {
        let protocol = if is_tcp { Protocol::Tcp } else { Protocol::Udp };
        check(&service(), &bytes, protocol);
    }

    /// Queries with some bytes changed come further than any bytes do.
    #[test]
    fn changed_queries_are_survived(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        payload in any::<u16>(),
    ) {
        let message = with_edns(query("many.net", RecordType::A), payload);
        let mut bytes = message.to_vec().unwrap();
        for (index, value) in changes {
            let index = index.index(bytes.len());
            bytes[index] = value;
        }
        check(&service(), &bytes, Protocol::Udp);
    }
}
