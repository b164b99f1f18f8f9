use super::{left_seconds, minutes};

#[test]
fn the_time_left_follows_the_pace() {
    // Nothing done: as estimated. Half done in twice the time: as much again.
    assert!((left_seconds(0, 60_000, 3.0) - 60.0).abs() < 1e-9);
    assert!((left_seconds(30_000, 60_000, 60.0) - 60.0).abs() < 1e-9);
    assert!((left_seconds(60_000, 60_000, 60.0)).abs() < 1e-9);
}

#[test]
fn minutes_and_seconds() {
    assert_eq!(minutes(0.4), "0:00 min");
    assert_eq!(minutes(125.9), "2:05 min");
}
