//! Events that workers report to control.

use std::net::IpAddr;

use fastpath::PortIndex;

use crate::datapath::LoopEvent;

/// An event of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataplaneEvent {
    /// The device behind a port is gone, as when its namespace died. Every worker reports it.
    PortGone(PortIndex),
    /// Loop protection has blocked a port.
    LoopBlocked(LoopEvent),
    /// Frames wait for the MAC address of a next hop on the uplink's link. Repeated each second while
    /// frames come.
    Resolve {
        /// The next hop.
        next_hop: IpAddr,
        /// Ingress port of one of the frames.
        port: PortIndex,
    },
    /// A worker has ended unasked.
    WorkerFailed {
        /// Its number.
        worker: usize,
        /// The reason.
        error: String,
    },
}
