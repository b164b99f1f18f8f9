//! How often the joined sockets are looked at.
//!
//! Every few milliseconds while bytes of joined sockets are in TCP or connections leave, ever more rarely while nothing
//! changes, and no more when no bytes were in TCP for a while. The programs have to tell again then that they hold sends
//! back; what they held before that is seen by the looks that follow.

use std::time::Duration;

use crate::layout::Report;

/// Time between two looks, and the longest one while nothing changes.
const LOOK: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(80);
/// A look takes at most this part of a processor, and one while a sender is made to pause.
const PART: u32 = 20;
const PART_URGENT: u32 = 5;
/// Looks without waiting bytes until the programs have to say again that they hold sends back.
const QUIET: u32 = 4;
/// How long a send that was held back, or one that had begun before its socket was joined, may take until its bytes are in
/// TCP: its thread has to get a processor.
const LATE: Duration = Duration::from_secs(2);

/// When to look next.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    until: Duration,
    next: Duration,
    /// The next look is not before this.
    rested: Duration,
    pause: Duration,
    quiet: u32,
    /// What was seen at the last look.
    reports: Vec<Report>,
}

impl Pace {
    /// Bytes of joined sockets may be in TCP.
    pub(crate) fn watch_closely(&mut self, now: Duration) {
        self.until = now + LATE;
        self.quiet = 0;
        self.pause = LOOK;
        self.next = self.next.min(now + LOOK).max(self.rested);
    }

    /// Whether such bytes may still come.
    pub(crate) fn is_watching(&self, now: Duration) -> bool {
        now < self.until
    }

    /// When the next look is due.
    pub(crate) const fn next(&self) -> Duration {
        self.next
    }

    /// After a look that began at `now`. Says whether the programs have to tell again that they hold sends back.
    pub(crate) fn looked(&mut self, reports: Vec<Report>, is_busy: bool, now: Duration) -> bool {
        let is_quiet = !is_busy && !reports.iter().any(|it| it.is_tcp_unread || it.is_tcp_sending);
        if is_quiet {
            self.quiet = self.quiet.saturating_add(1);
        } else {
            self.quiet = 0;
            self.until = now + LATE;
        }
        let is_same = self.quiet > QUIET || !is_quiet && reports == self.reports;
        self.pause = if is_same { LOOK_MAX.min(self.pause * 2) } else { LOOK };
        self.reports = reports;
        self.quiet == QUIET
    }

    /// Sets when the next look is due, after one that has taken so much of a processor.
    pub(crate) fn rest(&mut self, now: Duration, worked: Duration, is_urgent: bool) {
        let (pause, part) = if is_urgent { (LOOK, PART_URGENT) } else { (self.pause, PART) };
        self.rested = now + worked * part;
        self.next = (now + pause).max(self.rested);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare_and_end_when_nothing_is_in_tcp() {
        let mut pace = Pace::default();
        let mut now = Duration::from_secs(1);
        assert!(!pace.is_watching(now));
        pace.watch_closely(now);
        let (mut looks, mut tells) = (0, 0);
        while pace.is_watching(now) {
            tells += u32::from(pace.looked(Vec::new(), false, now));
            pace.rest(now, Duration::ZERO, false);
            now = pace.next();
            looks += 1;
        }
        assert_eq!(tells, 1, "the programs have to tell again");
        assert!((20..60).contains(&looks), "{looks}");
        pace.watch_closely(now);
        pace.rest(now, Duration::from_millis(10), false);
        assert_eq!(pace.next(), now + Duration::from_millis(200), "a look takes its part only");
        pace.watch_closely(now);
        assert_eq!(pace.next(), now + Duration::from_millis(200), "whatever happens");
        pace.rest(now, Duration::from_micros(500), true);
        assert_eq!(pace.next(), now + Duration::from_millis(5));
        pace.rest(now, Duration::from_millis(2), true);
        assert_eq!(pace.next(), now + Duration::from_millis(10));
    }

    #[test]
    fn looks_stay_frequent_while_connections_leave() {
        let (mut pace, now) = (Pace::default(), Duration::from_secs(1));
        for _ in 0..10 {
            assert!(!pace.looked(Vec::new(), true, now));
        }
        assert!(pace.is_watching(now + Duration::from_secs(1)));
    }
}
