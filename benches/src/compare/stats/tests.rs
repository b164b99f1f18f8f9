use super::{Spread, median, quantile};

#[test]
fn medians() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0]), Some(3.0));
    assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
    assert_eq!(median(&[4.0, 1.0, 9.0, 2.0]), Some(3.0));
}

#[test]
fn quantiles_are_values_that_occurred() {
    let sorted: Vec<f64> = (1..=1000).map(f64::from).collect();
    assert_eq!(quantile(&sorted, 0.5), Some(500.0));
    assert_eq!(quantile(&sorted, 0.99), Some(990.0));
    assert_eq!(quantile(&sorted, 0.999), Some(999.0));
    assert_eq!(quantile(&[7.0], 0.999), Some(7.0));
    assert_eq!(quantile(&[], 0.5), None);
}

#[test]
fn spreads() {
    let spread = Spread::of(&[2.0, 8.0, 4.0]).expect("values");
    assert_eq!(spread, Spread { median: 4.0, min: 2.0, max: 8.0 });
    assert_eq!(Spread::of(&[]), None);
}
