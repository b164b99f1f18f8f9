use fastpath::limits::HOLDERS_MAX;

use super::*;

/// Keeps nothing.
#[derive(Default)]
struct Sent(Vec<PortIndex>);

impl Egress for Sent {
    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        self.0.push(port);
        pool.release(frame);
    }
}

#[test]
fn a_port_for_which_no_holder_is_left_is_counted() {
    let mut pool = Pool::new(1).expect("memory");
    let frame = pool.alloc_with(&[7; 60]).expect("a buffer");
    let mut others: Vec<Frame> =
        (2..HOLDERS_MAX).map(|_| pool.share(&frame).expect("a holder")).collect();
    // One more may hold it. `Sent` gives each copy back at once, so keep the last place taken.
    others.push(pool.share(&frame).expect("the last holder"));
    let (mut stats, mut sent) = (Stats::default(), Sent::default());
    let from = PortIndex(9);
    share(frame, from, (0..4).map(PortIndex), &mut pool, &mut stats, &mut sent);
    let dropped = stats.port_drops(from)[DropReason::NoBuffer as usize];
    assert_eq!((sent.0.len() as u64, dropped), (1, 3));
    assert_eq!(1 + stats.flood_copies, sent.0.len() as u64 + dropped, "conservation");
    others.into_iter().for_each(|frame| pool.release(frame));
    assert_eq!(pool.available(), 1);
}
