//! Without spin rounds.

use super::*;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.engine.set_spin_rounds(0);
    // From the second burst on the depth is that of this policy.
    bench.incoming(&[Ok(72)]);
    for _ in 0..3 {
        bench.release_all();
        bench.round();
    }
    assert!(!bench.engine.is_busy());
    bench.script.borrow_mut().waits.clear();
    bench
}

#[test]
fn a_lone_frame_takes_one_round_and_its_writes_go_with_the_wait() {
    let mut bench = bench();
    bench.incoming(&[Ok(72)]);
    bench.round();
    assert_eq!(bench.received.len(), 1);
    assert!(!bench.engine.is_busy(), "the second read found nothing");
    bench.release_all();
    bench.send(B);
    bench.send(B);
    bench.round();
    let script = bench.script.borrow();
    assert_eq!(script.waits, [Wait::Forever, Wait::No, Wait::Forever]);
    assert_eq!(script.writes_queued, 2, "the two writes do not end the wait");
    assert!(script.pending.contains(&Op::Poll { port: A }), "polled in the same call");
    drop(script);
    bench.assert_clean();
}

#[test]
fn a_full_round_is_followed_by_another_one() {
    let mut bench = bench();
    bench.incoming(&[Ok(72); 3]);
    bench.round();
    assert_eq!((bench.received.len(), bench.engine.is_busy()), (2, true));
    bench.round();
    assert_eq!((bench.received.len(), bench.engine.is_busy()), (3, false));
    bench.assert_clean();
}

#[test]
fn a_flush_between_leaves_no_write_to_wait_for() {
    let mut bench = bench();
    let many = bench.script.borrow().sq_entries + 3;
    (0..many).for_each(|_| bench.send(B));
    bench.round();
    assert_eq!(bench.script.borrow().writes_queued, 3);
    bench.assert_clean();
}
