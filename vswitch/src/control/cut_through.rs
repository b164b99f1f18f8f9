//! Cut-through: starts the programs when the first network asks for them, and ends them with the switch.
//!
//! ```text
//! not asked --(a network asks)--> on --(`down`)--> not asked
//!                 |                                    ^
//!                 +--(the kernel refuses)--> off ------+
//! ```
//!
//! Nothing is loaded before a network asks. The programs stay until `down`, and stop redirecting when the switch has not
//! renewed its lease for some seconds
//! ([`vswitch_cutthrough::CutThrough::renew`]). Where they cannot be started, the switch
//! goes on without.
//!
//! A killed switch leaves its programs, and a note in the state directory. The next start takes them over if a network
//! asks, and else removes them as soon as nobody has unread bytes in them; so does `down`.

mod programs;
pub(super) mod state;
mod view;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use super::Control;
use super::inner::Inner;
use super::model::{EndpointKey, NetworkSpec};
use super::task::blocking;
use crate::host::cut_through_note::{self, CutThroughNote};
pub(super) use programs::clear_of_dead;
use state::State;
pub(super) use view::Clients;
use vswitch_cutthrough::Connection;

/// Time between two renewals; the programs go on for 10 s without one.
const RENEWAL: Duration = Duration::from_secs(3);
/// Time after which all workers have a snapshot.
const NEXT_SNAPSHOT: Duration = Duration::from_secs(1);
/// Time between two attempts to remove what a killed switch has left.
const CLEAR: Duration = Duration::from_secs(30);

impl Inner {
    /// Starts the programs for a network that asks for them, if they do not run.
    pub(super) async fn start_cut_through(&self, network: &NetworkSpec) {
        if !self.model().may_cut_through(network) {
            return;
        }
        let (programs, config) = (self.cut_through.clone(), self.config.clone());
        let boot_id = self.boot_id.clone();
        let started = blocking(move || {
            let mut state = programs.lock();
            if let State::On(running) = &*state {
                return Some(Arc::clone(running.allowed()));
            }
            match programs::start(&config, boot_id) {
                Ok(running) => {
                    tracing::info!(cgroup = %running.cgroup().display(), "cut-through is on");
                    let allowed = Arc::clone(running.allowed());
                    *state = State::On(Box::new(running));
                    Some(allowed)
                }
                Err(reason) => {
                    tracing::warn!(reason, "cut-through is off");
                    *state = State::Off(reason);
                    None
                }
            }
        });
        match started.await {
            Ok(allowed) => self.model().set_cut_through(allowed),
            Err(error) => tracing::warn!(%error, "cut-through is off"),
        }
    }

    /// Sends the connections of an endpoint's namespace back to TCP, where the switch sees them.
    pub(super) async fn leave_cut_through(&self, key: &EndpointKey) {
        let Some(netns) = self.model().netns_cookie_of(key) else { return };
        self.cut_through.ask(move |running| running.leave_netns(netns)).await;
        // Workers allow handshakes until they have the next snapshot.
        let programs = self.cut_through.clone();
        tokio::spawn(async move {
            tokio::time::sleep(NEXT_SNAPSHOT).await;
            programs.ask(move |running| running.leave_netns(netns)).await;
        });
    }

    /// Whether the programs run.
    pub(super) async fn has_cut_through(&self) -> bool {
        self.cut_through.ask(|_| ()).await.is_some()
    }

    /// Lets the connections of all of these clients go back to TCP, as when they are flushed.
    pub(super) async fn leave_cut_through_of(&self, clients: Vec<(SocketAddr, SocketAddr)>) {
        let is_wanted = move |it: &Connection| {
            clients.contains(&(it.client.tuple.local, it.client.tuple.remote))
        };
        self.cut_through.ask(move |running| running.leave(is_wanted)).await;
    }

    /// Removes the programs. New connections are no longer cut through, in any case.
    ///
    /// # Errors
    ///
    /// What stays on the host, and why.
    async fn stop_cut_through(&self) -> Result<(), String> {
        self.model().set_cut_through(None);
        self.commit_snapshot();
        let (programs, config) = (self.cut_through.clone(), self.config.clone());
        let stopped = blocking(move || match std::mem::take(&mut *programs.lock()) {
            State::On(running) => {
                running.stop().map_err(|error| programs::left(&error))?;
                cut_through_note::remove(config.state_dir.path());
                Ok(())
            }
            State::NotAsked | State::Off(_) => Ok(()),
        });
        stopped.await.map_err(|error| error.to_string())?
    }
}

impl Control {
    /// Removes the programs of cut-through before the switch ends. Gives what stays on the host.
    pub(crate) async fn stop_cut_through(&self) -> Option<String> {
        let left = self.0.stop_cut_through().await.err()?;
        tracing::warn!(left, "some programs of the switch stay on the host");
        Some(left)
    }

    /// Whether programs of cut-through are still on the host.
    pub(crate) fn has_cut_through_left(&self) -> bool {
        CutThroughNote::read(self.0.config.state_dir.path()).is_some()
    }
}

/// Renews the lease of the programs until the switch ends; removes what a killed switch has left, if no network asks.
pub(super) async fn upkeep(inner: Arc<Inner>) {
    let mut tick = tokio::time::interval(RENEWAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut next = Instant::now();
    while !inner.ending.load(Ordering::Relaxed) {
        tick.tick().await;
        match inner
            .cut_through
            .ask(|running| running.renew().map_err(|error| error.to_string()))
            .await
        {
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::warn!(error, "cut-through pauses"),
            None if Instant::now() >= next => {
                next = Instant::now() + CLEAR;
                clear_left(&inner).await;
            }
            None => {}
        }
    }
}

/// Removes what a killed switch has left, while no network asks for it.
async fn clear_left(inner: &Inner) {
    let state_dir = inner.config.state_dir.path().to_owned();
    let programs = inner.cut_through.clone();
    let taken = blocking(move || {
        let state = programs.lock();
        match *state {
            State::On(_) => Ok(false),
            State::NotAsked | State::Off(_) => clear_of_dead(Path::new(&state_dir)),
        }
    });
    match taken.await {
        Ok(Ok(true)) => tracing::info!("removed programs of cut-through that a crash had left"),
        Ok(Ok(false)) => {}
        Ok(Err(left)) => tracing::warn!(left, "programs of cut-through stay, and are tried again"),
        Err(error) => tracing::warn!(%error, "programs of cut-through stay"),
    }
}
