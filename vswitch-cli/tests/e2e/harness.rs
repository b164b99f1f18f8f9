//! What the tests are written with: [`Host`] (a namespace that plays the host, with its daemon),
//! [`Container`] (a namespace with an attachment), [`Netns`] and [`Process`] underneath.
//!
//! Each of them cleans up when it is dropped, also when the test panics. Every command has a time
//! limit, after which it is killed and the test fails.

mod container;
mod craft;
mod flow;
mod host;
mod netns;
mod process;
mod python;
pub(crate) mod remote;
mod snapshot;

pub(crate) use container::Container;
pub(crate) use flow::{Collector, Flow};
pub(crate) use host::Host;
pub(crate) use netns::Netns;
pub(crate) use process::{Output, Process};
pub(crate) use python::{Receiver, SEND_FRAME, SEND_STREAM};
pub(crate) use snapshot::Snapshot;

use std::time::{Duration, Instant};

/// Most time that one external command may take.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits until `condition` holds, or panics after `limit` with `what`.
pub(crate) fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
