//! Events that workers report to control.

use std::net::IpAddr;

use fastpath::PortIndex;

use crate::datapath::LoopEvent;

/// An event of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataplaneEvent {
    /// The port's device vanished, for example with its namespace. Every worker reports it.
    PortGone(PortIndex),
    /// Loop protection has blocked a port.
    LoopBlocked(LoopEvent),
    /// Frames wait for the MAC address of a next hop on an uplink's link. Repeated each second.
    Resolve {
        /// The next hop.
        next_hop: IpAddr,
        /// The uplink's port.
        uplink: PortIndex,
        /// Ingress port of one of the frames.
        port: PortIndex,
    },
    /// A worker needs further blocks of SNAT ports. Not repeated before an answer.
    BlocksWanted {
        /// Number of the worker.
        worker: usize,
        /// What it needs.
        request: nat::BlockRequest,
    },
    /// A container uses a protocol without ports with a remote address: its answers are to be handed over. Repeated
    /// while it does.
    Portless {
        /// The remote address.
        remote: IpAddr,
        /// The protocol's number.
        protocol: u8,
    },
    /// A DHCP request or a router solicitation came in.
    DhcpRequest {
        /// Ingress port.
        port: PortIndex,
        /// The frame, from the Ethernet header.
        frame: Vec<u8>,
    },
    /// A worker failed.
    WorkerFailed {
        /// Number of the worker.
        worker: usize,
        /// The reason.
        error: String,
    },
}
