//! The highest rate that passes, by binary search (RFC 2544, section 26.1).
//!
//! The interval between a rate that passed and one that failed is halved on a logarithmic scale. A
//! rate has failed when all its attempts did: a hiccup of the machine at a low rate would otherwise
//! lead the search astray for good.

use anyhow::Result;

use crate::limits::{UDP_ATTEMPTS, UDP_LOSS_MAX, UDP_RATE_REACHED};

/// What one trial gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial {
    /// Frames that the sender handed over.
    pub(crate) sent: u64,
    /// Of these, what the receiver counted.
    pub(crate) received: u64,
    /// What the sender reached, in frames per second.
    pub(crate) sent_pps: f64,
}

impl Trial {
    /// Whether the sender reached the rate, and next to nothing was lost.
    pub(crate) fn passes(&self, asked_pps: f64) -> bool {
        let lost = self.sent.saturating_sub(self.received) as f64;
        self.sent > 0
            && self.sent_pps >= asked_pps * UDP_RATE_REACHED
            && lost <= self.sent as f64 * UDP_LOSS_MAX
    }
}

/// The best trial that passed, with what it brought; none when none did.
pub(crate) fn highest<T>(
    min_pps: f64,
    max_pps: f64,
    steps: u32,
    mut trial: impl FnMut(f64) -> Result<(Trial, T)>,
) -> Result<Option<(f64, T)>> {
    let (mut low, mut high, mut best) = (min_pps, max_pps, None);
    for _ in 0..steps {
        let rate = (low * high).sqrt();
        let mut passed = false;
        for _ in 0..UDP_ATTEMPTS {
            let (outcome, brought) = trial(rate)?;
            if outcome.passes(rate) {
                best = Some((outcome.sent_pps, brought));
                passed = true;
                break;
            }
        }
        if passed {
            low = rate;
        } else {
            high = rate;
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests;
