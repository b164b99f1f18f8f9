//! "Did you mean": the known word that is nearest to a wrong one.

/// From this likeness on (Jaro, 0 to 1) a word may be meant; clap's own suggestions use the same.
const LIKENESS_MIN: f64 = 0.7;

/// The known word that is most like `word`, if one is like it at all: fewest edits, then the highest likeness.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let compare = |other: &'a str| {
        let lower = other.to_lowercase();
        (strsim::osa_distance(&word, &lower), strsim::jaro(&word, &lower), other)
    };
    let is_alike = |&(edits, likeness, _): &(usize, f64, &str)| {
        // A single edit of a short word has a low likeness.
        likeness > LIKENESS_MIN || edits == 1 && word.len() >= 3
    };
    let alike = known.into_iter().map(compare).filter(is_alike);
    let order = |a: &(usize, f64, &str), b: &(usize, f64, &str)| {
        a.0.cmp(&b.0).then_with(|| b.1.total_cmp(&a.1))
    };
    alike.min_by(order).map(|(_, _, other)| other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_similar_word_is_meant() {
        let known = ["web", "web-2", "database", "Proxy"];
        assert_eq!(nearest("wbe", known), Some("web"));
        assert_eq!(nearest("web2", known), Some("web-2"));
        assert_eq!(nearest("databse", known), Some("database"));
        assert_eq!(nearest("proxy", known), Some("Proxy"));
    }

    #[test]
    fn a_word_like_none_has_no_suggestion() {
        assert_eq!(nearest("nobody", ["web", "db"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
