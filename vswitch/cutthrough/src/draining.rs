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

/// Reports by connection, but for sockets that are closed.
pub(crate) fn pairs(reports: &[Report]) -> HashMap<u64, Pair> {
    let mut pairs = HashMap::<u64, Pair>::new();
    for report in reports.iter().filter(|it| it.id != 0) {
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
    /// What it has sent past TCP, which is no more to change.
    sent: Option<u32>,
    /// Since when nothing was seen waiting in it.
    quiet_since: Option<Duration>,
    /// It is a plain TCP socket again.
    is_out: bool,
}

impl Draining {
    /// To be called when [`JoinedSockets::end_redirects`] is through.
    pub(crate) fn add(&mut self, id: u64, sockets: [Socket; 2]) {
        self.0.entry(id).or_insert_with(|| {
            sockets.map(|socket| End { socket, sent: None, quiet_since: None, is_out: false })
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out the sockets that are through. Gives those that are plain TCP sockets now, also those that the kernel has
    /// taken out since they are closed, and the number of connections that have left.
    pub(crate) fn take_out(
        &mut self,
        joined: &JoinedSockets,
        pairs: &HashMap<u64, Pair>,
        now: Duration,
    ) -> (Vec<Socket>, usize) {
        let (mut out, before) = (Vec::new(), self.0.len());
        self.0.retain(|id, ends| {
            let pair = pairs.get(id).copied().unwrap_or_default();
            for (end, report) in ends.iter_mut().zip(pair) {
                end.sent = end.sent.or(report.map(|it| it.sent));
            }
            let sent = ends.map(|end| end.sent);
            for (side, end) in ends.iter_mut().enumerate().filter(|(_, end)| !end.is_out) {
                end.is_out = match &pair[side] {
                    Some(report) => end.is_through(report, sent[1 - side], now),
                    None => true,
                };
                if end.is_out {
                    if pair[side].is_some() {
                        joined.take_out(end.socket.cookie);
                    }
                    out.push(end.socket);
                }
            }
            ends.iter().any(|end| !end.is_out)
        });
        (out, before - self.0.len())
    }
}

impl End {
    /// Whether no redirected byte waits in it or is on its way to it. A socket that was closed before sends none.
    fn is_through(&mut self, report: &Report, other_sent: Option<u32>, now: Duration) -> bool {
        if report.is_unread {
            self.quiet_since = None;
            return false;
        }
        let since = *self.quiet_since.get_or_insert(now);
        has_read(report, other_sent) || now - since >= UNSEEN
    }
}

/// Whether a program has read all that was sent to it past TCP.
pub(crate) fn has_read(report: &Report, other_sent: Option<u32>) -> bool {
    other_sent.is_none_or(|sent| sent == report.taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::User;

    fn report(id: u64, is_server: bool, sent: u32, taken: u32) -> Report {
        let cookie = id * 2 + u64::from(is_server);
        let user = User::default();
        Report {
            cookie,
            id,
            read_at: 0,
            user,
            is_server,
            sent,
            taken,
            is_unread: false,
            is_tcp_unread: false,
            is_tcp_sending: false,
        }
    }

    #[test]
    fn a_socket_is_through_when_all_is_read_that_the_other_has_sent() {
        let second = Duration::from_secs(1);
        let socket = Socket { cookie: 1, user: User::default() };
        let mut end = End { socket, sent: None, quiet_since: None, is_out: false };
        let report = report(1, true, 5, 7);
        assert!(end.is_through(&report, Some(7), second));
        assert!(end.is_through(&report, None, second), "the other one is closed");
        assert!(!end.is_through(&report, Some(8), second), "a byte is on its way");
        let unread = Report { is_unread: true, ..report };
        assert!(!end.is_through(&unread, Some(8), 2 * second));
        assert!(!end.is_through(&report, Some(8), 3 * second));
        assert!(end.is_through(&report, Some(8), 5 * second), "the count is wrong");
    }

    #[test]
    fn a_closed_socket_is_of_no_pair() {
        let reports = [report(1, false, 1, 2), report(0, false, 3, 4), report(1, true, 5, 6)];
        let pairs = pairs(&reports);
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[&1], [Some(reports[0]), Some(reports[2])]);
    }
}
