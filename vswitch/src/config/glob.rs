//! Patterns of device names.

use std::fmt;
use std::str::FromStr;

use super::types::ValueError;

/// Longest pattern in bytes: longer ones match no device.
const LEN_MAX: usize = 32;

/// A pattern of device names: `*` stands for any text, `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(pattern.to_owned())
    }

    /// Whether a name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut at, mut pos) = (0, 0);
        // Where to go on if the rest does not match: after the last `*`, with one more character for it.
        let mut retry = None;
        while pos < name.len() {
            match pattern.get(at) {
                Some(b'*') => {
                    retry = Some((at + 1, pos));
                    at += 1;
                }
                Some(b'?') => (at, pos) = (at + 1, pos + 1),
                Some(byte) if *byte == name[pos] => (at, pos) = (at + 1, pos + 1),
                _ => {
                    let Some((after, from)) = retry else { return false };
                    retry = Some((after, from + 1));
                    (at, pos) = (after, from + 1);
                }
            }
        }
        pattern[at..].iter().all(|byte| *byte == b'*')
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Glob {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let is_part = |c: char| !c.is_whitespace() && !c.is_control() && c != '/' && c != ',';
        if text.is_empty() || text.len() > LEN_MAX || !text.chars().all(is_part) {
            return Err(ValueError::Glob(text.to_owned()));
        }
        Ok(Self::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let cases = [
            ("docker*", "docker0", true),
            ("docker*", "docker", true),
            ("docker*", "mydocker0", false),
            ("br-*", "br-1a2b", true),
            ("br-*", "br0", false),
            ("*0", "eth0", true),
            ("*0", "eth00", true),
            ("*0", "eth01", false),
            ("e?h*", "eth1", true),
            ("e?h*", "eh1", false),
            ("eth0", "eth0", true),
            ("eth0", "eth00", false),
            ("*", "", true),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axbxbx", false),
        ];
        for (pattern, name, matches) in cases {
            assert_eq!(Glob::new(pattern).matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_is_short_text_without_spaces() {
        for bad in ["", "a b", "a/b", "a,b", "0123456789012345678901234567890123"] {
            assert!(bad.parse::<Glob>().is_err(), "{bad}");
        }
        assert_eq!("veth*".parse::<Glob>().unwrap().to_string(), "veth*");
    }
}
