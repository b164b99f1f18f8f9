//! One frame of any bytes, for the properties and the fuzz target.

use std::net::IpAddr;

use vswitch_nat::parse::view;
use vswitch_nat::rewrite::rewrite;
use vswitch_nat::{Edit, Endpoint, Kind, Transport};
use wire::{ChecksumState, Meta};

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
