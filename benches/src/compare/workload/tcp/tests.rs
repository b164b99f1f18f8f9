use super::{Received, parse};

#[test]
fn the_receiver_counts_and_not_the_sender() {
    let text = r#"{"start":{},"end":{"sum_sent":{"bits_per_second":9e9,"retransmits":7},
        "sum_received":{"bits_per_second":8e9}}}"#;
    assert_eq!(parse(text).expect("parsed"), Received { gbps: 8.0, retransmits: 7.0 });
}

#[test]
fn both_directions_are_added() {
    let text = r#"{"end":{"sum_sent":{"retransmits":1},"sum_received":{"bits_per_second":3e9},
        "sum_sent_bidir_reverse":{"retransmits":2},
        "sum_received_bidir_reverse":{"bits_per_second":4e9}}}"#;
    assert_eq!(parse(text).expect("parsed"), Received { gbps: 7.0, retransmits: 3.0 });
}

#[test]
fn an_error_of_iperf3_is_passed_on() {
    let text = r#"{"end":{},"error":"unable to connect to server: Connection refused"}"#;
    let error = parse(text).expect_err("no figures");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(parse("iperf3: out of memory").is_err());
}
