//! Limits of the Docker plugin.

use std::time::Duration;

/// Connections that are served at a time; more wait. Docker opens one for each request in progress.
pub(crate) const DOCKER_CONNECTIONS_MAX: usize = 256;

/// Bytes of a request's body: each published port has about 200 of them.
pub(crate) const DOCKER_BODY_MAX: usize = 16 << 20;

/// Endpoints whose names Docker's API is asked for at a time.
pub(super) const NAMES_ASKED_MAX: usize = 16;

/// Pauses in milliseconds before Docker's API is asked again, for the name of an endpoint or for the endpoints of a
/// network. Docker lists an endpoint a moment after it has told the switch, answers for the whole container once that
/// has started, and may start after the switch.
pub(super) const ASK_PAUSES_MS: [u64; 8] = [20, 100, 300, 1000, 3000, 10_000, 30_000, 60_000];

/// Longest wait for Docker's list of a network's endpoints, while Docker waits for the switch.
pub(super) const KNOWN_WAIT_MAX: Duration = Duration::from_secs(3);

/// From the switch's start until Docker has listed an endpoint that it asked for before.
pub(super) const LISTED_PAUSE: Duration = Duration::from_secs(5);

/// Pause before another attempt to follow the TAPs that Docker moves.
pub(super) const FOLLOW_PAUSE: Duration = Duration::from_secs(1);

/// Pause before Docker's API is asked for its events again.
pub(super) const EVENTS_PAUSE: Duration = Duration::from_secs(2);

/// Time to send the body.
pub(super) const BODY_TIME_MAX: Duration = Duration::from_secs(10);
