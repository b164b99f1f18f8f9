//! What control asks of the task.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::oneshot;
use vswitch_registry::record::{Endpoint, Network};
use wire::MacAddr;

use super::conf::NewNetwork;
use super::error::NodeError;
use super::status::OverlayStatus;

/// Where an answer goes.
#[derive(Debug)]
pub(crate) struct Reply<T>(oneshot::Sender<Result<T, NodeError>>);

impl<T> Reply<T> {
    pub(crate) fn new() -> (Self, oneshot::Receiver<Result<T, NodeError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    /// Answers. Nobody may wait any more.
    pub(crate) fn send(self, result: Result<T, NodeError>) {
        let _ = self.0.send(result);
    }
}

/// How far an attach or detach has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The registry has it.
    Written,
    /// The registry is away, and is told later.
    Queued,
}

/// An address for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// The address.
    pub address: IpAddr,
    /// The MAC address that other nodes know: of a `file://` registry only.
    pub mac: Option<MacAddr>,
}

/// An address that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddressRequest {
    /// Any address of a subnet; in a `file://` registry that of the endpoint with this name.
    Any {
        /// The subnet.
        subnet: IpNet,
        /// Name of the endpoint.
        name: String,
    },
    /// This address.
    Fixed(IpAddr),
}

#[derive(Debug)]
pub(crate) enum Command {
    Registered(Reply<()>),
    Allocate { network: String, request: AddressRequest, reply: Reply<Allocation> },
    Keep { network: String, address: IpAddr },
    Release { network: String, address: IpAddr },
    Announce { endpoints: Vec<Endpoint>, reply: Reply<Progress> },
    Withdraw { network: String, addresses: Vec<IpAddr>, reply: Reply<Progress> },
    CreateNetwork { network: NewNetwork, reply: Reply<Arc<Network>> },
    DeleteNetwork { name: String, reply: Reply<()> },
    CheckUnused { name: String, reply: Reply<()> },
    ChangeVtep { address: IpAddr, port: u16, reply: Reply<()> },
    Status(Reply<Box<OverlayStatus>>),
    Close(Reply<()>),
}
