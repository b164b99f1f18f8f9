//! Detach of endpoints.
//!
//! A detach that somebody asks for leaves the document first. A write that fails, as on a full disk, takes the detach back
//! with the publications that it has handed on, so that it happens as a whole or not at all; a crash never brings the
//! endpoint back. Several endpoints of a container share the write.
//!
//! An endpoint whose interface is gone goes in any case. A write that fails then is tried again
//! ([`retry_failed_writes`](super::save::retry_failed_writes)).

use std::sync::Arc;

use fastpath::PortIndex;
use vswitch_api::event::EventKind;

use super::Control;
use super::error::ControlError;
use super::handover::Handover;
use super::model::{Deferred, EndpointKey, Lease, SlotOwner};
use super::plan;
use super::port::{self, PortChange};
use super::store::ContainerRecord;
use super::task::task;

/// A detach that is not in the document yet.
struct Detachment {
    lease: Lease,
    container: Option<ContainerRecord>,
    handover: Handover,
}

impl Control {
    /// Detaches a container from all of its networks.
    pub(crate) async fn detach(&self, name: &str) -> Result<(), ControlError> {
        let (name, control) = (name.to_owned(), self.clone());
        task(async move {
            control.0.check_not_ending()?;
            let (keys, deferred) = control.0.model().take_to_detach(&name)?;
            // All begin before the first one ends: none of them takes over from another.
            match control.0.begin_detach(&keys).await {
                Ok(begun) => control.leave_with(begun, deferred).await,
                Err(error) => {
                    control.defer_again(deferred, &error);
                    Err(error)
                }
            }
        })
        .await?
    }

    /// Detaches an endpoint; another of its container takes over its publications and the default route.
    pub(super) async fn detach_endpoint(&self, key: EndpointKey) -> Result<(), ControlError> {
        // None if it went meanwhile.
        let begun = self.0.begin_detach(std::slice::from_ref(&key)).await?;
        self.leave(begun).await
    }

    /// Ends detaches that have begun, or takes all of them back.
    pub(super) async fn leave(&self, leases: Vec<Lease>) -> Result<(), ControlError> {
        self.leave_with(leases, Vec::new()).await
    }

    /// As [`Self::leave`], with records that had no port and were taken out.
    async fn leave_with(
        &self,
        leases: Vec<Lease>,
        deferred: Vec<Deferred>,
    ) -> Result<(), ControlError> {
        if leases.is_empty() && deferred.is_empty() {
            return Ok(());
        }
        let mut leaving = Vec::with_capacity(leases.len());
        for lease in leases {
            let key = lease.key();
            let container = self.0.model().container_of(&key).cloned();
            let handover = self.hand_publications_on(&key).await;
            self.0.model().set_persisted(&key, false);
            leaving.push(Detachment { lease, container, handover });
        }
        if let Err(error) = self.0.save().await {
            for one in leaving.into_iter().rev() {
                self.stay(one).await;
            }
            self.defer_again(deferred, &error);
            return Err(error);
        }
        let mut left = Ok(());
        for one in leaving {
            left = left.and(self.end_leave(one).await);
        }
        left
    }

    fn defer_again(&self, deferred: Vec<Deferred>, error: &ControlError) {
        let mut model = self.0.model();
        deferred.into_iter().for_each(|one| model.defer(one, &error.to_string()));
    }

    /// Takes a detach back.
    async fn stay(&self, Detachment { lease, handover, .. }: Detachment) {
        let key = lease.key();
        self.take_publications_back(&lease, handover).await;
        let is_well = self.0.model().cancel_detach(&key);
        self.0.settled.notify_waiters();
        tracing::warn!(name = %key, network = %key.network, "not detached: the document cannot be written");
        if !is_well {
            self.detach_lost_port(lease.slot).await;
        }
    }

    /// Ends a detach that the document knows.
    async fn end_leave(
        &self,
        Detachment { lease, container, handover }: Detachment,
    ) -> Result<(), ControlError> {
        let key = lease.key();
        self.report_handover(&key, handover);
        if self.0.model().has_port(&key) {
            self.withdraw_router(lease.slot).await;
            self.tear_down_port(lease, &port::LEAVE).await?;
        } else {
            self.0.forget(&key).await;
        }
        if let Some(container) = container {
            self.leave_container(&container).await;
        }
        tracing::info!(name = %key, network = %key.network, "detached");
        self.0.feed.send(EventKind::Detach, &key, "");
        self.route_container(&key.name).await;
        Ok(())
    }

    /// Undoes these steps of an attach, then returns the first error.
    async fn tear_down_port(&self, lease: Lease, steps: &[port::Step]) -> Result<(), ControlError> {
        let mut change = PortChange::detach(Arc::clone(&self.0), lease);
        let failures = plan::undo_all(&mut change, steps).await;
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Detaches an endpoint whose interface is gone. That of a container waits for the next start.
    pub(super) async fn detach_lost_port(&self, slot: PortIndex) {
        if self.0.check_not_ending().is_err() {
            return;
        }
        let waits = {
            let mut model = self.0.model();
            let Some(SlotOwner::Endpoint(key)) = model.slot_owner(slot).cloned() else { return };
            let waits = model.may_wait(&key).map(|waits| {
                let container = model.container_of(&key).filter(|_| waits).cloned()?;
                Some((model.begin_detach_lost(slot), container))
            });
            waits.map_err(|error| self.count_limit_hit(error))
        };
        match waits {
            Ok(Some((Some(lease), container))) => self.let_wait(lease, &container).await,
            Ok(Some((None, _))) => {}
            Ok(None) => self.drop_lost_port(slot).await,
            Err(error) => {
                tracing::warn!(%error);
                self.drop_lost_port(slot).await;
            }
        }
    }

    /// Detaches an endpoint whose interface is gone.
    pub(super) async fn drop_lost_port(&self, slot: PortIndex) {
        let Some(lease) = self.0.model().begin_detach_lost(slot) else { return };
        let (name, key) = (lease.name.clone(), lease.key());
        let handover = self.hand_publications_on(&key).await;
        self.report_handover(&key, handover);
        let torn_down = self.tear_down_port(lease, &port::LOST).await;
        self.route_container(&name).await;
        match torn_down {
            Ok(()) => {
                tracing::info!(%name, "detached, since its namespace or interface is gone");
                self.0.feed.send(EventKind::Detach, &key, "its namespace or interface is gone");
            }
            Err(error) => {
                tracing::error!(%name, %error, "interface gone, and detach failed in part")
            }
        }
    }
}
