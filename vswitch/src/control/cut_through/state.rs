//! The programs of a switch, and why there are none.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vswitch_cutthrough::CutThrough;

use crate::control::task::blocking;

/// What became of the programs.
#[derive(Debug, Default)]
pub(super) enum State {
    /// No network asks for them.
    #[default]
    NotAsked,
    /// They cannot be started.
    Off(String),
    /// They run.
    On(Box<CutThrough>),
}

/// The programs of a switch. Their calls block: they are made in a thread for that.
#[derive(Debug, Clone, Default)]
pub(in crate::control) struct CutThroughPrograms(Arc<Mutex<State>>);

impl CutThroughPrograms {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the programs, if they run.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&CutThrough) -> T + Send + 'static,
    ) -> Option<T> {
        let programs = self.clone();
        let asked = blocking(move || match &*programs.lock() {
            State::On(running) => Some(ask(running)),
            State::NotAsked | State::Off(_) => None,
        });
        asked.await.ok().flatten()
    }
}
