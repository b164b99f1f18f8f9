//! Tasks that end with their owner, and pauses between tries.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::limits::RETRY_PAUSE;

/// A task that dropping aborts.
#[derive(Debug)]
pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Pauses that double up to a bound.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(RETRY_PAUSE.0)
    }

    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(RETRY_PAUSE.1);
    }

    pub(crate) fn reset(&mut self) {
        self.0 = RETRY_PAUSE.0;
    }
}
