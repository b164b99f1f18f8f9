//! Checksums against a model that adds word by word.

use proptest::prelude::*;
use vswitch_wire::checksum::{self, Delta};

use crate::translate::{self, Case};

/// RFC 1071, as its section 1 says it.
fn naive(data: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let end_around = |sum: u32, word: u32| (sum + word) % 0x1_0000 + (sum + word) / 0x1_0000;
    data.chunks(2).map(word).fold(0, end_around) as u16
}

/// Words that are often a corner.
fn word() -> impl Strategy<Value = u16> {
    prop_oneof![any::<u16>(), Just(0), Just(0xffff), Just(1), Just(0xfffe)]
}

fn address() -> impl Strategy<Value = u128> {
    prop_oneof![any::<u128>(), Just(0), Just(u128::MAX), Just(1)]
}

fn case() -> impl Strategy<Value = Case> {
    let addresses = [address(), address(), address()];
    let payload = prop::collection::vec(any::<u8>(), 0..64);
    (any::<(bool, bool)>(), addresses, (word(), word(), word()), payload)
        .prop_map(|(kind, addresses, ports, payload)| Case::new(kind, addresses, ports, payload))
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn the_fast_sum_is_the_naive_one(data in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(checksum::sum(&data), naive(&data));
        prop_assert_eq!(checksum::checksum(&data), !naive(&data));
    }

    #[test]
    fn sums_add_up(a in prop::collection::vec(word(), 0..40), b in prop::collection::vec(word(), 0..40)) {
        let bytes = |words: &[u16]| words.iter().flat_map(|w| w.to_be_bytes()).collect::<Vec<_>>();
        let (a, b) = (bytes(&a), bytes(&b));
        let both = [&a[..], &b[..]].concat();
        prop_assert_eq!(checksum::add(checksum::sum(&a), checksum::sum(&b)), checksum::sum(&both));
    }

    #[test]
    fn a_changed_word_by_difference(
        mut words in prop::collection::vec(word(), 1..20),
        at in any::<prop::sample::Index>(),
        new in word(),
    ) {
        // As in every real packet, something that does not change is not zero.
        words.push(0x4500);
        let at = at.index(words.len() - 1);
        let full = |words: &[u16]| {
            !words.iter().fold(0, |sum, word| checksum::add(sum, *word))
        };
        let before = full(&words);
        let change = Delta::u16(words[at], new);
        words[at] = new;
        prop_assert_eq!(change.apply(before), full(&words));
        prop_assert_eq!(change.apply_to_sum(!before), !full(&words));
    }

    #[test]
    fn wide_changes_are_narrow_ones(old in address(), new in address(), field in word()) {
        let words = |value: u128| value.to_be_bytes().map(u16::from).chunks(2)
            .map(|pair| pair[0] << 8 | pair[1]).collect::<Vec<_>>();
        let narrow = words(old).iter().zip(words(new))
            .fold(Delta::NONE, |sum, (old, new)| sum.and(Delta::u16(*old, new)));
        prop_assert_eq!(Delta::u128(old, new).apply(field), narrow.apply(field));
        let (old, new) = (old as u32, new as u32);
        prop_assert_eq!(Delta::u32(old, new), Delta::u128(old.into(), new.into()));
    }

    #[test]
    fn translated_is_made_anew(case in case()) {
        translate::check(&case);
    }
}
