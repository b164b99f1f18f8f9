use super::{Trial, highest};

/// A link that carries so much and loses the rest.
fn link(capacity: f64) -> impl FnMut(f64) -> anyhow::Result<(Trial, ())> {
    move |rate| {
        let sent = rate as u64;
        let received = rate.min(capacity) as u64;
        Ok((Trial { sent, received, sent_pps: rate }, ()))
    }
}

#[test]
fn finds_what_a_link_carries() {
    for capacity in [5_000.0, 60_000.0, 123_456.0, 390_000.0] {
        let (found, ()) =
            highest(4_000.0, 400_000.0, 12, link(capacity)).expect("ran").expect("found");
        let ratio = found / capacity;
        assert!((0.995..=1.002).contains(&ratio), "{found} of {capacity}");
    }
}

#[test]
fn a_link_that_carries_nothing_has_no_rate() {
    assert!(highest(4_000.0, 400_000.0, 8, link(100.0)).expect("ran").is_none());
}

#[test]
fn a_rate_that_the_sender_does_not_reach_is_no_success() {
    let lame = |rate: f64| {
        let sent_pps = rate.min(50_000.0);
        let sent = sent_pps as u64;
        Ok((Trial { sent, received: sent, sent_pps }, ()))
    };
    let (found, ()) = highest(4_000.0, 400_000.0, 12, lame).expect("ran").expect("found");
    assert!(found <= 50_001.0, "{found}");
}

#[test]
fn one_hiccup_does_not_condemn_a_rate() {
    let mut carries = link(100_000.0);
    let mut number = 0;
    let hiccup = |rate| {
        number += 1;
        let (trial, ()) = carries(rate)?;
        // Each first attempt loses a tenth.
        let received = if number == 1 { trial.received * 9 / 10 } else { trial.received };
        Ok((Trial { received, ..trial }, ()))
    };
    let (found, ()) = highest(4_000.0, 400_000.0, 12, hiccup).expect("ran").expect("found");
    assert!(found > 99_000.0, "{found}");
}

#[test]
fn one_in_a_thousand_may_be_lost_and_no_more() {
    let trial = |received| Trial { sent: 10_000, received, sent_pps: 1e4 };
    assert!(trial(9_990).passes(1e4));
    assert!(!trial(9_989).passes(1e4));
    assert!(!Trial { sent: 0, received: 0, sent_pps: 1e4 }.passes(1e4));
}
