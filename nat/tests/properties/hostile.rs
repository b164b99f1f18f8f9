//! Any bytes: nothing panics, an error changes nothing, and what is rewritten says what it was told to.

use proptest::collection::vec;
use proptest::prelude::*;

mod check;

use check::check;

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
