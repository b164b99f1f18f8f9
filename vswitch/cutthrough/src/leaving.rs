//! Connections on their way back to TCP.
//!
//! ```text
//! joined --(end_redirects)--> no send is redirected --(all that was is read)--> plain TCP sockets
//! ```
//!
//! A socket that is taken out of the map loses the redirected bytes that wait in it, and a send that was redirected and
//! has not arrived yet fails. So both sockets stay until what one has sent past TCP is what the other has read past it,
//! by their counts of bytes. A count may be wrong where receives were not watched, as after a kill of the switch: then
//! both sockets stay until nothing was seen waiting for [`UNSEEN`].

use std::collections::HashMap;
use std::time::Duration;

use crate::joined::JoinedSockets;
use crate::layout::Report;

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

/// Connections that may redirect no more, and since when nothing was seen waiting in them.
#[derive(Debug, Default)]
pub(crate) struct Leaving(HashMap<u64, Option<Duration>>);

impl Leaving {
    /// To be called when [`JoinedSockets::end_redirects`] is through.
    pub(crate) fn add(&mut self, id: u64) {
        self.0.entry(id).or_default();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes out the sockets of those that are through. Gives their number.
    pub(crate) fn take_out(
        &mut self,
        joined: &JoinedSockets,
        pairs: &HashMap<u64, Pair>,
        now: Duration,
    ) -> u64 {
        let before = self.0.len();
        self.0.retain(|id, quiet_since| {
            let Some(pair) = pairs.get(id) else { return false };
            if pair.iter().flatten().any(|it| it.is_unread) {
                *quiet_since = None;
                return true;
            }
            let quiet_for = now - *quiet_since.get_or_insert(now);
            if !has_read_all(pair) && quiet_for < UNSEEN {
                return true;
            }
            pair.iter().flatten().for_each(|it| joined.take_out(it.cookie));
            false
        });
        (before - self.0.len()) as u64
    }
}

/// Whether no redirected byte is on its way. A socket that is closed sends none.
pub(crate) fn has_read_all(pair: &Pair) -> bool {
    match pair {
        [Some(one), Some(other)] => one.sent == other.taken && other.sent == one.taken,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::User;

    fn report(id: u64, is_server: bool, sent: u32, taken: u32) -> Report {
        let cookie = id * 2 + u64::from(is_server);
        let user = User::default();
        let (is_unread, is_tcp_unread) = (false, false);
        Report { cookie, id, read_at: 0, user, is_server, sent, taken, is_unread, is_tcp_unread }
    }

    #[test]
    fn two_ends_have_read_all_when_their_counts_agree() {
        let cases = [((10, 0), (0, 10), true), ((10, 0), (0, 9), false), ((0, 3), (4, 0), false)];
        for ((sent, taken), (other_sent, other_taken), expected) in cases {
            let reports = [report(1, false, sent, taken), report(1, true, other_sent, other_taken)];
            assert_eq!(has_read_all(&pairs(&reports)[&1]), expected, "{reports:?}");
        }
        assert!(has_read_all(&pairs(&[report(1, true, 7, 0)])[&1]), "the other one is closed");
    }
}
