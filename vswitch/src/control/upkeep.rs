//! Restores parts of the switch that other programs remove. Each is logged and counted; what cannot be restored is a
//! fault, which `status` shows.
//!
//! | what | noticed by | what is done |
//! |---|---|---|
//! | the TAP of an uplink deleted | the workers' event, or the kernel's | made again, with its index and MAC address |
//! | it, or a host port, set down; an address or a route of the host port removed, IPv6 switched off | the kernel's event | restored |
//! | `route_localnet`, `ip_forward`, `ip_local_reserved_ports` | a look each second | restored |
//! | a host port renamed or moved; an uplink TAP renamed or replaced | the kernel's event | a fault |
//! | a container's interface that is no longer in its namespace | a look at one each second | a fault of the endpoint |
//!
//! All addresses and routes are read after an event of one of our devices, or lost events, and once for all networks each
//! [`RESYNC_INTERVAL`]. A host port that is deleted stays so, with its containers: the workers tell of it
//! (`control/events.rs`), perhaps after the kernel. So one is called moved when it has been gone for a while, and nobody has
//! told.

mod interfaces;
mod notices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, MissedTickBehavior};
use vswitch_api::event::EventKind;

use super::Control;
use super::limits::{SETTINGS_PER_LOOK, UPKEEP_RETRY};
use super::model::{Model, NetworkName, SlotOwner};
use super::network::bridge_setup;
use crate::host::limits::{RESYNC_INTERVAL, UPKEEP_INTERVAL, UPKEEP_PAUSE};
use crate::host::link_changes::{LinkChange, link_changes};
use crate::host::own_device::{self, Found, Repairs};
use interfaces::Looks;
use notices::Notices;

/// Names of faults beside those of host ports, which have their device's. No device has a space in its name.
const UPLINK: &str = "the uplink";
const SETTINGS: &str = "the settings";

struct Upkeep {
    control: Control,
    notices: Notices,
    looks: Looks,
    /// The network whose settings are looked at next.
    turn: usize,
    /// Devices of ours that were down since the last restoration.
    downs: BTreeSet<u32>,
    /// Host ports, by index, that are gone, and since when.
    gone: BTreeMap<u32, Instant>,
    /// When all is read again without an event.
    next: Instant,
}

/// Follows the kernel's changes until the switch ends.
pub(super) async fn run(control: Control) {
    let mut changes = match link_changes() {
        Ok(changes) => changes,
        Err(error) => {
            return tracing::warn!(%error, "what other programs remove on the host is not restored");
        }
    };
    let mut tick = tokio::time::interval(UPKEEP_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut upkeep = Upkeep::new(control);
    let mut has_acted = false;
    while upkeep.control.0.check_not_ending().is_ok() {
        let ticked = tokio::select! {
            _ = tick.tick() => true,
            Some(change) = changes.next() => match upkeep.note(change) {
                true => false,
                false => continue,
            },
            () = upkeep.control.0.uplink_lost.notified() => false,
        };
        // What goes now, the switch itself removes.
        if upkeep.control.0.check_not_ending().is_err() {
            return;
        }
        if ticked {
            upkeep.restore_settings();
            let control = upkeep.control.clone();
            upkeep.looks.look(&control).await;
            if Instant::now() < upkeep.next {
                continue;
            }
        }
        while let Some(Some(change)) = changes.next().now_or_never() {
            upkeep.note(change);
        }
        let acts = upkeep.restore().await;
        // Our own changes are among those that gather meanwhile; who fights with another program, fights slowly.
        let pause = if acts && has_acted { UPKEEP_INTERVAL } else { UPKEEP_PAUSE };
        has_acted = acts;
        tokio::time::sleep(pause).await;
    }
}

impl Upkeep {
    fn new(control: Control) -> Self {
        Self {
            control,
            notices: Notices::default(),
            looks: Looks::default(),
            turn: 0,
            downs: BTreeSet::new(),
            gone: BTreeMap::new(),
            next: Instant::now(),
        }
    }

    /// Notes a change; says whether it may be of a device of ours.
    fn note(&mut self, change: LinkChange) -> bool {
        let inner = &self.control.0;
        let LinkChange::Of { index, is_down } = change else {
            self.downs.extend(inner.host_port_indexes());
            return true;
        };
        let is_ours = inner.is_host_port(index) || inner.model().port_of_tap(index).is_some();
        if is_ours && is_down {
            self.downs.insert(index);
        }
        is_ours
    }

    /// Restores what is gone of the devices. Says whether something was amiss.
    async fn restore(&mut self) -> bool {
        let inner = Arc::clone(&self.control.0);
        self.next = Instant::now() + RESYNC_INTERVAL;
        // No network is removed meanwhile, and made again with other addresses.
        let stays = inner.network_changes.try_lock();
        self.gone.retain(|index, _| inner.is_host_port(*index));
        let networks = match &stays {
            Ok(_) => bridges(&inner.model()),
            Err(_) => {
                self.next = Instant::now();
                Vec::new()
            }
        };
        let has_uplink = inner.publisher.lock().await.uplink.is_some();
        if networks.is_empty() && !has_uplink {
            return false;
        }
        let found = match Found::read(&inner.netlink).await {
            Ok(found) => found,
            Err(error) => {
                self.warn("host", &error.to_string());
                return false;
            }
        };
        let mut is_amiss = false;
        for name in networks {
            is_amiss |= self.restore_network(&found, &name).await;
        }
        drop(stays);
        is_amiss | (has_uplink && self.restore_uplink(&found).await)
    }

    async fn restore_network(&mut self, found: &Found, name: &NetworkName) -> bool {
        let inner = Arc::clone(&self.control.0);
        let queues = inner.dataplane.workers();
        let setup = {
            let model = inner.model();
            let network = model.network_named(name).filter(|network| network.has_device());
            network.and_then(|network| bridge_setup(&network.spec, queues, true))
        };
        let (Some(setup), Some(index)) = (setup, inner.host_port_index(name)) else { return false };
        let repairs = own_device::restore_bridge(&inner.netlink, found, &setup, index).await;
        // The workers may tell yet that it was deleted.
        if repairs.is_gone {
            let told_by = *self.gone.entry(index).or_insert_with(Instant::now) + UPKEEP_INTERVAL;
            if Instant::now() < told_by {
                self.next = self.next.min(told_by);
                return false;
            }
            if inner.model().network_named(name).is_none_or(|it| !it.has_device()) {
                return false;
            }
        } else {
            self.gone.remove(&index);
            // With the link went its neighbour table.
            if self.downs.remove(&index) || !repairs.restored.is_empty() {
                let leases = inner.model().leases_on(name);
                for lease in leases {
                    inner.install_host_neighbours(&lease).await;
                }
            }
        }
        self.report(&setup.name, Some(name), &repairs)
    }

    async fn restore_uplink(&mut self, found: &Found) -> bool {
        let inner = Arc::clone(&self.control.0);
        let mut publisher = inner.publisher.lock().await;
        let Some(uplink) = publisher.uplink.as_mut() else { return false };
        let (mut repairs, made) = uplink.restore(&inner.netlink, found).await;
        for tap in made {
            let port = inner.model().port_of_tap(tap.ifindex);
            if let Some(port) = port
                && let Err(error) = inner.replace_port(port, tap.queues).await
            {
                repairs.faults.push(format!("{} is without a port: {error}", tap.name));
            }
        }
        drop(publisher);
        self.report(UPLINK, None, &repairs)
    }

    /// Restores the settings of which the kernel does not tell: those of the uplink, and of some networks in turn.
    fn restore_settings(&mut self) {
        let inner = Arc::clone(&self.control.0);
        let mut repairs = Repairs::default();
        if let Ok(_stays) = inner.network_changes.try_lock() {
            let (devices, next) = loopback_devices(&inner.model(), self.turn);
            self.turn = next;
            for device in devices {
                let restored = own_device::restore_localnet(&device);
                repairs.add_checked(format_args!("route_localnet of {device}"), restored);
            }
        }
        if let Ok(mut publisher) = inner.publisher.try_lock()
            && let Some(uplink) = publisher.uplink.as_mut()
        {
            uplink.restore_settings(&mut repairs);
        }
        self.report(SETTINGS, None, &repairs);
    }

    /// Logs, counts and shows what became of a device. Says whether something was amiss.
    fn report(&mut self, device: &str, network: Option<&NetworkName>, repairs: &Repairs) -> bool {
        let inner = Arc::clone(&self.control.0);
        for part in &repairs.restored {
            inner.restored.fetch_add(1, Ordering::Relaxed);
            if let Some(times) = self.notices.count(&format!("{device} {part}"), Instant::now()) {
                tracing::warn!(device, part, times, "restored: another program had removed it");
            }
        }
        let fault = (!repairs.faults.is_empty()).then(|| repairs.faults.join("; "));
        if let Some(fault) = &fault {
            self.warn(device, fault);
            self.next = self.next.min(Instant::now() + UPKEEP_RETRY);
        }
        let text = fault.clone().unwrap_or_else(|| "none any more".to_owned());
        if inner.model().set_host_fault(device, fault) {
            let network = network.map(ToString::to_string);
            inner.feed.report(EventKind::Fault, device.to_owned(), network, text);
        }
        !repairs.is_empty()
    }

    fn warn(&mut self, device: &str, fault: &str) {
        if let Some(times) = self.notices.count(&format!("{device}: {fault}"), Instant::now()) {
            tracing::warn!(device, fault, times, "not in order; it is tried again");
        }
    }
}

/// Networks with a host port.
fn bridges(model: &Model) -> Vec<NetworkName> {
    let with_device = model.active_networks().filter(|network| network.has_device());
    with_device.map(|network| network.spec.name.clone()).collect()
}

/// Some host ports that translate what comes from 127.0.0.1, from that turn on; and the next turn.
fn loopback_devices(model: &Model, turn: usize) -> (Vec<String>, usize) {
    if model.uplink().is_none() {
        return (Vec::new(), 0);
    }
    let all = model.active_networks().filter(|it| it.has_device() && !it.spec.is_internal());
    let names = all.filter_map(|it| Some(it.spec.device.as_ref()?.to_string()));
    let some: Vec<_> = names.skip(turn).take(SETTINGS_PER_LOOK).collect();
    let next = if some.len() < SETTINGS_PER_LOOK { 0 } else { turn + SETTINGS_PER_LOOK };
    // Of a device with a fault the name may be another's.
    (some.into_iter().filter(|name| model.host_fault(name).is_none()).collect(), next)
}

impl Control {
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
