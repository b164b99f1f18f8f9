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

/// What was seen at the last look: bytes of TCP that wait, by socket, and when it was read last.
#[derive(Debug, Default)]
pub(crate) struct Stalled(HashMap<u64, u64>);

impl Stalled {
    /// Sockets whose readers sleep although bytes of TCP wait, and did so at the last look.
    pub(crate) fn find(&mut self, reports: &[Report], now: Duration) -> Vec<Report> {
        let before = std::mem::take(&mut self.0);
        let waits = |it: &&Report| it.is_tcp_unread && !it.is_unread;
        let mut found = Vec::new();
        for report in reports.iter().filter(waits) {
            self.0.insert(report.cookie, report.read_at);
            let is_same = before.get(&report.cookie) == Some(&report.read_at);
            let since = now.saturating_sub(Duration::from_nanos(report.read_at));
            if is_same && since >= PATIENCE && is_asleep(report.user) {
                found.push(*report);
            }
        }
        found
    }
}
