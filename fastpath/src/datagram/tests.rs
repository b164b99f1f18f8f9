use super::*;

#[test]
fn a_header_survives_its_bytes() {
    for peer in ["192.0.2.1:4789", "[2001:db8::1]:65535", "0.0.0.0:0"] {
        let header =
            Header { peer: peer.parse().expect("an address"), segment: 1450, socket: 7, tos: 0xb9 };
        let mut bytes = [0xff; LEN + 1];
        assert!(header.write(&mut bytes));
        assert_eq!(Header::read(&bytes), Some(header));
        assert_eq!(bytes[LEN], 0xff, "nothing is written behind the header");
    }
}

#[test]
fn a_short_buffer_is_refused_and_kept() {
    let header =
        Header { peer: "192.0.2.1:1".parse().expect("an address"), segment: 0, socket: 0, tos: 0 };
    let mut bytes = [0xff; LEN - 1];
    assert!(!header.write(&mut bytes));
    assert_eq!(bytes, [0xff; LEN - 1]);
    assert_eq!(Header::read(&bytes), None);
}

#[test]
fn parts_cover_the_payload() {
    for (segment, len, datagrams) in [
        (0, 0, 1),
        (0, 50, 1),
        (50, 50, 1),
        (60, 50, 1),
        (50, 51, 2),
        (50, 100, 2),
        (7, 65_507, 9359),
    ] {
        let header = Header { peer: ([192, 0, 2, 1], 4789).into(), segment, socket: 0, tos: 0 };
        assert_eq!(header.datagrams(len), datagrams, "{segment}, {len}");
        let whole: Vec<_> = header.parts(len, true).collect();
        assert_eq!(whole.len(), 1);
        assert_eq!((whole[0].len as usize, whole[0].datagrams()), (len, datagrams as u64));
        let parts: Vec<_> = header.parts(len, false).collect();
        assert_eq!(parts.len(), datagrams, "{segment}, {len}");
        let mut end = 0;
        for part in parts {
            assert_eq!((part.start as usize, part.segment), (end, 0));
            end += part.len as usize;
        }
        assert_eq!(end, len);
    }
}

#[test]
fn a_part_beyond_the_frame_has_no_bytes() {
    let frame = [7; LEN + 10];
    let part = |start, len| Part { start, len, segment: 0 };
    assert_eq!(part(2, 8).of(&frame), Some(&[7; 8][..]));
    assert_eq!(part(2, 9).of(&frame), None);
    assert_eq!(part(11, 0).of(&frame), None);
}
