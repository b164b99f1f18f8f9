//! "Did you mean": the known word that is nearest to a wrong one.

/// From this likeness on (Jaro, 0 to 1) a word may be meant; clap's own suggestions use the same.
const LIKENESS_MIN: f64 = 0.7;

/// The known word that is most like `word`, if one is like it at all.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let likeness = |other: &str| strsim::jaro(&word, &other.to_lowercase());
    let alike = known.into_iter().map(|other| (likeness(other), other));
    let alike = alike.filter(|(likeness, _)| *likeness > LIKENESS_MIN);
    alike.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, other)| other)
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
