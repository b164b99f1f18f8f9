//! Following engines: one task for each engine that has containers of ours, with its stream of events.
//!
//! ```text
//! connect -- fails --> pause, doubled each time --> connect
//!    | works
//!    v
//! list all containers, check ours -> events: check what they name -> the stream ends: pause, connect
//! ```
//!
//! The pause is the first one again after a stream that has lived for longer than the longest pause; one that
//! ends at once each time is like none. The task ends with the last container ([`Checks`] has their order).

mod checks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::Control;
use super::super::limits::{ENGINE_PAUSE_MAX, ENGINE_PAUSE_MIN};
use super::super::store::ContainerRecord;
use crate::engine::{Engine, EngineError, EngineEvents};
use checks::Checks;

/// The followers, by the sockets of their engines.
#[derive(Debug, Default)]
pub(in crate::control) struct Followers(Mutex<BTreeMap<PathBuf, Arc<Mailbox>>>);

/// Containers to check, for a follower.
#[derive(Debug, Default)]
struct Mailbox {
    ids: Mutex<BTreeSet<String>>,
    wake: Notify,
}

impl Mailbox {
    fn ids(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followers {
    /// Has a container checked by the follower of its engine.
    pub(in crate::control) fn check(&self, container: &ContainerRecord) {
        if let Some(mailbox) = self.all().get(&container.engine) {
            mailbox.ids().insert(container.id.clone());
            mailbox.wake.notify_one();
        }
    }

    /// Wakes a follower: its last container may be gone.
    pub(in crate::control) fn wake(&self, engine: &Path) {
        if let Some(mailbox) = self.all().get(engine) {
            mailbox.wake.notify_one();
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<Mailbox>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Follows an engine, if nobody does.
    pub(super) fn follow_engine(&self, engine: &Path) {
        let mut all = self.0.followers.all();
        if all.contains_key(engine) {
            return;
        }
        let mailbox = Arc::new(Mailbox::default());
        all.insert(engine.to_owned(), Arc::clone(&mailbox));
        let follower = Follower {
            control: self.clone(),
            engine: engine.to_owned(),
            mailbox,
            checks: Checks::default(),
        };
        tokio::spawn(follower.run());
    }
}

struct Follower {
    control: Control,
    engine: PathBuf,
    mailbox: Arc<Mailbox>,
    checks: Checks,
}

/// Pauses before an engine is asked again.
#[derive(Debug)]
struct Pauses(Duration);

impl Pauses {
    /// The next pause, after a connection that has lived so long.
    fn next(&mut self, lived: Duration) -> Duration {
        if lived >= ENGINE_PAUSE_MAX {
            self.0 = ENGINE_PAUSE_MIN;
        }
        let next = self.0;
        self.0 = ENGINE_PAUSE_MAX.min(next * 2);
        next
    }
}

impl Follower {
    async fn run(mut self) {
        let mut pauses = Pauses(ENGINE_PAUSE_MIN);
        let mut is_known_to_be_away = false;
        while !self.is_over() {
            let mut lived = Duration::ZERO;
            match self.connect().await {
                Ok(events) => {
                    is_known_to_be_away = false;
                    tracing::info!(engine = %self.engine.display(), "follows a container engine");
                    let begun = Instant::now();
                    self.follow(events).await;
                    lived = begun.elapsed();
                }
                Err(error) if !is_known_to_be_away => {
                    is_known_to_be_away = true;
                    tracing::warn!(%error, "it is asked again until it answers");
                }
                Err(_) => {}
            }
            if !self.is_over() {
                sleep(pauses.next(lived)).await;
            }
        }
    }

    /// Whether the engine has no containers of ours any more; then the follower is forgotten.
    fn is_over(&self) -> bool {
        let mut all = self.control.0.followers.all();
        let is_over = self.control.0.model().containers(&self.engine).is_empty();
        if is_over {
            all.remove(&self.engine);
        }
        is_over
    }

    /// Opens the stream of events, then looks what happened before.
    async fn connect(&mut self) -> Result<EngineEvents, EngineError> {
        let engine = Engine::new(&self.engine);
        let events = engine.events().await?;
        let listed = engine.all().await?;
        let ours = self.control.0.model().containers(&self.engine);
        let is_unchanged = |id: &String| {
            let row = listed.iter().find(|row| row.id == *id);
            row.is_some_and(|row| !row.is_running())
        };
        ours.into_iter().filter(|id| !is_unchanged(id)).for_each(|id| self.checks.mark(id));
        Ok(events)
    }

    /// Checks containers until the stream ends, or the last container is gone.
    async fn follow(&mut self, mut events: EngineEvents) {
        loop {
            let (control, engine) = (&self.control, &self.engine);
            self.checks.begin(|id| {
                let (control, engine) = (control.clone(), engine.clone());
                async move { control.check_container(&engine, &id).await }
            });
            let mailbox = Arc::clone(&self.mailbox);
            let retry_at = self.checks.retry_at();
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.mark(event.into_container()),
                    None => return,
                },
                () = self.checks.end_one() => {}
                () = mailbox.wake.notified() => {
                    let ids = std::mem::take(&mut *mailbox.ids());
                    ids.into_iter().for_each(|id| self.checks.mark(id));
                    if self.control.0.model().containers(&self.engine).is_empty() {
                        return;
                    }
                }
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                    self.checks.retry();
                }
            }
        }
    }

    /// Notes a container of an event, if it is ours.
    fn mark(&mut self, id: String) {
        if self.control.0.model().has_container(&self.engine, &id) {
            self.checks.mark(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_ends_each_stream_at_once_is_asked_seldom() {
        let mut pauses = Pauses(ENGINE_PAUSE_MIN);
        assert_eq!(pauses.next(Duration::ZERO), ENGINE_PAUSE_MIN);
        for _ in 0..20 {
            pauses.next(Duration::from_millis(5));
        }
        assert_eq!(pauses.next(Duration::from_millis(5)), ENGINE_PAUSE_MAX);
        assert_eq!(pauses.next(ENGINE_PAUSE_MAX), ENGINE_PAUSE_MIN, "it was an engine");
    }
}
