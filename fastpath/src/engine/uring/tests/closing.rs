//! Ports that close, and devices that vanish.

use super::*;

#[test]
fn a_device_that_vanishes_is_reported_once_and_sends_to_it_are_drops() {
    let mut bench = Bench::new();
    bench.script.borrow_mut().fire(A, libc::POLLERR);
    bench.round();
    assert_eq!(bench.events(), [EngineEvent::Gone(A)]);
    bench.send(A);
    bench.round();
    assert_eq!(bench.events(), []);
    assert_eq!(bench.engine.port_io(A).tx_drops[TxDrop::Gone as usize], 1);
    bench.engine.detach(A);
    bench.round();
    assert_eq!(bench.events(), [EngineEvent::Detached(A)]);
    bench.assert_clean();
}

#[test]
fn a_device_that_vanishes_with_operations_in_flight_gives_all_buffers_back() {
    let mut bench = Bench::new();
    bench.incoming(&[Ok(72), Ok(72), Err(libc::EBADFD), Err(libc::EBADFD)]);
    bench.send(A);
    bench.script.borrow_mut().writes.push_back(Err(libc::EBADFD));
    for _ in 0..4 {
        bench.round();
    }
    assert_eq!(bench.events(), [EngineEvent::Gone(A)]);
    assert!(!bench.engine.is_busy(), "a dead port is not read");
    bench.assert_clean();
}

#[test]
fn detaching_cancels_the_poll_and_frees_the_slot_only_then() {
    let mut bench = Bench::new();
    bench.engine.detach(A);
    let null = || std::fs::File::open("/dev/null").expect("it is there").into();
    assert!(bench.engine.attach(A, PortQueue::Tap(null())).is_err(), "still closing");
    bench.send(A);
    bench.round();
    assert_eq!(bench.events(), [EngineEvent::Detached(A)]);
    assert_eq!(bench.script.borrow().registered, [B]);
    assert_eq!(bench.engine.port_io(A).tx_drops[TxDrop::Gone as usize], 1);
    bench.engine.attach(A, PortQueue::Tap(null())).expect("the slot is free");
    bench.assert_clean();
}

#[test]
fn detaching_an_active_port_discards_what_it_still_reads() {
    let mut bench = Bench::new();
    bench.incoming(&[Ok(72)]);
    bench.engine.submit_reads(&mut bench.pool);
    bench.engine.detach(A);
    bench.round();
    bench.round();
    assert_eq!(bench.events(), [EngineEvent::Detached(A)]);
    assert!(bench.received.is_empty());
    bench.assert_clean();
}

#[test]
fn a_cancellation_that_fails_is_tried_again() {
    let mut bench = Bench::new();
    bench.script.borrow_mut().fail_cancel = Some(libc::ENOMEM);
    bench.engine.detach(A);
    bench.round();
    assert_eq!(bench.events(), []);
    bench.round();
    assert_eq!(bench.events(), [EngineEvent::Detached(A)]);
    bench.assert_clean();
}

#[test]
fn a_port_that_closes_while_room_is_made_for_its_reads_is_read_no_further() {
    let mut bench = Bench::new();
    bench.incoming(&[Ok(72), Ok(72), Ok(72), Ok(72), Ok(72), Ok(72), Ok(72)]);
    bench.round();
    bench.round();
    bench.script.borrow_mut().sq_entries = 2;
    bench.engine.detach(A);
    for _ in 0..3 {
        bench.round();
    }
    assert_eq!(bench.events(), [EngineEvent::Detached(A)]);
    let null = std::fs::File::open("/dev/null").expect("it is there");
    bench.engine.attach(A, PortQueue::Tap(null.into())).expect("the slot is free");
    bench.round();
    bench.engine.detach(A);
    bench.round();
    bench.round();
    assert_eq!(bench.events(), [EngineEvent::Detached(A)]);
    bench.assert_clean();
}

#[test]
fn each_detached_port_gives_its_own_descriptor() {
    let mut bench = Bench::new();
    bench.engine.detach(A);
    bench.engine.detach(B);
    bench.round();
    assert!(bench.engine.take_closed(A).is_some() && bench.engine.take_closed(B).is_some());
    assert!(bench.engine.take_closed(A).is_none());
}
