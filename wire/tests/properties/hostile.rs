//! Random, mutated and truncated bytes: no panic, and agreement where the oracle accepts.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{agree, captured, exercise, forward, packets};

fn survive(frame: &[u8]) {
    agree::check(frame);
    exercise::meta(frame);
    exercise::views(frame);
    forward::check(frame);
}

/// Each header of the frame, if it has headers: the views start in the middle as well.
fn survive_from_everywhere(frame: &[u8]) {
    for start in 0..frame.len().min(64) {
        exercise::views(&frame[start..]);
    }
}

#[test]
fn captured_frames_from_everywhere_and_truncated() {
    for frame in captured().values() {
        survive_from_everywhere(frame);
        for len in 0..frame.len() {
            survive(&frame[..len]);
        }
    }
}

#[test]
fn captured_frames_with_each_byte_turned() {
    for frame in captured().values() {
        for at in 0..frame.len().min(80) {
            for value in [0, 1, 0x7f, 0x80, 0xff, frame[at] ^ 1, frame[at].wrapping_add(1)] {
                let mut frame = frame.clone();
                frame[at] = value;
                agree::check(&frame);
                exercise::meta(&frame);
            }
        }
    }
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn random_bytes(bytes in vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    #[test]
    fn random_behind_an_ethertype(
        ethertype in prop::sample::select(vec![0x0800_u16, 0x86dd, 0x0806, 0x8100, 0x88a8]),
        first in any::<u8>(),
        rest in vec(any::<u8>(), 0..200),
    ) {
        // A version that fits, so that the random bytes get further than the first check.
        let version = match ethertype {
            0x0800 => 0x45 + first % 3,
            0x86dd => 0x60 | first & 0x0f,
            _ => first,
        };
        let mut frame = [&[2; 12], &ethertype.to_be_bytes()[..], &[version], &rest].concat();
        survive(&frame);
        if frame.len() > 20 && ethertype == 0x0800 {
            // And a total length that fits.
            let total = (frame.len() - 14) as u16;
            frame[16..18].copy_from_slice(&total.to_be_bytes());
            survive(&frame);
        }
        if frame.len() > 54 && ethertype == 0x86dd {
            let payload = (frame.len() - 54) as u16;
            frame[18..20].copy_from_slice(&payload.to_be_bytes());
            frame[20] = [0, 43, 44, 51, 60][usize::from(first) % 5];
            survive(&frame);
        }
    }

    #[test]
    fn mutated(
        mut frame in packets::frame(),
        changes in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        for (at, value) in changes {
            // Mostly in the headers.
            let at = at.index(frame.len().min(90));
            frame[at] = value;
        }
        survive(&frame);
        survive(&frame[..cut.index(frame.len())]);
    }
}
