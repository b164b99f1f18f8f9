//! Following engines: one task for each engine that has containers of ours, with its stream of events.
//!
//! ```text
//! connect -- fails --> pause, doubled each time --> connect
//!    | works
//!    v
//! list all containers, check ours -> events: check what they name -> the stream ends: pause, connect
//! ```
//!
//! A check runs once for a container at a time; what names it meanwhile makes it run once more, so that a
//! storm of events costs no more than their reading. The task ends with the last container.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::Control;
use super::super::limits::{
    CONTAINER_CONCURRENCY, CONTAINER_RETRY, ENGINE_PAUSE_MAX, ENGINE_PAUSE_MIN,
};
use super::super::store::ContainerRecord;
use crate::engine::{Engine, EngineError, EngineEvents};

/// The followers, by the sockets of their engines.
#[derive(Debug, Default)]
pub(in crate::control) struct Followers(Mutex<BTreeMap<PathBuf, Arc<Mailbox>>>);

/// Containers to check, for a follower.
#[derive(Debug, Default)]
struct Mailbox {
    ids: Mutex<BTreeSet<String>>,
    news: Notify,
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
            mailbox.news.notify_one();
        }
    }

    /// Wakes a follower: its last container may be gone.
    pub(in crate::control) fn wake(&self, engine: &Path) {
        if let Some(mailbox) = self.all().get(engine) {
            mailbox.news.notify_one();
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
            dirty: BTreeSet::new(),
            running: BTreeSet::new(),
            checks: JoinSet::new(),
            retry: BTreeSet::new(),
            retry_at: None,
        };
        tokio::spawn(follower.run());
    }
}

struct Follower {
    control: Control,
    engine: PathBuf,
    mailbox: Arc<Mailbox>,
    /// Containers to check.
    dirty: BTreeSet<String>,
    /// Containers that are checked now.
    running: BTreeSet<String>,
    checks: JoinSet<(String, bool)>,
    /// Containers to check again later.
    retry: BTreeSet<String>,
    retry_at: Option<Instant>,
}

impl Follower {
    async fn run(mut self) {
        let mut pause = ENGINE_PAUSE_MIN;
        let mut is_known_to_be_away = false;
        while !self.is_over() {
            match self.connect().await {
                Ok(events) => {
                    (pause, is_known_to_be_away) = (ENGINE_PAUSE_MIN, false);
                    tracing::info!(engine = %self.engine.display(), "follows a container engine");
                    self.follow(events).await;
                }
                Err(error) if !is_known_to_be_away => {
                    is_known_to_be_away = true;
                    tracing::warn!(%error, "it is asked again until it answers");
                }
                Err(_) => {}
            }
            if !self.is_over() {
                sleep(pause).await;
                pause = ENGINE_PAUSE_MAX.min(pause * 2);
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
        self.dirty.extend(ours.into_iter().filter(|id| !is_unchanged(id)));
        Ok(events)
    }

    /// Checks containers until the stream ends, or the last container is gone.
    async fn follow(&mut self, mut events: EngineEvents) {
        loop {
            self.begin_checks();
            let mailbox = Arc::clone(&self.mailbox);
            let retry_at = self.retry_at;
            tokio::select! {
                event = events.next() => match event {
                    Some(event) => self.mark(event.into_container()),
                    None => return,
                },
                Some(ended) = self.checks.join_next() => self.end_check(ended.ok()),
                () = mailbox.news.notified() => {
                    let ids = std::mem::take(&mut *mailbox.ids());
                    self.dirty.extend(ids);
                    if self.control.0.model().containers(&self.engine).is_empty() {
                        return;
                    }
                }
                () = sleep_until(retry_at.unwrap_or_else(Instant::now)), if retry_at.is_some() => {
                    self.retry_at = None;
                    self.dirty.append(&mut self.retry);
                }
            }
        }
    }

    /// Notes a container of an event, if it is ours.
    fn mark(&mut self, id: String) {
        if self.control.0.model().has_container(&self.engine, &id) {
            self.dirty.insert(id);
        }
    }

    fn begin_checks(&mut self) {
        while self.checks.len() < CONTAINER_CONCURRENCY {
            let next = self.dirty.iter().find(|id| !self.running.contains(*id)).cloned();
            let Some(id) = next else { return };
            self.dirty.remove(&id);
            self.running.insert(id.clone());
            let (control, engine) = (self.control.clone(), self.engine.clone());
            self.checks.spawn(async move {
                let is_done = control.check_container(&engine, &id).await;
                (id, is_done)
            });
        }
    }

    fn end_check(&mut self, ended: Option<(String, bool)>) {
        // A check that panicked leaves its container marked as running, and is in the log.
        let Some((id, is_done)) = ended else { return };
        self.running.remove(&id);
        if !is_done {
            self.retry.insert(id);
            self.retry_at = Some(Instant::now() + CONTAINER_RETRY);
        }
    }
}
