use std::vec::Vec;

use super::*;
use crate::mac::MacAddr;
use crate::testing::captured;

const A: MacAddr = MacAddr([2, 0, 0, 0, 0, 10]);
const B: MacAddr = MacAddr([2, 0, 0, 0, 0, 11]);

fn parse(bytes: &[u8]) -> (Message, Vec<Result<NdpOption<'_>, Error>>) {
    let (message, options) = Message::parse(bytes).unwrap();
    (message, options.collect())
}

fn fd00_2() -> Ipv6Addr {
    "fd00::2".parse().unwrap()
}

#[test]
fn neighbor_solicitation_of_linux() {
    let bytes = captured("neighbor-solicit").split_off(54);
    let options = std::vec![Ok(NdpOption::SourceLinkLayer(A))];
    assert_eq!(parse(&bytes), (Message::NeighborSolicit { target: fd00_2() }, options));
}

#[test]
fn neighbor_advertisement_of_linux() {
    let bytes = captured("neighbor-advert").split_off(54);
    let (router, solicited, overrides) = (false, true, true);
    let message = Message::NeighborAdvert { router, solicited, overrides, target: fd00_2() };
    assert_eq!(parse(&bytes), (message, std::vec![Ok(NdpOption::TargetLinkLayer(B))]));
}

#[test]
fn router_solicitation_of_linux() {
    let bytes = captured("router-solicit").split_off(54);
    let options = std::vec![Ok(NdpOption::SourceLinkLayer(B))];
    assert_eq!(parse(&bytes), (Message::RouterSolicit, options));
}

#[test]
fn duplicate_detection_of_linux_carries_a_nonce() {
    let bytes = captured("neighbor-solicit-dad").split_off(54);
    let (_, options) = parse(&bytes);
    let nonce = NdpOption::Other { kind: 14, data: &bytes[26..] };
    assert_eq!(options, [Ok(nonce)]);
}

#[test]
fn emit_and_parse() {
    let prefix = Prefix {
        len: 64,
        on_link: true,
        autonomous: false,
        valid_s: u32::MAX,
        preferred_s: 1800,
        prefix: "fd00::".parse().unwrap(),
    };
    let options = [
        NdpOption::SourceLinkLayer(A),
        NdpOption::Prefix(prefix),
        NdpOption::Mtu(1450),
        NdpOption::Other { kind: 25, data: &[1; 22] },
    ];
    let advert = Message::RouterAdvert {
        hop_limit: 64,
        flags: 0x80,
        lifetime_s: 1800,
        reachable_ms: 30_000,
        retrans_ms: 1_000,
    };
    let (router, solicited, overrides) = (true, true, false);
    let neighbor = Message::NeighborAdvert { router, solicited, overrides, target: fd00_2() };
    for message in [Message::RouterSolicit, advert, neighbor] {
        let mut bytes = [0xff; 128];
        let len = message.emit(&options, |len| len as u16, &mut bytes).unwrap();
        assert_eq!(len, message.buffer_len(&options));
        let packet = icmpv6::Packet::new_checked(&bytes[..len]).unwrap();
        assert!(packet.verify_checksum(len as u16) && packet.icmp_type().is_ndp());
        assert_eq!(parse(&bytes[..len]), (message, options.map(Ok).to_vec()));
        assert!(message.emit(&options, |_| 0, &mut bytes[..len - 1]).is_err());
    }
}

#[test]
fn an_option_must_fill_its_units() {
    let length = |value| Err(Error::Field { header: "NDP option", field: "length", value });
    for (data, len) in [(&[0; 7][..], 9), (&[0; 2046][..], 2048)] {
        let option = NdpOption::Other { kind: 1, data };
        assert_eq!(option.emit(&mut [0; 4096]), length(len));
    }
}

#[test]
fn rfc4861_7_1_what_a_node_must_discard() {
    let bytes = captured("neighbor-solicit").split_off(54);
    let bad = |field, value| Err(Error::Field { header: "NDP", field, value });
    let changed = |at: usize, value| {
        let mut bytes = bytes.clone();
        bytes[at] = value;
        Message::parse(&bytes).map(|(message, _)| message)
    };
    assert_eq!(changed(0, 137), bad("type", 137));
    assert_eq!(changed(1, 1), bad("code", 1));
    assert_eq!(changed(8, 0xff), bad("target", 0xff00_0000));
    let cut = Error::Truncated { header: "NDP", need: 24, have: 23 };
    assert_eq!(Message::parse(&bytes[..23]).unwrap_err(), cut);
    assert!(Message::parse(&bytes[..7]).is_err());
}

#[test]
fn broken_options_end_the_list() {
    let options = |bytes: &'static [u8]| Options::new(bytes).collect::<Vec<_>>();
    let length = Error::Field { header: "NDP option", field: "length", value: 0 };
    assert_eq!(options(&[1, 0, 0, 0, 0, 0, 0, 0]), [Err(length)]);
    let cut = |need, have| Err(Error::Truncated { header: "NDP option", need, have });
    assert_eq!(options(&[1]), [cut(2, 1)]);
    assert_eq!(options(&[1, 2, 0, 0, 0, 0, 0, 0]), [cut(16, 8)]);
    // A link-layer address that is not Ethernet's, and a prefix cut short by its own length.
    let infiniband = NdpOption::Other { kind: 1, data: &[7; 14] };
    let found = options(&[1, 2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    assert_eq!(found, [Ok(infiniband)]);
    let prefix = NdpOption::Other { kind: 3, data: &[64, 0, 0, 0, 0, 0] };
    assert_eq!(options(&[3, 1, 64, 0, 0, 0, 0, 0]), [Ok(prefix)]);
}

#[test]
fn rfc4291_2_7_1_solicited_node() {
    let address = "4037::1:800:200e:8c6c".parse().unwrap();
    assert_eq!(solicited_node(address), "ff02::1:ff0e:8c6c".parse::<Ipv6Addr>().unwrap());
}
