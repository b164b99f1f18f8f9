use super::Name;

#[test]
fn accepts_labels_and_lowers_their_case() {
    for (text, name) in [("a", "a"), ("web-1", "web-1"), ("9", "9"), ("Web", "web")] {
        assert_eq!(text.parse::<Name>().unwrap().as_str(), name);
    }
    assert!("x".repeat(63).parse::<Name>().is_ok());
}

#[test]
fn refuses_what_is_no_label_with_the_text() {
    let long = "x".repeat(64);
    for text in ["", "-a", "a-", "a.b", "a_b", "a b", "ä", "a/b", "a\n", long.as_str()] {
        let error = text.parse::<Name>().unwrap_err();
        assert_eq!(error.text, text);
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
