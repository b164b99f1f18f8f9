//! Captured frames for the unit tests.

use std::string::ToString;
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
    assert!(digits.len() % 2 == 0, "odd number of digits: {}", digits.len());
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<std::string::String>());
    pairs.map(|pair| u8::from_str_radix(&pair, 16).expect(&pair.to_string())).collect()
}
