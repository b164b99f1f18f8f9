//! Containers that still have the interface of the killed switch, at a start after `kill -9`.
//!
//! The kernel closes the dead daemon's TAPs one after another. Attaching such a container waits for it, at the end of
//! the queue, as long as the kernel gets on: [`LeftOvers::handle_round`] ends the wait after
//! [`LEFT_OVER_STILL_MAX`] in which no container has become free.

use std::time::Duration;

use crate::host::limits::{LEFT_OVER_LOG_INTERVAL, LEFT_OVER_STILL_MAX};

/// The wait so far.
#[derive(Debug, Default)]
pub(super) struct LeftOvers {
    least: Option<usize>,
    /// Time since that number fell.
    still: Duration,
    /// Time since the last line of the log.
    silent: Option<Duration>,
}

impl LeftOvers {
    /// A round over all that wait has ended with `left` of them, `passed` after the one before. Says whether they
    /// go on waiting.
    pub(super) fn handle_round(&mut self, left: usize, passed: Duration) -> bool {
        self.still += passed;
        self.silent = self.silent.map(|silent| silent + passed);
        if self.least.is_none_or(|least| left < least) {
            self.least = Some(left);
            self.still = Duration::ZERO;
        }
        if self.silent.is_none_or(|silent| silent >= LEFT_OVER_LOG_INTERVAL) {
            self.silent = Some(Duration::ZERO);
            tracing::info!(
                containers = left,
                "waiting until the kernel removes the left-over interfaces of a killed switch"
            );
        }
        self.still < LEFT_OVER_STILL_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(100);

    #[test]
    fn the_wait_lasts_as_long_as_the_kernel_gets_on() {
        let mut waits = LeftOvers::default();
        for left in (1..=1000).rev() {
            assert!((0..20).all(|_| waits.handle_round(left, ROUND)), "{left} are left");
        }
        let rounds = (0..10_000).take_while(|_| waits.handle_round(1, ROUND)).count();
        let most = LEFT_OVER_STILL_MAX.as_millis() / ROUND.as_millis();
        assert!(rounds as u128 <= most, "{rounds}");
    }
}
