//! Connections on their way back to TCP.
//!
//! ```text
//! joined --(end_redirects)--> no send is redirected --(all that was is read)--> plain TCP sockets
//! ```
//!
//! A socket that is taken out of the map loses the redirected bytes that wait in it, and a send that was redirected and
//! has not arrived yet fails. So each socket stays until its program has read past TCP what the other one has sent past it,
//! by their counts of bytes. A count may be wrong where receives were not watched, as after a kill of the switch: then the
//! socket stays until nothing was seen waiting in it for [`UNSEEN`].

use std::collections::HashMap;
use std::time::Duration;

use crate::joined::JoinedSockets;
use crate::layout::{Report, Socket};

/// How long a redirected send may be on its way.
const UNSEEN: Duration = Duration::from_secs(2);

/// The two sockets of a connection: the client's, and the server's.
pub(crate) type Pair = [Option<Report>; 2];

/// Reports by connection.
pub(crate) fn pairs(reports: &[Report]) -> HashMap<u64, Pair> {
    let mut pairs = HashMap::<u64, Pair>::new();
    for report in reports {
        pairs.entry(report.id).or_default()[usize::from(report.is_server)] = Some(*report);
    }
    pairs
}

/// Connections that may redirect no more, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Draining(HashMap<u64, [End; 2]>);

/// An end of such a connection.
#[derive(Debug, Clone, Copy)]
struct End {
    socket: Socket,
    /// What was sent to it past TCP.
    sent: u32,
    /// Since when nothing was seen waiting in it.
    quiet_since: Option<Duration>,
    /// It is a plain TCP socket again.
    is_out: bool,
}

impl Draining {
    /// A connection whose redirects have ended, with the bytes that each end has sent past
    /// TCP.
    pub(crate) fn add(&mut self, id: u64, sockets: [Socket; 2], sent: [u32; 2]) {
        self.0.entry(id).or_insert_with(|| {
            std::array::from_fn(|side| End {
                socket: sockets[side],
                sent: sent[1 - side],
                quiet_since: None,
                is_out: false,
            })
        });
    }

    pub(crate) fn has(&self, id: u64) -> bool {
        self.0.contains_key(&id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out the sockets that are through. Gives those that are plain TCP sockets now, also those that the kernel has
    /// taken out since they are closed, and the connections that have left.
    pub(crate) fn take_out(
        &mut self,
        joined: &JoinedSockets,
        pairs: &HashMap<u64, Pair>,
        now: Duration,
    ) -> (Vec<Socket>, Vec<u64>) {
        let (mut out, mut left) = (Vec::new(), Vec::new());
        self.0.retain(|id, ends| {
            let pair = pairs.get(id).copied().unwrap_or_default();
            for (side, end) in ends.iter_mut().enumerate().filter(|(_, end)| !end.is_out) {
                end.is_out = match &pair[side] {
                    Some(report) => end.is_through(report, now),
                    None => true,
                };
                if end.is_out {
                    if pair[side].is_some() {
                        joined.take_out(end.socket.cookie);
                    }
                    out.push(end.socket);
                }
            }
            let stays = ends.iter().any(|end| !end.is_out);
            if !stays {
                left.push(*id);
            }
            stays
        });
        (out, left)
    }
}

impl End {
    /// Whether no redirected byte waits in it or is on its way to it.
    fn is_through(&mut self, report: &Report, now: Duration) -> bool {
        if report.is_unread {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        self.sent == report.taken || now - since >= UNSEEN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::User;

    fn report(id: u64, is_server: bool, taken: u32) -> Report {
        let cookie = id * 2 + u64::from(is_server);
        Report { cookie, id, is_server, taken, ..Report::default() }
    }

    #[test]
    fn a_socket_is_through_when_all_is_read_that_the_other_has_sent() {
        let second = Duration::from_secs(1);
        let socket = Socket { cookie: 1, user: User::default() };
        let end = |sent| End { socket, sent, quiet_since: None, is_out: false };
        let report = report(1, true, 7);
        assert!(end(7).is_through(&report, second));
        for sent in [8, 0] {
            let mut end = end(sent);
            assert!(!end.is_through(&report, second), "a byte may be on its way");
            let unread = Report { is_unread: true, ..report };
            assert!(!end.is_through(&unread, 2 * second));
            assert!(!end.is_through(&report, 3 * second));
            assert!(end.is_through(&report, 5 * second), "the count is wrong");
        }
    }

    #[test]
    fn reports_are_paired_by_connection() {
        let reports = [report(1, false, 2), report(2, false, 4), report(1, true, 6)];
        let pairs = pairs(&reports);
        assert_eq!(pairs.len(), 2);
        assert_eq!(pairs[&1], [Some(reports[0]), Some(reports[2])]);
        assert_eq!(pairs[&2], [Some(reports[1]), None]);
    }
}
