use super::*;

const PORT: PortIndex = PortIndex(3);

fn pair() -> (Outward, Inward) {
    connect(&Bell::new().expect("a bell"))
}

/// Takes one frame out, and sends its buffer back.
fn received(inward: &mut Inward) -> Vec<u8> {
    let parcel = inward.parcels.pop().expect("one");
    let bytes = parcel.bytes.clone();
    inward.empties.push(parcel.bytes).expect("a place");
    bytes
}

#[test]
fn frames_of_either_length_have_their_own_bound() {
    let (mut outward, mut inward) = pair();
    let (small, large) = (vec![1; HANDOVER_SMALL_BYTES], vec![2; HANDOVER_SMALL_BYTES + 1]);
    for _ in 0..HANDOVER_LARGE_MAX {
        assert!(outward.send(PORT, true, &large));
    }
    assert!(!outward.send(PORT, true, &large));
    for _ in 0..HANDOVER_SMALL_MAX {
        assert!(outward.send(PORT, true, &small));
    }
    assert!(!outward.send(PORT, true, &small));
    assert_eq!(received(&mut inward), large);
    assert!(!outward.send(PORT, true, &small), "a large buffer is not for small frames");
    assert!(outward.send(PORT, true, &large));
    assert!(!outward.send(PORT, true, &large));
}

#[test]
fn buffers_are_used_again_and_no_more_are_made_than_are_under_way() {
    let (mut outward, mut inward) = pair();
    for number in 0..10_000_u32 {
        let len = if number % 2 == 0 { 100 } else { 60_000 };
        assert!(outward.send(PORT, false, &vec![number as u8; len]));
        assert_eq!(received(&mut inward), vec![number as u8; len]);
    }
    assert_eq!((outward.small.made, outward.large.made), (1, 1));
    assert!(outward.send(PORT, true, &[7; FRAME_MAX]), "the longest frame there is");
    assert_eq!(received(&mut inward).capacity(), FRAME_MAX, "its buffer did not grow");
    assert_eq!(outward.large.made, 1);
}

#[test]
fn each_is_connected_with_each_and_with_nobody_twice() {
    let bells: Vec<_> = (0..3).map(|_| Bell::new().expect("a bell")).collect();
    let all = Handover::mesh(&bells);
    for (id, ends) in all.iter().enumerate() {
        let to: Vec<_> = ends.outward.iter().map(Option::is_some).collect();
        assert_eq!(to, (0..3).map(|other| other != id).collect::<Vec<_>>());
        assert_eq!(ends.inward.len(), 2);
    }
    assert!(Handover::mesh(&bells[..1])[0].inward.is_empty());
}

#[test]
fn a_frame_for_a_worker_without_a_router_is_dropped_and_counted() {
    let (mut outward, mut inward) = pair();
    assert!(outward.send(PORT, true, &[0; 60]));
    let mut pool = Pool::new(4).expect("memory");
    let (mut state, mut stats) = (State::new(1, true), Stats::default());
    let parcel = inward.parcels.pop().expect("one");
    inward.receive(parcel, &mut pool, &mut state, &mut stats);
    assert_eq!((stats.taken_over, stats.dropped(PORT), pool.available()), (1, 1, 4));
}

/// However much others have handed over, a round takes no more than it may read, and each gets its turn.
#[test]
fn a_round_takes_what_it_may_read_and_the_rest_comes_in_the_next() {
    let bells: Vec<_> = (0..3).map(|_| Bell::new().expect("a bell")).collect();
    let mut all = Handover::mesh(&bells);
    let (mut pool, mut stats) = (Pool::new(4).expect("memory"), Stats::default());
    let mut state = State::new(1, true);
    let mut receiver = all.pop().expect("the third");
    for sender in &mut all {
        let outward = sender.outward[2].as_mut().expect("a way to the third");
        for _ in 0..200 {
            assert!(outward.send(PORT, true, &[0; 60]));
        }
    }
    for taken in [ROUND_FRAMES_MAX as u64, 400] {
        assert!(receiver.take(&mut pool, &mut state, &mut stats));
        assert_eq!(stats.taken_over, taken);
    }
    assert_eq!(receiver.first, 1, "the other one begins");
    assert!(!receiver.take(&mut pool, &mut state, &mut stats));
    assert_eq!(pool.available(), 4);
}
