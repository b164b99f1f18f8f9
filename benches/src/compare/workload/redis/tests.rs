use super::parse;

#[test]
fn the_rate_is_that_after_the_lead() {
    let line = |rate: &str| {
        let text = format!("GET: rps={rate} (overall: 98809.5) avg_msec=0.277 (overall: 0.277)\r");
        format!("{:60}\r{text}", "")
    };
    let mut text: String = ["0.0", "30000.0", "60000.0"].map(line).concat();
    assert!(parse(&text).is_err(), "nothing after the lead");
    text += &["100000.5", "99999.5"].map(line).concat();
    assert!((parse(&text).expect("a rate") - 100_000.0).abs() < 1e-6);
    assert!(parse("Could not connect to Redis at 10.99.0.3:6379").is_err());
}
