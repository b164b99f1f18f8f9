use super::*;
use crate::datapath::{NoObserver, Stats};

const PORT: PortIndex = PortIndex(3);

fn pair() -> (PeerTx, PeerRx) {
    connect(&Waker::new().expect("an eventfd"))
}

/// Takes one frame out, and sends its buffer back.
fn received(rx: &mut PeerRx) -> Vec<u8> {
    let handoff = rx.frames.pop().expect("one");
    let bytes = handoff.bytes.clone();
    rx.free.push(handoff.bytes).expect("a place");
    bytes
}

#[test]
fn frames_of_either_length_have_their_own_bound() {
    let (mut tx, mut rx) = pair();
    let (small, large) = (vec![1; HANDOFF_SMALL_BYTES], vec![2; HANDOFF_SMALL_BYTES + 1]);
    for _ in 0..HANDOFF_LARGE_MAX {
        assert!(tx.send(PORT, true, &large));
    }
    assert!(!tx.send(PORT, true, &large));
    for _ in 0..HANDOFF_SMALL_MAX {
        assert!(tx.send(PORT, true, &small));
    }
    assert!(!tx.send(PORT, true, &small));
    assert_eq!(received(&mut rx), large);
    assert!(!tx.send(PORT, true, &small), "a large buffer is not for small frames");
    assert!(tx.send(PORT, true, &large));
    assert!(!tx.send(PORT, true, &large));
}

#[test]
fn buffers_are_used_again_and_no_more_are_made_than_are_under_way() {
    let (mut tx, mut rx) = pair();
    for number in 0..10_000_u32 {
        let len = if number % 2 == 0 { 100 } else { 60_000 };
        assert!(tx.send(PORT, false, &vec![number as u8; len]));
        assert_eq!(received(&mut rx), vec![number as u8; len]);
    }
    assert_eq!((tx.small.made, tx.large.made), (1, 1));
    assert!(tx.send(PORT, true, &[7; FRAME_MAX]), "the longest frame there is");
    assert_eq!(received(&mut rx).capacity(), FRAME_MAX, "its buffer did not grow");
    assert_eq!(tx.large.made, 1);
}

#[test]
fn each_is_connected_with_each_and_with_nobody_twice() {
    let wakers: Vec<_> = (0..3).map(|_| Waker::new().expect("an eventfd")).collect();
    let all = HandoffQueues::mesh(&wakers);
    for (id, ends) in all.iter().enumerate() {
        let to: Vec<_> = ends.tx.iter().map(Option::is_some).collect();
        assert_eq!(to, (0..3).map(|other| other != id).collect::<Vec<_>>());
        assert_eq!(ends.rx.len(), 2);
    }
    assert!(HandoffQueues::mesh(&wakers[..1])[0].rx.is_empty());
}

#[test]
fn a_frame_for_a_worker_without_a_router_is_dropped_and_counted() {
    let (mut tx, mut rx) = pair();
    assert!(tx.send(PORT, true, &[0; 60]));
    let mut pool = Pool::new(4).expect("memory");
    let (mut state, mut stats) = (State::new(1, true), Stats::default());
    let handoff = rx.frames.pop().expect("one");
    let io = &mut FrameIo { pool: &mut pool, stats: &mut stats, observer: &mut NoObserver };
    rx.recv(handoff, &mut state, io);
    assert_eq!((stats.counters.handoff_received, stats.dropped(PORT), pool.available()), (1, 1, 4));
}

/// However much others have handed off, a round takes no more than it may read, and each gets its turn.
#[test]
fn a_round_takes_what_it_may_read_and_the_rest_comes_in_the_next() {
    let wakers: Vec<_> = (0..3).map(|_| Waker::new().expect("an eventfd")).collect();
    let mut all = HandoffQueues::mesh(&wakers);
    let (mut pool, mut stats) = (Pool::new(4).expect("memory"), Stats::default());
    let mut state = State::new(1, true);
    let mut receiver = all.pop().expect("the third");
    for sender in &mut all {
        let tx = sender.tx[2].as_mut().expect("a way to the third");
        for _ in 0..200 {
            assert!(tx.send(PORT, true, &[0; 60]));
        }
    }
    for taken in [ROUND_FRAMES_MAX as u64, 400] {
        let io = &mut FrameIo { pool: &mut pool, stats: &mut stats, observer: &mut NoObserver };
        assert!(receiver.recv(&mut state, io));
        assert_eq!(stats.counters.handoff_received, taken);
    }
    assert_eq!(receiver.first, 1, "the other one begins");
    let io = &mut FrameIo { pool: &mut pool, stats: &mut stats, observer: &mut NoObserver };
    assert!(!receiver.recv(&mut state, io));
    assert_eq!(pool.available(), 4);
}
