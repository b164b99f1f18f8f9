use std::time::{Duration, Instant};

use super::{Order, burst_max, due, pace};

fn order(pps: f64, ms: u64) -> Order {
    Order { trial: 1, pps, time: Duration::from_millis(ms) }
}

#[test]
fn orders_are_read() {
    let expected = Order { trial: 7, pps: 1500.0, time: Duration::from_millis(300) };
    assert_eq!(Order::parse("7 1500 300"), Some(expected));
    assert_eq!(Order::parse("7 1500"), None);
    assert_eq!(Order::parse("x 1500 300"), None);
}

#[test]
fn no_more_is_due_than_the_rate_times_the_time() {
    assert_eq!(due(&order(10_000.0, 100), Duration::from_millis(50)), 500);
    assert_eq!(due(&order(10_000.0, 100), Duration::from_secs(9)), 1000);
    assert_eq!(burst_max(40_000.0), 21);
    assert_eq!(burst_max(100.0), 1);
}

#[test]
fn never_sends_more_than_was_ordered() {
    let mut calls = 0;
    let sent = pace(&order(5_000.0, 40), Instant::now(), || {
        calls += 1;
        true
    });
    assert_eq!(sent, calls);
    assert!((1..=200).contains(&sent), "{sent}");
}

#[test]
fn what_the_kernel_refuses_does_not_count() {
    assert_eq!(pace(&order(5_000.0, 20), Instant::now(), || false), 0);
}

#[test]
fn a_sender_that_was_held_up_catches_up() {
    let mut calls = 0;
    let sent = pace(&order(20_000.0, 60), Instant::now(), || {
        calls += 1;
        if calls == 100 {
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    });
    // All but what was due in the last moments; a busy machine may wake it late.
    assert!((900..=1200).contains(&sent), "{sent}");
}
