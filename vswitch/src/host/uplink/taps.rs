//! The TAPs of the uplinks: one for each device, made when the device becomes an uplink.
//!
//! A TAP lives as long as its queues, which control takes ([`UplinkTaps`]) and closes when the device is no uplink any more.
//! Control makes one again that another program deleted (`control/upkeep.rs`).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use fastpath::tap::Tap;

use super::device;
use super::devices::TapId;
use super::state::Kernel;
use crate::host::{HostError, Netlink};

/// Queues of TAPs that control has not taken, by interface index.
#[derive(Debug, Clone, Default)]
pub(crate) struct UplinkTaps(Arc<Mutex<HashMap<u32, Tap>>>);

impl UplinkTaps {
    pub(crate) fn take(&self, ifindex: u32) -> Option<Tap> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&ifindex)
    }

    fn put(&self, tap: Tap) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tap.ifindex, tap);
    }
}

/// The TAPs of a switch.
#[derive(Debug)]
pub(super) struct Taps {
    netlink: Netlink,
    bridge: String,
    queues: usize,
    made: BTreeMap<String, TapId>,
    untaken: UplinkTaps,
    /// Only at the start may a killed switch have left a TAP, which is waited for.
    is_started: bool,
}

impl Taps {
    pub(super) fn new(netlink: Netlink, bridge: String, queues: usize) -> Self {
        let (made, untaken) = (BTreeMap::new(), UplinkTaps::default());
        Self { netlink, bridge, queues, made, untaken, is_started: false }
    }

    /// TAPs that were made before, for these devices.
    pub(super) fn with(mut self, made: BTreeMap<String, TapId>, untaken: UplinkTaps) -> Self {
        (self.made, self.untaken, self.is_started) = (made, untaken, true);
        self
    }

    pub(super) fn untaken(&self) -> &UplinkTaps {
        &self.untaken
    }

    /// The TAP of a device.
    pub(super) fn of(&self, device: &str) -> Option<&TapId> {
        self.made.get(device)
    }

    /// Makes the TAP of each device, and forgets those of others. `kernel` lists the links; `waits` is called while the TAP of
    /// a killed switch has a name.
    pub(super) async fn adapt(
        &mut self,
        devices: &[String],
        kernel: &Kernel,
        waits: &(dyn Fn() + Sync),
    ) -> Result<(), HostError> {
        let gone: Vec<String> =
            self.made.keys().filter(|device| !devices.contains(device)).cloned().collect();
        for device in gone {
            self.forget(&device);
        }
        for device in devices {
            if !self.made.contains_key(device) {
                let name = self.free_name(kernel);
                let mtu = kernel.mtu(device);
                let (tap, id) =
                    device::make_tap(&self.netlink, name, self.queues, mtu, waits).await?;
                self.untaken.put(tap);
                self.made.insert(device.clone(), id);
            }
            self.is_started = true;
        }
        Ok(())
    }

    fn forget(&mut self, device: &str) {
        if let Some(tap) = self.made.remove(device) {
            drop(self.untaken.take(tap.ifindex));
        }
    }

    /// The first name that no link has: a TAP of this switch that goes keeps its own until control has closed it, which
    /// it does only after the next state.
    fn free_name(&self, kernel: &Kernel) -> String {
        let is_free = |name: &String| {
            let is_made = self.made.values().any(|tap| tap.name == *name);
            !is_made && (!self.is_started || kernel.link(name).is_none())
        };
        let mut names = (0..).map(|n| device::tap_name(&self.bridge, n));
        names.find(is_free).unwrap_or_default()
    }
}
