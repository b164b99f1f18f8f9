use super::{Pair, order};

fn pair(gbps: f64, p50_us: f64, p99_us: f64) -> Pair {
    Pair { gbps, p50_us, p99_us }
}

#[test]
fn figures_are_found_by_the_keys_of_their_rows() {
    let figures = [("tcp1.gbps", 20.0), ("rtt-tcp.p50_us", 40.0), ("rtt-tcp.p99_us", 90.0)];
    let mut figures = figures.map(|(key, value)| (key.to_owned(), value)).to_vec();
    assert_eq!(Pair::from(&figures).expect("all there"), pair(20.0, 40.0, 90.0));
    figures.remove(1);
    let error = Pair::from(&figures).expect_err("one is missing").to_string();
    assert!(error.contains("rtt-tcp.p50_us"), "{error}");
}

#[test]
fn medians_are_taken_of_each_figure() {
    let pairs = [pair(1.0, 30.0, 5.0), pair(3.0, 10.0, 6.0), pair(2.0, 20.0, 70.0)];
    assert_eq!(Pair::medians(&pairs), Some(pair(2.0, 20.0, 6.0)));
    assert_eq!(Pair::medians(&[]), None);
}

#[test]
fn a_pair_is_a_multiple_of_another() {
    let (attacked, calm) = (pair(16.0, 50.0, 180.0), pair(20.0, 40.0, 90.0));
    assert_eq!(attacked.over(&calm), Some(pair(0.8, 1.25, 2.0)));
    assert_eq!(attacked.over(&pair(0.0, 1.0, 1.0)), None);
}

#[test]
fn both_take_turns_to_begin() {
    assert_eq!([0, 1, 2].map(order), [[false, true], [true, false], [false, true]]);
}
