//! The search list: domains as labels, one after the other (RFC 1035 section 3.1), without compression.

use crate::limits::SEARCH_BYTES_MAX;

/// Longest label in bytes.
const LABEL_MAX: usize = 63;

/// Domains in which short names are looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchList(Vec<u8>);

impl SearchList {
    /// The first of these domains that fit into [`SEARCH_BYTES_MAX`], without those that are no domain.
    pub fn new<'a>(domains: impl IntoIterator<Item = &'a str>) -> Self {
        let mut list = Vec::new();
        for domain in domains.into_iter().filter_map(encode) {
            if list.len() + domain.len() > SEARCH_BYTES_MAX {
                break;
            }
            list.extend(domain);
        }
        Self(list)
    }

    /// Whether it has no domain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The list as options have it.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.0
    }
}

fn encode(domain: &str) -> Option<Vec<u8>> {
    let mut encoded = Vec::with_capacity(domain.len() + 2);
    for label in domain.strip_suffix('.').unwrap_or(domain).split('.') {
        let is_sound = (1..=LABEL_MAX).contains(&label.len()) && label.is_ascii();
        encoded.push(u8::try_from(label.len()).ok().filter(|_| is_sound)?);
        encoded.extend(label.as_bytes());
    }
    encoded.push(0);
    Some(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_labels_one_after_the_other() {
        let list = SearchList::new(["corp.example", "lan."]);
        assert_eq!(list.encoded(), b"\x04corp\x07example\0\x03lan\0");
    }

    #[test]
    fn what_is_no_domain_is_left_out() {
        let long = "a".repeat(64);
        assert!(SearchList::new(["", ".", "a..b", &long, "b\u{fc}ro"]).is_empty());
    }

    #[test]
    fn domains_that_do_not_fit_are_left_out() {
        let domain = "a".repeat(50);
        let list = SearchList::new(std::iter::repeat_n(domain.as_str(), 10));
        assert_eq!(list.encoded().len(), SEARCH_BYTES_MAX / 52 * 52);
    }
}
