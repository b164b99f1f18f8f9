//! Lines of the log that would repeat: the first of each at once, then one a minute with the number of times.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::control::limits::{NOTICE_INTERVAL, NOTICES_MAX};

/// What was logged lately.
#[derive(Debug, Default)]
pub(super) struct Notices(BTreeMap<String, Notice>);

#[derive(Debug)]
struct Notice {
    logged: Instant,
    unlogged: u64,
}

impl Notices {
    /// Counts a line. Gives how many times it came since it was logged, this one included, if it is to be logged now.
    pub(super) fn count(&mut self, line: &str, now: Instant) -> Option<u64> {
        if let Some(notice) = self.0.get_mut(line) {
            notice.unlogged += 1;
            if now.duration_since(notice.logged) < NOTICE_INTERVAL {
                return None;
            }
            notice.logged = now;
            return Some(std::mem::take(&mut notice.unlogged));
        }
        self.0.retain(|_, it| now.duration_since(it.logged) < 2 * NOTICE_INTERVAL);
        if self.0.len() >= NOTICES_MAX {
            return None;
        }
        self.0.insert(line.to_owned(), Notice { logged: now, unlogged: 0 });
        Some(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_line_that_repeats_is_logged_once_a_minute() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let mut at = |line: &str, s| notices.count(line, start + Duration::from_secs(s));
        assert_eq!(at("up", 0), Some(1));
        assert_eq!(at("up", 1), None);
        assert_eq!(at("another", 1), Some(1), "a change is logged at once");
        assert_eq!(at("up", 59), None);
        assert_eq!(at("up", 60), Some(3));
        assert_eq!(at("up", 61), None);
    }

    #[test]
    fn lines_are_limited() {
        let (mut notices, start) = (Notices::default(), Instant::now());
        let logged = (0..2 * NOTICES_MAX).filter_map(|n| notices.count(&n.to_string(), start));
        assert_eq!(logged.sum::<u64>(), NOTICES_MAX as u64);
        assert_eq!(notices.count("later", start + 2 * NOTICE_INTERVAL), Some(1));
    }
}
