//! Captured frames for the unit tests.

use std::string::String;
use std::vec::Vec;

/// A frame of `testdata/linux.txt`.
pub(crate) fn captured(name: &str) -> Vec<u8> {
    find(include_str!("../testdata/linux.txt"), name)
}

/// A header and frame of `testdata/linux-vnet.txt`.
pub(crate) fn captured_vnet(name: &str) -> Vec<u8> {
    find(include_str!("../testdata/linux-vnet.txt"), name)
}

fn find(file: &str, name: &str) -> Vec<u8> {
    let mut lines = file.lines().filter_map(|line| line.split_once(' '));
    let found = lines.find(|(first, _)| *first == name);
    hex(found.map(|(_, bytes)| bytes).unwrap_or_else(|| panic!("no frame called {name}")))
}

/// Bytes from hexadecimal digits; blanks are skipped.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let pair = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16);
    digits.chunks(2).map(|digits| pair(digits).expect("hexadecimal digits")).collect()
}
