//! Segmentation and coalescing: there and back, and whatever bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::gso::{self, Case};

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
