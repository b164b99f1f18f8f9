//! A background task that ends with its owner.

use tokio::task::{JoinError, JoinHandle};

/// Aborts the task when dropped.
#[derive(Debug)]
pub(super) struct Task(JoinHandle<()>);

impl Task {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }

    /// Aborts the task and waits until it has dropped what it holds.
    ///
    /// # Errors
    /// The task had panicked.
    pub(super) async fn end(mut self) -> Result<(), JoinError> {
        self.0.abort();
        match (&mut self.0).await {
            Err(error) if error.is_panic() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
