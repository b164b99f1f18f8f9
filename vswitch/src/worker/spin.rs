//! A worker's side of the idle policy ([`fastpath::idle`]).

use std::sync::Arc;

use fastpath::SpinGate;
use fastpath::limits::TRAFFIC_ROUNDS;
use tokio::sync::Notify;

/// The gate as a worker sees it.
pub(crate) struct Spin {
    gate: Arc<SpinGate>,
    /// Wakes control after a silence.
    control: Arc<Notify>,
    /// Spin rounds of the engine.
    rounds: Option<u16>,
    /// Rounds with frames that are not noted yet.
    busy_rounds: u32,
}

impl Spin {
    pub(crate) const fn new(gate: Arc<SpinGate>, control: Arc<Notify>) -> Self {
        Self { gate, control, rounds: None, busy_rounds: 0 }
    }

    /// Spin rounds for the engine, where they are others than before.
    #[inline]
    pub(crate) fn changed(&mut self) -> Option<u16> {
        let rounds = Some(self.gate.spin_rounds());
        if rounds == self.rounds {
            return None;
        }
        self.rounds = rounds;
        rounds
    }

    /// Notes traffic, once in [`TRAFFIC_ROUNDS`] rounds with frames.
    #[inline]
    pub(crate) fn note_round(&mut self, is_empty: bool) {
        self.busy_rounds += u32::from(!is_empty);
        if self.busy_rounds >= TRAFFIC_ROUNDS {
            self.busy_rounds = 0;
            if self.gate.mark_busy() {
                self.control.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn traffic_wakes_control_and_lone_frames_do_not() {
        let (gate, control) = (Arc::new(SpinGate::new(64)), Arc::new(Notify::new()));
        let mut spin = Spin::new(Arc::clone(&gate), Arc::clone(&control));
        (1..TRAFFIC_ROUNDS).for_each(|_| spin.note_round(false));
        (0..100).for_each(|_| spin.note_round(true));
        assert!(!gate.take_busy());
        spin.note_round(false);
        control.notified().await;
        assert!(gate.take_busy());
    }

    #[test]
    fn the_engine_hears_of_changes_only() {
        let gate = Arc::new(SpinGate::new(64));
        let mut spin = Spin::new(Arc::clone(&gate), Arc::default());
        assert_eq!((spin.changed(), spin.changed()), (Some(64), None));
        gate.set_spin_rounds(0);
        assert_eq!((spin.changed(), spin.changed()), (Some(0), None));
    }
}
