//! Upkeep: what others take away of the switch's on the host is set again, logged and counted.
//!
//! | what | noticed by | what is done |
//! |---|---|---|
//! | the TAP of an uplink deleted | the workers' event, or the kernel's | made again, with its index and MAC address |
//! | it, or a host port, set down; an address or a route of these removed | the kernel's event | set again |
//! | `route_localnet`, `ip_forward`, `ip_local_reserved_ports` | a look each second | set again |
//! | a container's interface that is no longer in its namespace | a look in turn | the endpoint has a fault until it is back |
//!
//! A host port that is deleted stays so, with its containers (`control/events.rs`).

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::time::MissedTickBehavior;
use vswitch_api::event::EventKind;

use super::Control;
use super::error::ControlError;
use super::limits::{INTERFACE_LOOKS, INTERFACES_PER_LOOK_MAX};
use super::model::{EndpointKey, SlotOwner};
use super::network::bridge_setup;
use super::store::NetnsRecord;
use super::task::blocking;
use crate::host::limits::{UPKEEP_INTERVAL, UPKEEP_PAUSE};
use crate::host::link_changes::link_changes;
use crate::host::{container, netns, own_device};

/// Follows the kernel's changes until the switch ends.
pub(super) async fn run(control: Control) {
    let mut changes = match link_changes() {
        Ok(changes) => changes,
        Err(error) => {
            return tracing::warn!(%error, "what others take away on the host is not set again");
        }
    };
    let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut own, mut turn) = (BTreeSet::new(), 0);
    while control.0.check_not_ending().is_ok() {
        let ticked = tokio::select! {
            _ = tick.tick() => true,
            Some(index) = changes.next() => match own.contains(&index) {
                true => false,
                false => continue,
            },
            () = control.0.uplink_lost.notified() => false,
        };
        own = control.restore().await;
        if ticked {
            turn = control.look_at_interfaces(turn).await;
        } else {
            // Our own changes are among those that gather meanwhile.
            tokio::time::sleep(UPKEEP_PAUSE).await;
        }
    }
}

impl Control {
    /// Sets again what is gone. Gives the indices of the switch's devices.
    async fn restore(&self) -> BTreeSet<u32> {
        let inner = &self.0;
        let queues = inner.dataplane.workers();
        let mut own = BTreeSet::new();
        let bridges: Vec<_> = {
            let model = inner.model();
            let there = model.active_networks().filter(|network| network.has_device());
            there
                .filter_map(|it| {
                    let admits = !it.spec.is_internal() && model.uplink().is_some();
                    Some((it.spec.name.clone(), bridge_setup(&it.spec, queues, true)?, admits))
                })
                .collect()
        };
        for (network, setup, admits_loopback) in bridges {
            let found = own_device::restore_bridge(&inner.netlink, &setup, admits_loopback).await;
            match found {
                Ok((index, restored)) => {
                    own.extend(index);
                    if restored.iter().any(|part| part == "up") {
                        // Its neighbour table was emptied.
                        let leases: Vec<_> = inner.model().leases_on(&network);
                        for lease in leases {
                            inner.install_host_neighbours(&lease).await;
                        }
                    }
                    self.note_restored(&setup.name, &restored);
                }
                Err(error) => tracing::warn!(%network, %error, "not set again; it is tried again"),
            }
        }
        own.extend(self.restore_uplinks().await);
        own
    }

    /// Brings the uplinks in order. Gives the indices of their TAPs.
    async fn restore_uplinks(&self) -> Vec<u32> {
        let inner = &self.0;
        let mut publisher = inner.publisher.lock().await;
        let Some(uplink) = publisher.uplink.as_mut() else { return Vec::new() };
        match uplink.make_taps_again(&inner.netlink).await {
            Ok(taps) => {
                for tap in taps {
                    let Some(port) = inner.model().port_of_tap(tap.ifindex) else { continue };
                    if let Err(error) = inner.replace_port(port, tap.queues).await {
                        tracing::error!(%error, "the TAP of an uplink is without a port");
                    }
                    self.note_restored(&tap.name, &["the TAP of an uplink".to_owned()]);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the TAP of an uplink is not made again yet");
                return uplink.tap_indices().await;
            }
        }
        match uplink.restore(&inner.netlink).await {
            Ok(restored) => self.note_restored("uplink", &restored),
            Err(error) => tracing::warn!(%error, "the uplink is not set again; it is tried again"),
        }
        uplink.tap_indices().await
    }

    fn note_restored(&self, device: &str, restored: &[String]) {
        for part in restored {
            tracing::warn!(device, part, "somebody took it away: it is set again");
            self.0.restored.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Looks whether some containers' interfaces are where they belong, from that turn on; gives the next one.
    async fn look_at_interfaces(&self, turn: usize) -> usize {
        let all = self.0.model().interfaces();
        let count = all.len().div_ceil(INTERFACE_LOOKS).min(INTERFACES_PER_LOOK_MAX);
        let start = if turn < all.len() { turn } else { 0 };
        let some: Vec<_> = all.into_iter().skip(start).take(count).collect();
        for (key, record) in some {
            match self.is_in_place(&key, &record).await {
                Ok(fault) => self.note_fault(&key, fault),
                Err(error) => tracing::debug!(name = %key, %error, "cannot look at its interface"),
            }
        }
        start + count
    }

    /// The fault of an endpoint whose interface is not in its namespace.
    async fn is_in_place(
        &self,
        key: &EndpointKey,
        record: &NetnsRecord,
    ) -> Result<Option<String>, ControlError> {
        let (path, id) = (record.path.clone(), record.id);
        let found = blocking(move || netns::find(id, &path)).await??;
        let Some(path) = found else { return Ok(None) };
        let netns = blocking(move || netns::open_path(&path)).await??;
        if netns.id != id {
            return Ok(None);
        }
        let info = container::inspect(netns).await?;
        let Some((mac, ifname)) = self.0.model().interface_of(key) else { return Ok(None) };
        // It may be renamed inside, or have another MAC address.
        let is_there = info.macs.contains_key(&ifname) || info.macs.values().any(|it| *it == mac);
        Ok((!is_there).then(|| {
            let where_it_was = netns::describe(&record.reference);
            format!("its interface {ifname} ({mac}) has left its namespace {where_it_was}: somebody moved it")
        }))
    }

    fn note_fault(&self, key: &EndpointKey, fault: Option<String>) {
        if !self.0.model().set_active_fault(key, fault.clone()) {
            return;
        }
        match fault {
            Some(fault) => {
                tracing::warn!(name = %key, network = %key.network, fault, "out of order");
                self.0.feed.send(EventKind::Fault, key, fault);
            }
            None => {
                tracing::info!(name = %key, network = %key.network, "in order again");
                self.0.feed.send(EventKind::Fault, key, "none any more");
            }
        }
    }

    /// Makes the TAP of the uplink again in the slot that has lost it.
    pub(super) fn lose_uplink(&self) {
        self.0.uplink_lost.notify_one();
    }
}

/// Whether a slot is that of an uplink.
pub(super) fn is_uplink(owner: Option<&SlotOwner>) -> bool {
    matches!(owner, Some(SlotOwner::Uplink(_)))
}

/// Starts the upkeep.
pub(super) fn start(control: &Control) {
    tokio::spawn(run(Control(Arc::clone(&control.0))));
}
