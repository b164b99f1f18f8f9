//! Messages to systemd, whose unit of the switch is of `Type=notify`: sd_notify(3).
//!
//! The unit is started when the API answers, so that units after it may attach containers. Its times to start and to
//! end are those of a switch without attachments; the time for these is asked for. Without `NOTIFY_SOCKET` nobody
//! listens, and nothing is sent.

use std::time::Duration;

use sd_notify::NotifyState;
use vswitch::{Ready, Stage};

use crate::limits::UNIT_TIMEOUT;

/// Passes on what the switch says of its life.
pub(super) fn say(stage: Stage<'_>) {
    match stage {
        Stage::Starting { within } => send(&[extension(within)]),
        // Its time counts from each progress on.
        Stage::Progress { progress, within } => {
            let text = format!("attached {} of {} containers again", progress.done, progress.total);
            send(&[extension(within), NotifyState::Status(&text)]);
        }
        Stage::Ready(ready) => {
            send(&[NotifyState::Ready, NotifyState::Status(&status(ready))]);
        }
        Stage::Ending { within } => send(&[NotifyState::Stopping, extension(within)]),
    }
}

fn status(ready: &Ready) -> String {
    let gateways: Vec<_> = ready.gateways.iter().map(ToString::to_string).collect();
    let socket = ready.socket.display();
    format!("{} at {}, API at {socket}", ready.bridge, gateways.join(" and "))
}

/// The unit's own time, and that of the attachments; systemd counts from the message on.
fn extension(within: Duration) -> NotifyState<'static> {
    let micros = within.saturating_add(UNIT_TIMEOUT).as_micros();
    NotifyState::ExtendTimeoutUsec(u32::try_from(micros).unwrap_or(u32::MAX))
}

fn send(messages: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(messages) {
        tracing::warn!(%error, "systemd was not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_get_time_beyond_that_of_the_unit() {
        let unit = include_str!("../../../../packaging/vswitch.service");
        for setting in ["TimeoutStartSec", "TimeoutStopSec"] {
            let line = format!("{setting}={}s", UNIT_TIMEOUT.as_secs());
            assert!(unit.lines().any(|other| other == line), "no {line}");
        }
        let asked = extension(Duration::from_secs(850)).to_string();
        assert_eq!(asked, "EXTEND_TIMEOUT_USEC=910000000");
        assert_eq!(extension(Duration::MAX).to_string(), "EXTEND_TIMEOUT_USEC=4294967295");
    }
}
