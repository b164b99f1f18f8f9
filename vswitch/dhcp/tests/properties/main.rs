//! No input makes the server panic, and every answer is a sound frame.
#![forbid(unsafe_code)]

mod exercise;

use dhcproto::{Decodable, Encodable};
use dhcproto::{v4, v6};
use proptest::collection::vec;
use proptest::prelude::*;

/// A DHCPv4 message with options of any bytes.
fn v4_message() -> impl Strategy<Value = Vec<u8>> {
    let fixed = (any::<u8>(), any::<u8>(), any::<[u8; 16]>(), any::<bool>());
    (fixed, vec(any::<u8>(), 0..200)).prop_map(|((kind, hlen, chaddr, is_sound), options)| {
        let message = v4::Message::new_with_id(
            7,
            [0; 4].into(),
            [0; 4].into(),
            [0; 4].into(),
            [0; 4].into(),
            &chaddr[..6],
        );
        let mut bytes = message.to_vec().expect("a message");
        if !is_sound {
            bytes[2] = hlen;
        }
        bytes.truncate(240);
        bytes.extend([53, 1, kind % 20]);
        bytes.extend(options);
        bytes
    })
}

/// A DHCPv6 message with options of any bytes, among them those that a server reads.
fn v6_message() -> impl Strategy<Value = Vec<u8>> {
    let code = prop_oneof![0_u16..30, any::<u16>()];
    let option = (code, vec(any::<u8>(), 0..60));
    (any::<u8>(), vec(option, 0..6)).prop_map(|(kind, options)| {
        let mut bytes = vec![kind % 22, 1, 2, 3, 0, 1, 0, 2, 9, 9];
        for (code, data) in options {
            bytes.extend(code.to_be_bytes());
            bytes.extend((data.len() as u16).to_be_bytes());
            bytes.extend(data);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..400)) {
        exercise::answer(&bytes);
    }

    #[test]
    fn dhcpv4_with_any_options(message in v4_message()) {
        exercise::answer(&message);
    }

    #[test]
    fn dhcpv6_with_any_options(message in v6_message()) {
        exercise::answer(&message);
    }
}

/// Options that the decoders of `dhcproto` 0.15 panic on: a status without a code, a vendor option without a
/// number; for DHCPv4 times and addresses of another length.
#[test]
fn options_of_a_wrong_length() {
    for option in [&[0, 13, 0, 1, 0][..], &[0, 16, 0, 1, 0], &[0, 17, 0, 3, 0, 0, 0]] {
        let solicit = [&[1, 1, 2, 3, 0, 1, 0, 2, 9, 9], option, &[0; 8]].concat();
        exercise::answer(&solicit);
    }
    let plain = v4::Message::new_with_id(
        7,
        [0; 4].into(),
        [0; 4].into(),
        [0; 4].into(),
        [0; 4].into(),
        &[2, 0, 0, 0, 0, 9],
    );
    let fixed = plain.to_vec().expect("a message");
    for option in [&[80, 1, 0][..], &[81, 1, 0], &[91, 1, 0], &[151, 0], &[121, 1, 255]] {
        exercise::answer(&[&fixed[..240], &[53, 1, 1], option, &[255]].concat());
    }
}

/// The generators reach the server: their plain messages are answered.
#[test]
fn the_messages_of_the_generators_are_messages() {
    let mut message = v6::Message::new_with_id(v6::MessageType::Solicit, [1, 2, 3]);
    message.opts_mut().insert(v6::DhcpOption::ClientId(vec![9, 9]));
    let bytes = message.to_vec().expect("a message");
    assert_eq!(bytes, [1, 1, 2, 3, 0, 1, 0, 2, 9, 9]);
    assert!(v6::Message::from_bytes(&bytes).is_ok());
    exercise::answer(&bytes);
}
