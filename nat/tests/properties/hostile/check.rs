//! One frame of any bytes, for the properties and the fuzz target.

use std::net::IpAddr;

use vswitch_nat::icmp_error::{IcmpError, IcmpSource, Suppressed, emit_icmp_error};
use vswitch_nat::limits::ICMP_ERROR_FRAME_MAX;
use vswitch_nat::parse::view;
use vswitch_nat::rewrite::rewrite;
use vswitch_nat::ttl::{self, Ttl};
use vswitch_nat::{Edit, Endpoint, Kind, Transport, fragmenter, mss_clamp};
use wire::{ChecksumState, MacAddr, Meta};

/// Views and rewrites the frame, if it can be forwarded at all.
pub(crate) fn check(frame: &[u8]) {
    let Ok(meta) = Meta::parse(frame) else { return };
    let before = view(&meta, frame);
    let new = |address: IpAddr, port| match address {
        IpAddr::V4(_) => Endpoint::new([192, 0, 2, 1].into(), port),
        IpAddr::V6(_) => Endpoint::new([0x2001; 8].into(), port),
    };
    let (src, mut dst) = (new(before.src, 20_000), new(before.dst, 53));
    let mut quoted = None;
    match before.kind {
        Kind::Flow { tuple, .. } if tuple.transport == Transport::Echo => dst.port = src.port,
        Kind::Error(found) => {
            let (src, mut dst) = (new(before.src, 1), new(before.dst, 2));
            if found.tuple.transport == Transport::Echo {
                dst.port = src.port;
            }
            quoted = Some((src, dst));
        }
        _ => {}
    }
    for state in [ChecksumState::Complete, ChecksumState::Partial, ChecksumState::None] {
        let mut changed = frame.to_vec();
        let done = rewrite(&Edit { src, dst, quoted }, &meta, &mut changed, state);
        if done.is_err() {
            assert_eq!(changed, frame, "an error changes nothing");
            continue;
        }
        assert_eq!(Meta::parse(&changed), Ok(meta), "headers stay where they were");
        let after = view(&meta, &changed);
        assert_eq!((after.src, after.dst), (src.address, dst.address));
        assert_eq!((after.fragment, after.len), (before.fragment, before.len));
        match (before.kind, after.kind) {
            (Kind::Flow { segment, .. }, Kind::Flow { tuple, segment: same, .. }) => {
                assert_eq!((tuple.src, tuple.dst, segment), (src, dst, same));
            }
            (Kind::Error(_), Kind::Error(found)) => {
                assert_eq!(quoted, Some((found.tuple.src, found.tuple.dst)));
            }
            (before, after) => assert_eq!(before, after),
        }
    }
    // Metadata of another frame.
    let mut cut = frame[..frame.len() / 2].to_vec();
    let _ = view(&meta, &cut);
    let _ = rewrite(&Edit { src, dst, quoted }, &meta, &mut cut, ChecksumState::Complete);
}

/// What else is done to the frame: hop, clamp, cut, answer.
pub(crate) fn others(frame: &[u8]) {
    let Ok(meta) = Meta::parse(frame) else { return };
    let mut changed = frame.to_vec();
    if ttl::decrement(&meta, &mut changed) != Ttl::Decremented {
        assert_eq!(changed, frame, "a packet that does not go on is left alone");
    }
    for state in [ChecksumState::Complete, ChecksumState::Partial] {
        let mut changed = frame.to_vec();
        if mss_clamp::clamp(&meta, &mut changed, 1_280, state).is_none() {
            assert_eq!(changed, frame, "nothing was clamped");
        }
        assert_eq!(
            mss_clamp::clamp(&meta, &mut changed, 1_280, state),
            None,
            "clamped once is enough"
        );
    }
    for mtu in [0, 28, 68, 576, 1_500] {
        cut(&meta, frame, mtu);
    }
    answered(&meta, frame);
}

/// Fragments fit, and say together what the packet said.
fn cut(meta: &Meta, frame: &[u8], mtu: u32) {
    let Ok(mut pieces) = fragmenter::fragment_ipv4(meta, frame, mtu) else { return };
    let header_len = usize::from(meta.l4_offset - meta.l3_offset);
    let (mut payload, mut buffer) = (Vec::new(), vec![0; frame.len()]);
    while let Some(len) = pieces.write_next(&mut buffer) {
        let piece = Meta::parse(&buffer[..len]).expect("a frame");
        let ip = wire::ipv4::Packet::new_checked(piece.l3_bytes(&buffer[..len])).expect("a packet");
        assert!(ip.verify_checksum() && u32::from(ip.total_len()) <= mtu);
        payload.extend_from_slice(ip.payload());
    }
    assert_eq!(payload, meta.l3_bytes(frame)[header_len..], "no byte is lost");
}

/// An answer is one that nobody answers (RFC 1812 section 4.3.2.7, RFC 4443 section 2.4 e.1).
fn answered(meta: &Meta, frame: &[u8]) {
    let router = IcmpSource {
        mac: MacAddr([2, 0, 0, 0, 0, 9]),
        ipv4: Some([192, 0, 2, 9].into()),
        ipv6: Some([0x2001; 8].into()),
        broadcasts: &[],
    };
    let mut buffer = [0; ICMP_ERROR_FRAME_MAX];
    for error in [IcmpError::TimeExceeded, IcmpError::TooBig(1_400), IcmpError::Prohibited] {
        let Ok(len) = emit_icmp_error(error, &router, meta, frame, &mut buffer) else { continue };
        let (about, mut again) = (&buffer[..len], [0; ICMP_ERROR_FRAME_MAX]);
        let meta = Meta::parse(about).expect("a frame");
        let suppressed = emit_icmp_error(error, &router, &meta, about, &mut again);
        assert_eq!(suppressed, Err(Suppressed::AboutError));
    }
}
