use std::net::Ipv4Addr;

use super::{Interface, Sender, tx_packets};

#[test]
fn frames_that_left_are_the_tenth_counter() {
    let table = "Inter-|   Receive                            |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs\n    \
        lo:  11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26\n  \
        eth0: 1 2 3 4 5 6 7 8 9 777 11 12 13 14 15 16\n";
    assert_eq!(tx_packets(table, "eth0"), Some(777));
    assert_eq!(tx_packets(table, "lo"), Some(20));
    assert_eq!(tx_packets(table, "eth"), None);
}

#[test]
fn the_interface_is_found_by_its_address() {
    let found = Interface::with(Ipv4Addr::LOCALHOST).expect("loopback");
    assert_eq!(found.name, "lo");
    assert!(found.passed().is_ok());
    let error = Interface::with(Ipv4Addr::new(192, 0, 2, 77)).expect_err("nobody has it");
    assert!(error.to_string().contains("192.0.2.77"), "{error}");
}

#[test]
fn datagrams_do_not_wait_for_a_receiver() {
    let mut sender = Sender::datagrams(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST).expect("socket");
    // Every other send reports that nobody listens; none blocks.
    let sent = (0..100).filter(|_| sender.send()).count();
    assert!((1..=100).contains(&sent), "{sent}");
}
