//! The TAPs of the uplinks as ports of the switch.
//!
//! A TAP without a slot or a descriptor to spare waits here, and so does a port that a worker could not close: both are
//! tried again every [`PORT_RETRY`](crate::control::limits::PORT_RETRY). One that fails
//! holds up no other.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fastpath::PortIndex;
use fastpath::tap::Tap;

use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::model;
use crate::dataplane::DataplaneError;
use crate::host::uplink::{TapId, UplinkTaps};

/// Keeps the ports of the uplinks in line with the state of the host.
pub(super) struct UplinkPorts {
    taps: UplinkTaps,
    /// TAPs that have no port yet, by interface index.
    waiting: HashMap<u32, Tap>,
    /// Ports that are out of the snapshot, whose queues are not closed.
    unclosed: Vec<PortIndex>,
}

impl UplinkPorts {
    pub(super) fn new(taps: UplinkTaps) -> Self {
        Self { taps, waiting: HashMap::new(), unclosed: Vec::new() }
    }

    /// Makes the TAPs of the uplinks ports of the switch, and no others.
    ///
    /// # Errors
    /// The first one; all that could be done is done, and the rest may be tried again.
    pub(super) async fn adapt(&mut self, inner: &Arc<Inner>) -> Result<(), ControlError> {
        let mut result = Ok(());
        let stale = inner.model().uplink().map(model::Uplink::stale_taps).unwrap_or_default();
        for device in stale {
            let hidden = inner.model().hide_tap(&device);
            self.unclosed.extend(hidden);
        }
        if !self.unclosed.is_empty() {
            inner.commit_snapshot();
        }
        for port in std::mem::take(&mut self.unclosed) {
            match inner.dataplane.remove_port(port).await {
                Ok(_) => inner.model().release_tap(port),
                Err(error) => {
                    self.unclosed.push(port);
                    result = result.and(Err(error.into()));
                }
            }
        }
        let new = inner.model().uplink().map(model::Uplink::taps_without_port).unwrap_or_default();
        self.waiting.retain(|index, _| new.iter().any(|(_, id)| id.ifindex == *index));
        for (device, id) in new {
            let waiting = self.waiting.remove(&id.ifindex);
            let Some(tap) = waiting.or_else(|| self.taps.take(id.ifindex)) else { continue };
            if let Err((error, tap)) = add(inner, device.clone(), id, tap).await {
                self.waiting.insert(tap.ifindex, tap);
                inner.model().set_tap_fault(device, error.to_string());
                result = result.and(Err(error));
            }
        }
        result
    }
}

/// Makes a TAP a port. After an error the switch is as before, and the TAP is given back.
async fn add(
    inner: &Arc<Inner>,
    device: String,
    id: TapId,
    tap: Tap,
) -> Result<(), (ControlError, Tap)> {
    let allocated = inner.model().add_tap(device.clone(), id);
    let port = match allocated {
        Ok(port) => port,
        Err(error) => return Err((error, tap)),
    };
    inner.commit_snapshot();
    let added = match copies(&tap.queues) {
        Ok(queues) => inner.dataplane.add_port(port, queues).await,
        Err(source) => Err(DataplaneError::Port { port, source }),
    };
    let Err(error) = added else { return Ok(()) };
    let hidden = inner.model().hide_tap(&device);
    inner.commit_snapshot();
    hidden.into_iter().for_each(|port| inner.model().release_tap(port));
    Err((error.into(), tap))
}

/// Further descriptors of the same queues: a port that cannot be opened closes its own.
fn copies(queues: &[OwnedFd]) -> io::Result<Vec<OwnedFd>> {
    queues.iter().map(OwnedFd::try_clone).collect()
}
