//! Any bytes: nothing panics, an error changes nothing, and what is rewritten says what it was told to.

use proptest::collection::vec;
use proptest::prelude::*;
use vswitch_nat::parse::view;
use vswitch_nat::rewrite::rewrite;
use vswitch_nat::{Edit, Endpoint, Kind, Transport};
use wire::{ChecksumState, Meta};

/// Views and rewrites the frame, if it can be forwarded at all.
pub(crate) fn check(frame: &[u8]) {
    let Ok(meta) = Meta::parse(frame) else { return };
    let before = view(&meta, frame);
    let new = |address: std::net::IpAddr, port| match address {
        std::net::IpAddr::V4(_) => Endpoint::new([192, 0, 2, 1].into(), port),
        std::net::IpAddr::V6(_) => Endpoint::new([0x2001; 8].into(), port),
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

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..200), ethertype in prop_oneof![Just(0x0800_u16), Just(0x86dd)]) {
        check(&bytes);
        let mut frame = bytes;
        if frame.len() > 14 {
            frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
            frame[14] = if ethertype == 0x0800 { 0x45 } else { 0x60 };
            check(&frame);
        }
    }

    #[test]
    fn packets_with_changed_bytes(
        packet in any::<bool>().prop_flat_map(crate::packet::packet),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..5),
        len in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut frame = packet.frame();
        for (at, value) in changes {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        check(&frame);
        if cut {
            frame.truncate(len.index(frame.len()));
            check(&frame);
        }
    }
}
