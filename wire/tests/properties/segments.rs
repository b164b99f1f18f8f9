//! Segmentation and coalescing: there and back, and whatever bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use vswitch_wire::coalesce::Layout;

use crate::gso::{self, Case};
use crate::{packets, runs};

fn case() -> impl Strategy<Value = Case> {
    let kind = any::<(bool, bool)>();
    let options = (0..6_u8, prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], any::<u8>());
    let flags = prop_oneof![
        3 => prop::sample::select(vec![0x10_u8, 0x18, 0x19, 0x90, 0xd0, 0x50]),
        1 => any::<u8>(),
    ];
    let payload = prop_oneof![vec(any::<u8>(), 0..200), vec(any::<u8>(), 0..9_000)];
    let size = prop_oneof![1..40_u16, 40..1_500_u16];
    (kind, options, flags, any::<u64>(), payload, size, any::<u8>()).prop_map(
        |((v6, tcp), (tags, ip_options, tcp_options), tcp_flags, seed, payload, size, prefix)| {
            Case { v6, tcp, tags, ip_options, tcp_options, tcp_flags, seed, payload, size, prefix }
        },
    )
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn segments_become_the_frame_again(case in case()) {
        gso::check(&case);
    }
}

/// Segments with some bytes changed, some frames twice, and a layout that fits or not.
fn damaged() -> impl Strategy<Value = (Vec<u8>, Layout)> {
    let changes = vec((any::<Index>(), 0..90_usize, any::<u8>()), 0..4);
    let stride = prop_oneof![4 => Just(0_isize), 1 => -3..3_isize];
    let mtu = prop_oneof![Just(u32::MAX), 0..1_500_u32];
    (case(), changes, stride, any::<bool>(), mtu, any::<Index>()).prop_filter_map(
        "more than IP can carry",
        |(case, changes, off, udp, mtu, twice)| {
            let (mut buffer, prefix, stride) = case.segments()?;
            let count = buffer.len().div_ceil(stride);
            for (frame, at, value) in changes {
                // Mostly in the headers.
                let at = frame.index(count) * stride + at;
                buffer.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
            let again = twice.index(count) * stride;
            buffer.splice(
                again..again,
                buffer[again..].iter().copied().take(stride).collect::<Vec<_>>(),
            );
            Some((buffer, Layout { prefix, stride: stride.saturating_add_signed(off), udp, mtu }))
        },
    )
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn runs_of_damaged_segments((buffer, layout) in damaged()) {
        runs::check(&buffer, layout);
    }

    #[test]
    fn runs_of_random_bytes(
        buffer in vec(any::<u8>(), 0..400),
        prefix in 0..20_usize,
        stride in 0..120_usize,
        mtu in any::<u32>(),
        size in any::<u16>(),
    ) {
        runs::check(&buffer, Layout { prefix, stride, udp: true, mtu });
        runs::segment_by_every_kind(&buffer, size);
    }

    #[test]
    fn segments_of_any_frame(frame in packets::frame(), size in 0..300_u16, cut in any::<Index>()) {
        runs::segment_by_every_kind(&frame, size);
        runs::segment_by_every_kind(&frame[..cut.index(frame.len())], size);
    }
}
