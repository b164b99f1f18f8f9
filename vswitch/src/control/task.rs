//! Tasks of the runtime, with their failures as errors of control.

use super::error::ControlError;

/// Runs a change to its end, even if its client hangs up.
pub(super) async fn task<T: Send + 'static>(
    change: impl Future<Output = T> + Send + 'static,
) -> Result<T, ControlError> {
    tokio::spawn(change).await.map_err(|error| ControlError::Task(error.to_string()))
}

/// Runs short blocking work off the runtime's thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ControlError::Task(error.to_string()))
}
