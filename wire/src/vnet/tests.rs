use super::*;
use crate::testing::captured_vnet;

#[test]
fn plain_is_all_zero() {
    assert_eq!(Header::default().to_bytes(), [0; LEN]);
    assert_eq!(Header::parse(&[0; LEN]), Ok(Header::default()));
    assert_eq!(Header::default().checksum_state(), ChecksumState::Complete);
}

#[test]
fn reads_what_a_tap_gives() {
    let gso = Header::parse(&captured_vnet("udp-gso")).unwrap();
    let expected = Header {
        flags: Flags::NEEDS_CSUM,
        gso_type: GsoType::UdpL4,
        gso_ecn: false,
        hdr_len: 42,
        gso_size: 100,
        csum_start: 34,
        csum_offset: 6,
        num_buffers: 0,
    };
    assert_eq!(gso, expected);
    assert_eq!(gso.checksum_state(), ChecksumState::Partial);
    assert_eq!(gso.to_bytes(), captured_vnet("udp-gso")[..LEN]);
    let syn = Header::parse(&captured_vnet("tcp-syn")).unwrap();
    assert_eq!((syn.is_gso(), syn.csum_start, syn.csum_offset), (false, 34, 16));
}

#[test]
fn every_kind_there_and_back() {
    let kinds = [(1, GsoType::TcpV4), (3, GsoType::Udp), (4, GsoType::TcpV6), (5, GsoType::UdpL4)];
    for (bits, kind) in kinds {
        for ecn in [0, 0x80] {
            let bytes = [2, bits | ecn, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
            let header = Header::parse(&bytes).unwrap();
            assert_eq!((header.gso_type, header.gso_ecn), (kind, ecn != 0));
            assert_eq!((header.hdr_len, header.gso_size), (0x0201, 0x0403));
            assert_eq!(header.num_buffers, 0x0a09);
            assert!(header.flags.contains(Flags::DATA_VALID));
            let mut out = [0; LEN];
            assert_eq!(header.emit(&mut out), Ok(LEN));
            assert_eq!(out, bytes);
        }
    }
}

#[test]
fn refuses() {
    let bad = |field, value| Err(Error::Field { header: "vnet", field, value });
    let mut bytes = [0; LEN];
    bytes[1] = 2;
    assert_eq!(Header::parse(&bytes), bad("gso_type", 2));
    // Segmentation inside a UDP tunnel, which is never negotiated.
    bytes[1] = 0x21;
    assert_eq!(Header::parse(&bytes), bad("gso_type", 0x21));
    bytes[1] = 1;
    assert_eq!(Header::parse(&bytes), bad("gso_size", 0));
    let short = Error::Truncated { header: "vnet", need: 12, have: 11 };
    assert_eq!(Header::parse(&bytes[..11]), Err(short));
    let check_space = Error::BufferTooSmall { header: "vnet", need: 12, have: 11 };
    assert_eq!(Header::default().emit(&mut bytes[..11]), Err(check_space));
}

#[test]
fn a_tag_shifts_what_counts_from_the_start() {
    let header = Header::parse(&captured_vnet("udp-gso")).unwrap();
    let tagged = header.shifted(4).unwrap();
    assert_eq!((tagged.hdr_len, tagged.csum_start, tagged.csum_offset), (46, 38, 6));
    assert_eq!(tagged.shifted(-4), Ok(header));
    assert_eq!(Header::default().shifted(4), Ok(Header::default()));
    let error = Error::Field { header: "vnet", field: "csum_start", value: 34 };
    assert_eq!(header.shifted(-35), Err(error));
}

#[test]
fn completed() {
    let header = Header::parse(&captured_vnet("udp")).unwrap().checksum_completed();
    assert_eq!(header, Header::default());
}
