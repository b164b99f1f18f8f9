//! Messages to systemd, whose unit of the switch is of `Type=notify`: sd_notify(3).
//!
//! The unit is started when the API answers, so that units after it may attach containers. Without
//! `NOTIFY_SOCKET` nobody listens, and nothing is sent.

use sd_notify::NotifyState;
use vswitch::Ready;

/// The switch works.
pub(super) fn say_ready(ready: &Ready) {
    let gateways: Vec<_> = ready.gateways.iter().map(ToString::to_string).collect();
    let status = format!(
        "{} at {}, API at {}",
        ready.bridge,
        gateways.join(" and "),
        ready.socket.display()
    );
    send(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The switch restores the host, then ends.
pub(super) fn say_stopping() {
    send(&[NotifyState::Stopping]);
}

fn send(messages: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(messages) {
        tracing::warn!(%error, "systemd was not told");
    }
}
