//! Containers of engines, Docker and podman: attached by name, and again after each restart.
//!
//! ```text
//!               the namespace goes                    the engine knows the container no more
//! attached -------------------------------> waiting -------------------------------------> gone
//!     ^                                        |
//!     +----------------------------------------+
//!               the container runs
//! ```
//!
//! A waiting attachment keeps all that was set aside for it ([`Model::resume`](super::model::Model::resume)). The
//! one operation is [`Control::check_container`]: it compares a container with what its engine says, and attaches
//! or forgets. It runs when a namespace is gone, when the engine reports a start, an end or a new name, and for
//! each container when the connection to the engine is new, so that no order of these matters
//! ([`follow`]). A switch without such attachments asks no engine.
//!
//! The first process of a container names the namespace. Between question and open it may end, and another
//! process get its number; so the engine is asked twice, and the container must be in the same run.

mod engine_file;
mod follow;
mod resolv_conf;

use std::path::Path;
use std::sync::Arc;

use vswitch_api::container::{ContainerRef, DOCKER_SOCKET};
use vswitch_api::event::EventKind;
use vswitch_api::port::NetnsRef;

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::{ContainerEndpoint, EndpointState, Lease};
use super::port::{self, PortChange};
use super::store::ContainerRecord;
use super::task::blocking;
use super::{plan, republish};
use crate::engine::{Container, Engine, EngineError};
use crate::host::netns::{self, OpenNetns};
use crate::host::{HostError, NetnsError};
pub(super) use follow::Followers;
pub(super) use resolv_conf::restore;

/// A container that runs, and its open namespace.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) record: ContainerRecord,
    pub(super) reference: NetnsRef,
    pub(super) netns: OpenNetns,
}

/// Asks an engine for a container that can be attached.
pub(super) async fn find(inner: &Inner, wanted: ContainerRef) -> Result<Found, ControlError> {
    let socket = wanted.engine.unwrap_or_else(|| DOCKER_SOCKET.into());
    let engine = Engine::new(&socket);
    let container = engine.container(&wanted.name).await?;
    let pid = container.attachable()?;
    open(inner, &engine, &container, pid).await
}

/// Opens the namespace of a container.
async fn open(
    inner: &Inner,
    engine: &Engine,
    container: &Container,
    pid: u32,
) -> Result<Found, ControlError> {
    let ended = || EngineError::Ended(container.name().to_owned());
    let reference = NetnsRef::Pid(pid);
    let opening = reference.clone();
    let opened = blocking(move || netns::open(&opening)).await?;
    let netns = opened.map_err(|error| match error {
        NetnsError::Own(_) => EngineError::HostNetwork(container.name().to_owned()).into(),
        NetnsError::NoProcess(_) => ControlError::Engine(ended()),
        error => error.into(),
    })?;
    check_owner(engine, container, &netns)?;
    let again = engine.container(&container.id).await.map_err(|error| match error {
        EngineError::NoContainer { .. } => ended(),
        error => error,
    })?;
    if !container.is_same_run(&again) {
        return Err(ended().into());
    }
    let known = inner.model().resolv_conf_of(engine.socket(), &container.id);
    let record = ContainerRecord {
        engine: engine.socket().clone(),
        id: container.id.clone(),
        name: container.name().to_owned(),
        resolv_conf: resolv_conf::record(container, known).await?,
    };
    Ok(Found { record, reference, netns })
}

/// Refuses a namespace that the user who runs the engine has no power over: that engine may name any process.
fn check_owner(
    engine: &Engine,
    container: &Container,
    netns: &OpenNetns,
) -> Result<(), EngineError> {
    let uid = container.engine_uid;
    if uid == 0 || netns.owner().is_ok_and(|owner| owner == uid) {
        return Ok(());
    }
    let name = container.name().to_owned();
    Err(EngineError::OtherUser { socket: engine.socket().clone(), uid, name })
}

/// The error of an attach whose container ended meanwhile.
pub(super) fn as_ended(error: ControlError, container: Option<&ContainerRecord>) -> ControlError {
    match (error, container) {
        (ControlError::Host(HostError::Netns(NetnsError::Gone(_))), Some(container)) => {
            EngineError::Ended(container.name.clone()).into()
        }
        (error, _) => error,
    }
}

impl Control {
    /// Lets an endpoint wait whose namespace, or whose interface in it, is gone. Its detach has begun.
    pub(super) async fn let_wait(&self, lease: Lease, container: &ContainerRecord) {
        let (inner, key) = (&self.0, lease.key());
        let mut change = PortChange::detach(Arc::clone(inner), lease);
        for error in plan::undo_all(&mut change, &port::WAIT).await {
            tracing::error!(name = %key, %error, "its container has ended, and detach failed in part");
        }
        inner.wait_for_container(&key);
        self.route_container(&key.name).await;
        tracing::info!(name = %key, container = container.name, "waits for its container");
        inner.feed.send(EventKind::Wait, &key, format!("container {} has ended", container.name));
        if let Err(error) = inner.save().await {
            tracing::error!(name = %key, %error, "not written");
        }
        // It may run again already.
        inner.followers.check(container);
    }

    /// Names the switch's servers in a container that was attached, and follows its engine.
    pub(super) async fn follow_container(&self, container: &ContainerRecord) {
        self.update_resolv_conf(container).await;
        self.follow_engine(&container.engine);
    }

    /// Takes the switch's servers out of a container that was detached, and follows its engine no longer than
    /// needed.
    pub(super) async fn leave_container(&self, container: &ContainerRecord) {
        self.update_resolv_conf(container).await;
        self.0.followers.wake(&container.engine);
    }

    /// Follows the engines of all containers, after a start.
    pub(super) async fn follow_containers(&self) {
        self.update_resolv_confs().await;
        let engines = self.0.model().engines();
        for engine in engines {
            self.follow_engine(&engine);
        }
    }

    /// Brings the endpoints of a container in line with its engine. False if it should be tried again.
    async fn check_container(&self, socket: &Path, id: &str) -> bool {
        let endpoints = self.0.model().endpoints_of_container(socket, id);
        if endpoints.is_empty() || self.0.check_not_ending().is_err() {
            return true;
        }
        let engine = Engine::new(socket);
        let container = match engine.container(id).await {
            Ok(container) => container,
            Err(EngineError::NoContainer { .. }) => {
                return self.forget_container(socket, id, &endpoints).await;
            }
            // The next connection checks all.
            Err(EngineError::NoEngine { .. }) => return true,
            Err(error) => {
                tracing::warn!(%error, "the attachment of a container stays as it is");
                return false;
            }
        };
        self.follow_name(socket, &container).await;
        let Some(pid) = container.pid() else { return true };
        let found = match open(&self.0, &engine, &container, pid).await {
            Ok(found) => found,
            // The start of its next run comes as an event.
            Err(ControlError::Engine(EngineError::Ended(_))) => return true,
            Err(error) => {
                tracing::warn!(container = container.name(), %error, "not attached again");
                return false;
            }
        };
        self.attach_again(&found).await
    }

    /// Attaches the endpoints of a running container that are not in its namespace. False if one fails.
    async fn attach_again(&self, found: &Found) -> bool {
        let (engine, id) = (&found.record.engine, &found.record.id);
        let endpoints = self.0.model().endpoints_of_container(engine, id);
        for endpoint in endpoints {
            let is_elsewhere = endpoint.netns.is_some_and(|netns| netns != found.netns.id);
            let begun = match is_elsewhere {
                true => self.0.model().begin_wait(&endpoint, engine, id),
                false => None,
            };
            if let Some(lease) = begun {
                self.let_wait(lease, &found.record).await;
            }
        }
        let (mut is_done, mut is_changed) = (true, false);
        let endpoints = self.0.model().endpoints_of_container(engine, id);
        for endpoint in endpoints.iter().filter(|it| it.state == EndpointState::Waiting) {
            match self.resume(&endpoint.lease, found).await {
                Ok(()) => is_changed = true,
                Err(error) => {
                    let name = endpoint.lease.key();
                    tracing::warn!(%name, %error, "its container runs, but it is not attached again");
                    // Perhaps it was renamed meanwhile.
                    let is_there = self.0.model().has_container(engine, id);
                    let is_unknown = matches!(error, ControlError::UnknownPort(_));
                    is_done &= error.is_end_of_container() || (is_unknown && !is_there);
                }
            }
        }
        if is_changed {
            self.update_resolv_conf(&found.record).await;
            republish::retry_pending(&self.0);
        }
        is_done
    }

    async fn resume(&self, lease: &Lease, found: &Found) -> Result<(), ControlError> {
        let namespace = (found.reference.clone(), found.netns.clone());
        let described = netns::describe(&found.reference);
        let record = found.record.clone();
        let mut change = PortChange::resume(Arc::clone(&self.0), lease, record, namespace)?;
        let lease = self.execute_attach(&mut change, described).await?;
        tracing::info!(name = %lease.name, network = %lease.network, "attached again, as its container runs");
        self.0.feed.send(EventKind::Attach, &lease.key(), lease.addresses());
        Ok(())
    }

    /// Forgets the waiting endpoints of a container that its engine knows no more. One whose namespace lives
    /// waits when that ends, and is checked again then. False if it should be tried again.
    async fn forget_container(
        &self,
        engine: &Path,
        id: &str,
        endpoints: &[ContainerEndpoint],
    ) -> bool {
        // The engine took time to answer, so look again. All begin before the first one ends: none takes over from
        // another.
        let leases: Vec<_> = {
            let mut model = self.0.model();
            endpoints.iter().filter_map(|it| model.begin_forget(it, engine, id)).collect()
        };
        let names: Vec<_> = leases.iter().map(|lease| lease.key().to_string()).collect();
        if names.is_empty() {
            return true;
        }
        let left = self.leave(leases).await;
        match &left {
            Ok(()) => tracing::info!(?names, "their container was removed"),
            Err(error) => tracing::warn!(?names, %error, "their container was removed"),
        }
        left.is_ok()
    }

    /// Follows a new name of a container in its engine, where the attachment has the former one.
    async fn follow_name(&self, engine: &Path, container: &Container) {
        let new = container.name();
        let Some(former) = self.0.model().rename_container(engine, &container.id, new) else {
            return;
        };
        let endpoints = self.0.model().endpoints_of_container(engine, &container.id);
        if endpoints.iter().any(|endpoint| endpoint.lease.name.as_str() == former) {
            // A name that another one has stays with that one.
            if let Err(error) = self.rename(&former, new).await {
                tracing::warn!(name = former, new, %error, "its container has a new name");
            }
        } else if let Err(error) = self.0.save().await {
            tracing::error!(%error, "not written");
        }
    }
}

impl ControlError {
    /// Whether an attach failed since its container ended.
    fn is_end_of_container(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::Ended(_))
                | Self::Host(HostError::Netns(NetnsError::Gone(_)))
                | Self::Busy(..)
        )
    }
}
