use super::*;

#[test]
fn a_header_survives_its_bytes() {
    for peer in ["192.0.2.1:4789", "[2001:db8::1]:65535", "0.0.0.0:0"] {
        let header = Header { peer: peer.parse().expect("an address"), segment: 1450, socket: 7 };
        let mut bytes = [0xff; LEN + 1];
        assert!(header.write(&mut bytes));
        assert_eq!(Header::read(&bytes), Some(header));
        assert_eq!(bytes[LEN], 0xff, "nothing is written behind the header");
    }
}

#[test]
fn a_short_buffer_is_refused_and_kept() {
    let header = Header { peer: "192.0.2.1:1".parse().expect("an address"), segment: 0, socket: 0 };
    let mut bytes = [0xff; LEN - 1];
    assert!(!header.write(&mut bytes));
    assert_eq!(bytes, [0xff; LEN - 1]);
    assert_eq!(Header::read(&bytes), None);
}
