use fastpath::Pool;
use fastpath::limits::HOLDERS_MAX;

use super::*;
use crate::datapath::{NoObserver, Stats};

/// Keeps nothing. Ports from 100 on are not open.
#[derive(Default)]
struct Sent(Vec<PortIndex>);

impl Egress for Sent {
    fn is_open(&self, port: PortIndex) -> bool {
        port.get() < 100
    }

    fn send<O: Observer>(&mut self, io: &mut FrameIo<'_, O>, port: PortIndex, frame: Frame) {
        self.0.push(port);
        io.pool.release(frame);
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
    let io = &mut FrameIo { pool: &mut pool, stats: &mut stats, observer: &mut NoObserver };
    fan_out(frame, from, (0..4).map(PortIndex), io, &mut sent);
    let dropped = stats.port_drops(from)[DropReason::NoBuffer as usize];
    assert_eq!((sent.0.len() as u64, dropped), (1, 3));
    assert_eq!(1 + stats.counters.flood_copies, sent.0.len() as u64 + dropped, "conservation");
    others.into_iter().for_each(|frame| pool.release(frame));
    assert_eq!(pool.available(), 1);
}

/// A port is in the snapshot a moment before its workers have it; what is flooded in between is not lost,
/// since it was never for that port.
#[test]
fn a_flood_leaves_out_ports_on_their_way_in_or_out() {
    let mut pool = Pool::new(1).expect("memory");
    let (mut stats, mut sent) = (Stats::default(), Sent::default());
    let from = PortIndex(9);
    for (targets, reached, dropped) in
        [(vec![100, 1, 101, 2, 102], vec![1, 2], 0), (vec![100, 101], vec![], 1)]
    {
        let frame = pool.alloc_with(&[7; 60]).expect("a buffer");
        let copies = stats.counters.flood_copies;
        let io = &mut FrameIo { pool: &mut pool, stats: &mut stats, observer: &mut NoObserver };
        fan_out(frame, from, targets.into_iter().map(PortIndex), io, &mut sent);
        let reached: Vec<_> = reached.into_iter().map(PortIndex).collect();
        assert_eq!(std::mem::take(&mut sent.0), reached);
        assert_eq!(stats.counters.flood_copies - copies, (reached.len() as u64).saturating_sub(1));
        assert_eq!(stats.port_drops(from)[DropReason::NoOtherPort as usize], dropped);
        assert_eq!(pool.available(), 1);
    }
}
