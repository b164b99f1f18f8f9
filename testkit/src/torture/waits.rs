//! How long readers wait for bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Powers of two of microseconds: the last one is more than half an hour.
const POWERS: usize = 32;

/// Waits of the readers of one end.
#[derive(Debug, Default)]
pub(super) struct Waits {
    by_power: [AtomicU64; POWERS],
    /// Microseconds in the upper half, the number of the connection in the lower one.
    longest: AtomicU64,
}

impl Waits {
    /// Counts a wait of a connection.
    pub(super) fn add(&self, wait: Duration, number: u64) {
        let micros = wait.as_micros().min(u128::from(u32::MAX)) as u64;
        let power = (u64::BITS - micros.leading_zeros()) as usize;
        self.by_power[power.min(POWERS - 1)].fetch_add(1, Ordering::Relaxed);
        self.longest.fetch_max(micros << 32 | number & 0xffff_ffff, Ordering::Relaxed);
    }

    /// The counts in words: the longest wait first.
    pub(super) fn words(&self) -> String {
        let all = std::iter::once(&self.longest).chain(&self.by_power);
        let words: Vec<_> = all.map(|count| count.load(Ordering::Relaxed).to_string()).collect();
        words.join(" ")
    }
}

/// Waits of all readers of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct AllWaits {
    by_power: [u64; POWERS],
    longest: u64,
}

impl AllWaits {
    /// Adds the words of one end.
    pub(super) fn add(&mut self, words: &[&str]) {
        let mut counts = words.iter().map(|word| word.parse::<u64>().expect("a count of waits"));
        self.longest = self.longest.max(counts.next().expect("the longest wait"));
        for (all, count) in self.by_power.iter_mut().zip(counts) {
            *all += count;
        }
    }

    /// The longest wait, and the number of its connection.
    pub(super) fn longest(&self) -> (Duration, u64) {
        (Duration::from_micros(self.longest >> 32), self.longest & 0xffff_ffff)
    }

    /// A time, a power of two, that at most one of so many waits reaches.
    pub(super) fn all_but_one_of(&self, count: u64) -> Duration {
        let above_max = self.by_power.iter().sum::<u64>() / count;
        let mut above = 0;
        for (power, count) in self.by_power.iter().enumerate().rev() {
            above += count;
            if above > above_max {
                return Duration::from_micros(1 << power);
            }
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_and_that_of_most_are_told() {
        let waits = Waits::default();
        for n in 0..1000 {
            waits.add(Duration::from_micros(100), n);
        }
        waits.add(Duration::from_millis(70), 7);
        let mut all = AllWaits::default();
        for _ in 0..2 {
            let words = waits.words();
            all.add(&words.split(' ').collect::<Vec<_>>());
        }
        assert_eq!(all.longest(), (Duration::from_millis(70), 7));
        assert_eq!(all.all_but_one_of(1000), Duration::from_micros(128));
        assert_eq!(all.all_but_one_of(10_000), Duration::from_micros(131_072));
        assert_eq!(AllWaits::default().all_but_one_of(1000), Duration::ZERO);
    }
}
