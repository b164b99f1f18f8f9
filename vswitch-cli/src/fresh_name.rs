//! Names for attachments that nobody named: two short words, such as `calm-otter`.

use crate::error::{Failure, Outcome};

const FIRST: [&str; 32] = [
    "able", "bold", "brave", "bright", "brisk", "calm", "clear", "cool", "eager", "early", "fair",
    "fast", "fine", "fond", "glad", "grand", "happy", "keen", "kind", "light", "lucky", "merry",
    "mild", "neat", "proud", "quick", "quiet", "sharp", "smart", "solid", "sunny", "warm",
];

const SECOND: [&str; 32] = [
    "badger", "bear", "bee", "crane", "crow", "deer", "dove", "duck", "eagle", "elk", "falcon",
    "finch", "fox", "frog", "goat", "goose", "gull", "hare", "hawk", "heron", "ibis", "lark",
    "lynx", "mole", "moth", "otter", "owl", "raven", "robin", "seal", "swan", "wren",
];

/// A name by chance.
pub(crate) fn pick() -> Outcome<String> {
    let cannot = |error| Failure::new(format!("the kernel gives no random numbers: {error}"));
    Ok(name(getrandom::u64().map_err(cannot)?))
}

/// The name of a number.
fn name(number: u64) -> String {
    let word = |words: [&'static str; 32], at: u64| words[at as usize % words.len()];
    format!("{}-{}", word(FIRST, number), word(SECOND, number >> 32))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::value;

    #[test]
    fn names_are_short_valid_and_many() {
        let names = (0..32_u64).flat_map(|a| (0..32_u64).map(move |b| name(a | b << 32)));
        let names: BTreeSet<String> = names.collect();
        assert_eq!(names.len(), 1024);
        assert!(names.iter().all(|name| value::attachment(name).is_ok() && name.len() <= 13));
        assert!(pick().unwrap().contains('-'));
    }
}
