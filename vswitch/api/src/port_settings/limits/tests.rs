use serde_json::{Value, json};

use super::*;

#[test]
fn rates_are_written_as_people_write_them() {
    for (text, bits, shown) in [
        ("200M", 200_000_000, "200 Mbit/s"),
        ("200Mbit", 200_000_000, "200 Mbit/s"),
        ("200 mbit/s", 200_000_000, "200 Mbit/s"),
        ("1.5G", 1_500_000_000, "1500 Mbit/s"),
        ("64k", 64_000, "64 kbit/s"),
        ("8001", 8_001, "8001 bit/s"),
        ("400g", 400_000_000_000, "400 Gbit/s"),
    ] {
        let rate: BitRate = text.parse().unwrap();
        assert_eq!((rate.get(), rate.to_string().as_str()), (bits, shown), "{text}");
        assert_eq!(shown.parse::<BitRate>().unwrap(), rate);
    }
}

#[test]
fn rates_that_cannot_be_kept_are_refused_with_the_value() {
    let range = "8 kbit/s to 400 Gbit/s";
    for (text, shown) in [
        ("0", "0 bit/s"),
        ("0.0001k", "0 bit/s"),
        ("7999", "7999 bit/s"),
        ("401G", "401 Gbit/s"),
        ("99999999999999999999999", "99999999999999999999999"),
        ("99999999999999G", "99999999999999G"),
    ] {
        let error = text.parse::<BitRate>().unwrap_err().to_string();
        assert_eq!(error, format!("a rate of {shown} is out of range: {range}"));
    }
    for text in ["", "M", "fast", "-1M", "1e9", "1.M.", "1.5.5M", "0x10", "1T"] {
        assert!(matches!(text.parse::<BitRate>(), Err(LimitError::NotARate(_))), "{text}");
    }
    assert_eq!("0".parse::<FrameRate>(), Err(LimitError::FrameRate(0)));
    assert_eq!("0".parse::<MacCount>(), Err(LimitError::MacCount(0)));
    assert_eq!("65537".parse::<MacCount>(), Err(LimitError::MacCount(65_537)));
    assert!(matches!("many".parse::<Ceiling<FrameRate>>(), Err(LimitError::NotANumber(_))));
}

#[test]
fn a_ceiling_goes_through_json_and_text() {
    for (text, json) in
        [("default", json!("default")), ("off", json!("off")), ("5", json!(5)), ("17", json!(17))]
    {
        let ceiling: Ceiling<FrameRate> = text.parse().unwrap();
        assert_eq!(serde_json::to_value(ceiling).unwrap(), json);
        assert_eq!(serde_json::from_value::<Ceiling<FrameRate>>(json).unwrap(), ceiling);
    }
    for bad in [json!(0), json!("5"), json!(-1), json!(null), json!(1.5)] {
        assert!(serde_json::from_value::<Ceiling<FrameRate>>(bad.clone()).is_err(), "{bad}");
    }
}

#[test]
fn a_change_replaces_what_it_names() {
    let change: LimitsChange =
        serde_json::from_value(json!({"rate_in": 8_000_000, "loop_guard": false})).unwrap();
    let changed = Limits::default().changed(&change);
    assert_eq!(changed.rate_in, Ceiling::At(BitRate(8_000_000)));
    assert!(!changed.loop_guard);
    let same = Limits { rate_in: Ceiling::Default, loop_guard: true, ..changed };
    assert_eq!(same, Limits::default());
    assert!(serde_json::from_value::<LimitsChange>(json!({"rate": 1})).is_err());
    let kept: Limits = serde_json::from_value(json!({"macs_max": "off"})).unwrap();
    assert_eq!(serde_json::to_value(kept).unwrap()["macs_max"], Value::from("off"));
}
