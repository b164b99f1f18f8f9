use super::*;
use crate::testing::{captured_vnet, hex};

#[test]
fn rfc1071_3_example() {
    let data = hex("0001 f203 f4f5 f6f7");
    assert_eq!(sum(&data), 0xddf2);
    assert_eq!(checksum(&data), 0x220d);
}

#[test]
fn lengths_and_parities() {
    assert_eq!((sum(&[]), checksum(&[])), (0, 0xffff));
    assert_eq!(sum(&[0x12]), 0x1200);
    let data: std::vec::Vec<u8> = (0..=255).cycle().take(4099).collect();
    for len in 0..data.len() {
        let words = data[..len].chunks(2);
        let word = |w: &[u8]| u64::from(w[0]) << 8 | u64::from(*w.get(1).unwrap_or(&0));
        assert_eq!(sum(&data[..len]), fold(words.map(word).sum()), "length {len}");
    }
}

#[test]
fn sums_of_ones_do_not_overflow() {
    for len in [2, 4, 6, 1500, 65536, 1 << 20] {
        assert_eq!(sum(&std::vec![0xff; len]), 0xffff);
    }
    assert_eq!(fold(u64::MAX), 0xffff);
    // Carries out of the carry.
    assert_eq!(fold(0x0001_0000_ffff_ffff), 1);
}

#[test]
fn rfc1624_4_example() {
    // "HC = 0xDD2F, m = 0x5555, m' = 0x3285": equation 2 of RFC 1141 gives the other zero.
    assert_eq!(Delta::u16(0x5555, 0x3285).apply(0xdd2f), 0x0000);
}

#[test]
fn rfc1624_3_every_word_change_of_a_header_equals_a_full_recompute() {
    // The word and the checksum sweep all 16-bit values; a second word is not zero, as in a header.
    for old in (0..=0xffff_u16).step_by(257) {
        for new in 0..=0xffff_u16 {
            let full = |word: u16| !add(word, 0x4500);
            assert_eq!(Delta::u16(old, new).apply(full(old)), full(new), "{old:#x} {new:#x}");
        }
    }
}

#[test]
fn rfc1624_5_no_change_keeps_the_field() {
    // But the other zero becomes zero, which verifies as well.
    for field in 0..0xffff {
        assert_eq!(Delta::u16(0x1234, 0x1234).apply(field), field);
        assert_eq!(Delta::NONE.apply(field), field);
    }
    assert_eq!(Delta::u16(7, 7).apply(0xffff), 0);
    assert_eq!(Delta::NONE, Delta::u16(7, 7));
    assert_eq!(Delta::NONE, Delta::u16(0xffff, 0));
    assert_eq!(Delta::NONE.reversed(), Delta::NONE);
}

#[test]
fn wide_deltas_are_sums_of_narrow_ones() {
    let address = Delta::ipv4([10, 99, 0, 2].into(), [192, 0, 2, 1].into());
    let words = Delta::u16(0x0a63, 0xc000).and(Delta::u16(0x0002, 0x0201));
    assert_eq!(address, words);
    assert_eq!(Delta::u128(7 << 64, 9 << 64).apply(0x1111), Delta::u16(7, 9).apply(0x1111));
    let zero = Delta::ipv6(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from_bits(u128::MAX));
    assert_eq!(zero.apply(0x1234), 0x1234);
}

#[test]
fn back_and_forth() {
    let change = Delta::u32(0x0a63_0002, 0xc000_0201);
    assert_eq!(change.reversed().apply(change.apply(0x1234)), 0x1234);
    assert_eq!(change.reversed(), Delta::u32(0xc000_0201, 0x0a63_0002));
}

#[test]
fn pseudo_headers() {
    // Of a captured partial checksum: 10.0.0.1 to 10.0.0.2, UDP, 13 bytes.
    let v4 = pseudo_v4([10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Protocol::UDP, 13);
    assert_eq!(v4, 0x1421);
    let (a, b) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
    assert_eq!(pseudo_v6(a, b, Protocol::UDP, 13), 0xfa22);
    // RFC 8200 section 8.1: the length is 32 bits wide.
    let long = pseudo_v6(a, b, Protocol::UDP, 0x0001_000d);
    assert_eq!(long, 0xfa23);
}

#[test]
fn state_rules() {
    let (change, field) = (Delta::u16(1, 2), 0x1111);
    assert_eq!(update_for_address(field, change, ChecksumState::Partial), 0x1112);
    assert_eq!(update_for_address(field, change, ChecksumState::Complete), 0x1110);
    assert_eq!(update_for_address(field, change, ChecksumState::None), field);
    assert_eq!(update_for_port(field, change, ChecksumState::Partial), field);
    assert_eq!(update_for_port(field, change, ChecksumState::Complete), 0x1110);
    assert_eq!(update_for_port(field, change, ChecksumState::None), field);
    assert_eq!(ChecksumState::Complete.of_udp(0), ChecksumState::None);
    assert_eq!(ChecksumState::Complete.of_udp(1), ChecksumState::Complete);
    assert_eq!(ChecksumState::Partial.of_udp(0), ChecksumState::Partial);
}

#[test]
fn completes_what_linux_left() {
    for (name, start, offset, want) in
        [("udp", 34, 6, 0x1421), ("udp-v6", 54, 6, 0xfa22), ("tcp-syn", 34, 16, 0x1431)]
    {
        let mut frame = captured_vnet(name).split_off(12);
        let at = usize::from(start + offset);
        assert_eq!(crate::bytes::be16(&frame, at..at + 2), want);
        complete_partial(&mut frame, start, offset).unwrap();
        let segment = &frame[usize::from(start)..];
        assert_eq!(transport(want, segment), 0, "{name}");
    }
}

#[test]
fn a_partial_checksum_beyond_the_frame_is_refused() {
    let mut frame = [0; 40];
    let error = |need| Err(Error::Truncated { header: "partial checksum", need, have: 40 });
    assert_eq!(complete_partial(&mut frame, 34, 6), error(42));
    assert_eq!(complete_partial(&mut frame, u16::MAX, u16::MAX), error(131_072));
    assert_eq!(complete_partial(&mut frame, 38, 1), error(41));
    assert_eq!(frame, [0; 40]);
    assert_eq!(complete_partial(&mut frame, 38, 0), Ok(()));
    assert_eq!(frame[38..], [0xff, 0xff]);
}

#[test]
fn a_completed_zero_is_written_as_all_ones() {
    let mut frame = [0xff; 4];
    assert_eq!(complete_partial(&mut frame, 0, 0), Ok(()));
    assert_eq!(frame, [0xff; 4]);
}

/// RFC 3720 appendix B.4: 32 bytes of zeros, of ones, and from 0 to 31.
#[test]
fn crc32c_of_the_rfc() {
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(&std::array::from_fn::<u8, 32, _>(|n| n as u8)), 0x46dd_794e);
}

#[test]
fn crc32c_by_difference_is_crc32c_anew() {
    for len in [4, 5, 12, 31, 32, 1_500, 65_515] {
        let mut message: std::vec::Vec<u8> = (0..len).map(|n| (n * 7 + 3) as u8).collect();
        let old = crc32c(&message);
        assert_eq!(crc32c_update(old, 0, len), old);
        for (bit, difference) in (0..32).map(|bit| (bit, 1 << bit)).chain([(32, 0xdead_beef_u32)]) {
            for (byte, changed) in message.iter_mut().zip(difference.to_be_bytes()) {
                *byte ^= changed;
            }
            let new = crc32c_update(old, difference, len);
            assert_eq!(new, crc32c(&message), "bit {bit}, {len} bytes");
            for (byte, changed) in message.iter_mut().zip(difference.to_be_bytes()) {
                *byte ^= changed;
            }
        }
    }
}
