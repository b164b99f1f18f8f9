//! Finds out that next hops may have another MAC address: frames leave by the uplink TAP, and none comes in.
//!
//! The kernel probes a neighbour of its own once nothing has confirmed it for a while. It knows nothing of frames
//! that nftables forwards, so a router that was replaced silently would keep its former address for as long as the
//! kernel thinks it reachable. States, one step each [`NEIGH_CHECK_INTERVAL`](crate::host::limits::NEIGH_CHECK_INTERVAL):
//!
//! ```text
//!             sent, nothing received               NEIGH_SILENT_CHECKS of them
//!   answered ------------------------> unanswered -----------------------------> probe, then a pause
//!       ^          received                |                                          |
//!       +----------------------------------+------------------------------------------+
//! ```
//!
//! A container that only sends causes one probe, a unicast ARP request or solicitation, in each
//! [`NEIGH_PROBE_PAUSE`].
//!
//! What is received says nothing of a gateway: a new router with the address of the former may send while frames
//! to the former are lost. So gateways are probed after each [`NEIGH_GATEWAY_CHECKS`] in which frames were sent.

use crate::host::limits::{NEIGH_GATEWAY_CHECKS, NEIGH_PROBE_PAUSE, NEIGH_SILENT_CHECKS};

/// Packets of the uplink so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packets {
    pub(super) sent: u64,
    pub(super) received: u64,
}

/// Neighbours that are to be probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Nobody,
    Gateways,
    All,
}

/// Whether somebody answers.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    last: Option<Packets>,
    /// Checks since the last answer in which frames were sent.
    unanswered: u32,
    /// Checks until the next probe.
    pause: u32,
    /// Checks since the last probe of gateways in which frames were sent.
    sent: u32,
}

impl Unanswered {
    /// Notes the packets so far; which neighbours are to be probed now.
    pub(super) fn check(&mut self, now: Packets) -> Due {
        let Some(last) = self.last.replace(now) else { return Due::Nobody };
        self.pause = self.pause.saturating_sub(1);
        self.sent += u32::from(now.sent != last.sent);
        if now.received != last.received {
            (self.unanswered, self.pause) = (0, 0);
        } else if now.sent != last.sent {
            self.unanswered += 1;
        }
        let due = if self.unanswered >= NEIGH_SILENT_CHECKS && self.pause == 0 {
            (self.unanswered, self.pause) = (0, NEIGH_PROBE_PAUSE);
            Due::All
        } else if self.sent >= NEIGH_GATEWAY_CHECKS {
            Due::Gateways
        } else {
            Due::Nobody
        };
        if due != Due::Nobody {
            self.sent = 0;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::Due::{All, Gateways, Nobody};
    use super::*;

    fn checks(frames: &mut Unanswered, steps: &[(u64, u64)]) -> Vec<Due> {
        let (mut sent, mut received) = (0, 0);
        let step = |&(more, answers): &(u64, u64)| {
            (sent, received) = (sent + more, received + answers);
            frames.check(Packets { sent, received })
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn frames_without_any_answer_lead_to_a_probe_and_a_pause() {
        let silent = [(1, 1), (5, 0), (5, 0), (5, 0), (5, 0)];
        let probes = checks(&mut Unanswered::default(), &silent);
        assert_eq!(probes, [Nobody, Nobody, All, Nobody, Nobody]);
        let mut one_way = vec![(3, 0); 2 + 2 * NEIGH_PROBE_PAUSE as usize];
        one_way[0] = (0, 0);
        let probes = checks(&mut Unanswered::default(), &one_way);
        assert_eq!(probes.iter().filter(|due| **due == All).count(), 2);
    }

    #[test]
    fn who_sends_nothing_probes_nobody() {
        for step in [(0, 0), (0, 5)] {
            assert_eq!(checks(&mut Unanswered::default(), &[step; 20]), [Nobody; 20]);
        }
        let seldom = [(0, 0), (1, 0), (0, 1), (1, 0), (0, 0), (0, 1), (1, 0)];
        assert_eq!(checks(&mut Unanswered::default(), &seldom), [Nobody; 7]);
    }

    #[test]
    fn gateways_in_use_are_probed_whatever_comes_in() {
        let probes = checks(&mut Unanswered::default(), &[(5, 1); 11]);
        let at = |n: usize| if n == 5 || n == 10 { Gateways } else { Nobody };
        assert_eq!(probes, (0..11).map(at).collect::<Vec<_>>());
    }
}
