//! Plans: lists of steps that are made before a change begins.
//!
//! [`execute`] applies the steps in order; when one fails, it undoes those before it in reverse, so that a
//! change happens as a whole or not at all. [`undo_all`] undoes all steps in reverse, and an error does not
//! stop it.

use std::fmt::{Debug, Display};

use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// The operations behind the steps of a plan.
pub(crate) trait Steps {
    /// The type of a step.
    type Step: Copy + Debug;
    /// The error of a step.
    type Error: Display;

    /// Applies a step. A step that fails leaves nothing behind, or leaves it to the undo of former steps.
    async fn apply(&mut self, step: Self::Step) -> Result<(), Self::Error>;

    /// Undoes a step that was applied.
    async fn undo(&mut self, step: Self::Step) -> Result<(), Self::Error>;
}

/// Applies all steps, or none.
pub(crate) async fn execute<S: Steps>(steps: &mut S, plan: &[S::Step]) -> Result<(), S::Error> {
    for (done, step) in plan.iter().enumerate() {
        let start = Instant::now();
        let applied = steps.apply(*step).await;
        tracing::debug!(?step, took = ?start.elapsed(), "applied");
        if let Err(error) = applied {
            for failure in undo_all(steps, &plan[..done]).await {
                tracing::warn!(error = %failure, "while undoing");
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Undoes all steps in reverse, and collects the errors.
pub(crate) async fn undo_all<S: Steps>(steps: &mut S, plan: &[S::Step]) -> Vec<S::Error> {
    let mut failures = Vec::new();
    for step in plan.iter().rev() {
        if let Err(error) = steps.undo(*step).await {
            tracing::debug!(?step, %error, "not undone");
            failures.push(error);
        }
    }
    failures
}
