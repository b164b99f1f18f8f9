use std::vec::Vec;

use super::*;

/// Appends a header that `next` follows, with `units` in its length field.
fn header(chain: &mut Vec<u8>, next: Protocol, units: u8, len: usize) {
    let start = chain.len();
    chain.resize(start + len, 0);
    chain[start] = next.0;
    chain[start + 1] = units;
}

fn bad(field: &'static str, value: u32) -> Error {
    Error::Field { header: "IPv6 extension", field, value }
}

#[test]
fn the_whole_chain_in_rfc_8200_order() {
    let mut chain = Vec::new();
    header(&mut chain, Protocol::DEST_OPTIONS, 0, 8);
    header(&mut chain, Protocol::ROUTING, 1, 16);
    header(&mut chain, Protocol::FRAGMENT, 0, 8);
    header(&mut chain, Protocol::AUTH, 0xff, 8);
    chain[8 + 16 + 8 + 3] = 1;
    header(&mut chain, Protocol::DEST_OPTIONS, 4, 24);
    header(&mut chain, Protocol::TCP, 0, 8);
    chain.push(0xab);
    let upper = upper_layer(Protocol::HOP_BY_HOP, &chain).unwrap();
    let fragment = Fragment { offset: 0, more: true, ident: 0 };
    assert_eq!(upper.protocol, Protocol::TCP);
    assert_eq!(chain[upper.offset..], [0xab]);
    assert_eq!(upper.fragment, Some(fragment));
    let kinds: Vec<_> =
        Extensions::new(Protocol::HOP_BY_HOP, &chain).map(|e| e.unwrap().protocol.0).collect();
    assert_eq!(kinds, [0, 60, 43, 44, 51, 60]);
}

#[test]
fn no_extension_at_all() {
    for protocol in [Protocol::UDP, Protocol::ESP, Protocol::NO_NEXT_HEADER, Protocol(135)] {
        let upper = upper_layer(protocol, &[1, 2, 3]).unwrap();
        assert_eq!(upper, UpperLayer { protocol, offset: 0, fragment: None });
    }
}

#[test]
fn a_tail_ends_the_walk() {
    // Offset 8, and a next header that is an extension: what follows is payload.
    let chain = [60, 0, 0, 8, 1, 2, 3, 4, 0xff];
    let upper = upper_layer(Protocol::FRAGMENT, &chain).unwrap();
    let fragment = Fragment { offset: 8, more: false, ident: 0x0102_0304 };
    assert!(fragment.is_tail() && !fragment.is_atomic());
    assert_eq!(upper.fragment, Some(fragment));
    assert_eq!((upper.protocol, upper.offset), (Protocol::DEST_OPTIONS, 8));
}

#[test]
fn rfc6946_an_atomic_fragment_is_whole() {
    let upper = upper_layer(Protocol::FRAGMENT, &[17, 0, 0, 6, 0, 0, 0, 9]).unwrap();
    assert!(upper.fragment.unwrap().is_atomic());
}

#[test]
fn two_fragment_headers_are_refused() {
    let mut chain = Vec::new();
    header(&mut chain, Protocol::FRAGMENT, 0, 8);
    header(&mut chain, Protocol::UDP, 0, 8);
    assert_eq!(upper_layer(Protocol::FRAGMENT, &chain), Err(bad("number of fragment headers", 2)));
}

#[test]
fn rfc8200_4_1_hop_by_hop_options_come_first() {
    let mut chain = Vec::new();
    header(&mut chain, Protocol::HOP_BY_HOP, 0, 8);
    header(&mut chain, Protocol::UDP, 0, 8);
    let position = Err(bad("position of hop-by-hop options", 1));
    assert_eq!(upper_layer(Protocol::DEST_OPTIONS, &chain), position);
}

#[test]
fn the_number_of_headers_is_limited() {
    let mut chain = Vec::new();
    for _ in 0..IPV6_EXTENSIONS_MAX {
        header(&mut chain, Protocol::DEST_OPTIONS, 0, 8);
    }
    let mut good = chain.clone();
    let last = good.len() - 8;
    good[last] = Protocol::UDP.0;
    assert_eq!(upper_layer(Protocol::DEST_OPTIONS, &good).unwrap().offset, good.len());
    header(&mut chain, Protocol::UDP, 0, 8);
    assert_eq!(
        upper_layer(Protocol::DEST_OPTIONS, &chain),
        Err(bad("number of extension headers", 9))
    );
}

#[test]
fn cut_headers_are_refused() {
    let cut = |need, have| Err(Error::Truncated { header: "IPv6 extension", need, have });
    assert_eq!(upper_layer(Protocol::ROUTING, &[17, 0, 0, 0, 0, 0, 0]), cut(8, 7));
    assert_eq!(upper_layer(Protocol::ROUTING, &[17, 1, 0, 0, 0, 0, 0, 0]), cut(16, 8));
    assert_eq!(upper_layer(Protocol::FRAGMENT, &[]), cut(8, 0));
    // An authentication header is 12 bytes at least.
    assert_eq!(upper_layer(Protocol::AUTH, &[17, 0, 0, 0, 0, 0, 0, 0]), Err(bad("length", 0)));
    assert_eq!(upper_layer(Protocol::AUTH, &[17, 1, 0, 0, 0, 0, 0, 0]), cut(12, 8));
}

#[test]
fn an_error_ends_the_iterator() {
    let mut chain = Extensions::new(Protocol::ROUTING, &[]);
    assert!(chain.next().unwrap().is_err());
    assert_eq!(chain.next(), None);
}
