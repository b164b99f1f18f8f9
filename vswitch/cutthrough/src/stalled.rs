//! Readers that seem to miss bytes of TCP.
//!
//! Redirected bytes come before those of TCP, and a receive gives either these or those. So a program that takes a short
//! read for "nothing is left", as epoll(7) allows, may wait for an edge that has been; and `FIONREAD` counts redirected
//! bytes only. Plain TCP has neither. Both are possible only while bytes of TCP wait in a joined socket, which happens after
//! sends that were held back.

use std::collections::HashMap;
use std::time::Duration;

use crate::borrow::is_asleep;
use crate::layout::Report;

/// How long bytes of TCP wait for a reader that sleeps.
const PATIENCE: Duration = Duration::from_millis(4);

/// What was seen at former looks: bytes of TCP that wait, by socket, how often it was tried to read, and since when it was
/// not.
#[derive(Debug, Default)]
pub(crate) struct Stalled(HashMap<u64, (u32, Duration)>);

impl Stalled {
    /// Sockets whose readers sleep although bytes of TCP wait, and have done so for a while.
    pub(crate) fn find(&mut self, reports: &[Report], now: Duration) -> Vec<Report> {
        let before = std::mem::take(&mut self.0);
        let waits = |it: &&Report| it.is_tcp_unread && !it.is_unread;
        let mut found = Vec::new();
        for report in reports.iter().filter(waits) {
            let known = before.get(&report.cookie).filter(|(tries, _)| *tries == report.tries);
            let since = known.map_or(now, |(_, since)| *since);
            self.0.insert(report.cookie, (report.tries, since));
            if now.saturating_sub(since) >= PATIENCE && is_asleep(report.user) {
                found.push(*report);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::User;

    /// A socket in which bytes of TCP wait for this thread, or for one that is gone.
    fn waiting(is_own: bool) -> Report {
        let thread = if is_own { rustix::thread::gettid().as_raw_nonzero().get() } else { 0 };
        let user =
            User { process: std::process::id(), thread: thread.unsigned_abs(), ..User::default() };
        Report { cookie: 7, user, tries: 3, is_tcp_unread: true, ..Report::default() }
    }

    #[test]
    fn a_reader_that_sleeps_for_a_while_is_stalled() {
        let (mut stalled, report) = (Stalled::default(), waiting(false));
        let now = Duration::from_secs(1);
        assert_eq!(stalled.find(&[report], now), []);
        assert_eq!(stalled.find(&[report], now + PATIENCE / 2), []);
        assert_eq!(stalled.find(&[report], now + PATIENCE), [report]);
    }

    #[test]
    fn one_that_runs_tries_or_has_something_else_to_read_is_not() {
        let report = waiting(false);
        let unread = Report { is_unread: true, ..report };
        let read = Report { is_tcp_unread: false, ..report };
        let tried = Report { tries: 4, ..report };
        let (before, now) = (Duration::from_secs(1), Duration::from_secs(2));
        for later in [unread, read, tried] {
            let mut stalled = Stalled::default();
            assert_eq!(stalled.find(&[report], before), []);
            assert_eq!(stalled.find(&[later], now), [], "{later:?}");
            assert_eq!(stalled.find(&[report], now), [], "its time begins anew");
        }
        let mut stalled = Stalled::default();
        let running = waiting(true);
        assert_eq!(stalled.find(&[running], before), []);
        assert_eq!(stalled.find(&[running], now), [], "it is about to read");
    }
}
