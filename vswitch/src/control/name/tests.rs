use super::Name;

#[test]
fn accepts_the_names_of_runtimes_as_they_are() {
    let id = "0123456789abcdef".repeat(4);
    for name in ["a", "web-1", "9", "Web", "my_app.v1", "a-", "a.", id.as_str()] {
        assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
    }
    assert!("x".repeat(128).parse::<Name>().is_ok());
}

#[test]
fn refuses_other_texts_with_the_text() {
    let long = "x".repeat(129);
    for text in ["", "-a", ".a", "_a", "a b", "ä", "a/b", "a\n", "a:b", long.as_str()] {
        let error = text.parse::<Name>().unwrap_err();
        assert_eq!(error.text, text);
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn dns_names_are_in_lower_case_and_can_be_asked_for() {
    let dns = |text: &str| text.parse::<Name>().unwrap().dns_name();
    assert_eq!(dns("My_App.V1").as_deref(), Some("my_app.v1"));
    assert_eq!(dns(&"x".repeat(63)).map(|name| name.len()), Some(63));
    assert_eq!((dns(&"x".repeat(64)), dns("a..b"), dns("a.")), (None, None, None));
}

#[test]
fn an_alias_can_be_asked_for() {
    assert_eq!(Name::alias("DB.v1").unwrap().as_str(), "DB.v1");
    for text in [&"x".repeat(64), "a..b", "a.", "-a", ""] {
        let error = Name::alias(text).unwrap_err();
        assert_eq!(error.text, text);
    }
}
