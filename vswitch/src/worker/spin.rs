//! A worker's side of the idle policy ([`fastpath::idle`]).

use std::sync::Arc;

use fastpath::limits::{SAMPLE_EVERY, TRAFFIC_ROUNDS};
use fastpath::{Nanos, SpinControl};
use tokio::sync::Notify;

/// The shared words as a worker sees them.
pub(crate) struct Spin {
    shared: Arc<SpinControl>,
    /// Wakes a dormant control.
    control: Arc<Notify>,
    /// Spin rounds of the engine.
    rounds: Option<u16>,
    /// Rounds with frames since `since`.
    busy_rounds: u32,
    since: Nanos,
}

impl Spin {
    pub(crate) const fn new(shared: Arc<SpinControl>, control: Arc<Notify>) -> Self {
        Self { shared, control, rounds: None, busy_rounds: 0, since: Nanos(0) }
    }

    /// Spin rounds for the engine, where they are others than before.
    #[inline]
    pub(crate) fn changed(&mut self) -> Option<u16> {
        let rounds = Some(self.shared.spin_rounds());
        if rounds == self.rounds {
            return None;
        }
        self.rounds = rounds;
        rounds
    }

    /// Notes traffic: [`TRAFFIC_ROUNDS`] rounds with frames within [`SAMPLE_EVERY`].
    #[inline]
    pub(crate) fn note_frames(&mut self, now: Nanos) {
        self.busy_rounds += 1;
        if self.busy_rounds < TRAFFIC_ROUNDS {
            return;
        }
        let is_traffic = now - self.since <= SAMPLE_EVERY;
        (self.busy_rounds, self.since) = (0, now);
        if is_traffic && self.shared.mark_busy() {
            self.control.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 1_000_000;

    #[tokio::test]
    async fn traffic_wakes_control_and_lone_frames_do_not() {
        let (shared, control) = (Arc::new(SpinControl::new(64)), Arc::new(Notify::new()));
        let mut spin = Spin::new(Arc::clone(&shared), Arc::clone(&control));
        let seconds = 1_000 * TICK;
        (0..1_000).for_each(|n| spin.note_frames(Nanos(n * seconds)));
        assert!(!shared.take_busy());
        (0..2 * u64::from(TRAFFIC_ROUNDS)).for_each(|n| {
            spin.note_frames(Nanos(1_000 * seconds + n * TICK));
        });
        control.notified().await;
        assert!(shared.take_busy());
    }

    #[test]
    fn the_engine_hears_of_changes_only() {
        let shared = Arc::new(SpinControl::new(64));
        let mut spin = Spin::new(Arc::clone(&shared), Arc::default());
        assert_eq!((spin.changed(), spin.changed()), (Some(64), None));
        shared.set_spin_rounds(0);
        assert_eq!((spin.changed(), spin.changed()), (Some(0), None));
    }
}
