//! What the session asks of the registry, and what comes of it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use vswitch_registry::record::{Endpoint, Network, Node};
use vswitch_registry::{
    BlockError, LeaseId, Listing, RegistrationError, RegistryError, Revision, Status,
};

use super::conf::NewNetwork;
use super::error::NodeError;

/// Identifier of a command that waits for a request.
pub(crate) type RequestId = u64;

/// A request to the registry.
#[derive(Debug)]
pub(crate) enum Request {
    /// Lists everything and watches from there.
    List,
    /// Looks for entries of a later format.
    FindLaterFormat,
    /// Asks for the revision.
    Status,
    /// Registers the node under a new lease.
    Register(Node),
    /// Gives the registered node another VTEP.
    ChangeVtep { old: Node, new: Node },
    /// Writes endpoints of the registered node.
    Announce(Vec<Endpoint>),
    /// Deletes endpoints of the registered node.
    Withdraw(Vec<Endpoint>),
    /// Writes networks and blocks again that the registry has lost.
    Restore { networks: Vec<Network>, blocks: Vec<(String, IpNet)> },
    /// Deletes this node's blocks of networks that are no more.
    DropBlocks(Vec<(String, IpNet)>),
    /// Reads who has an address.
    FindOwner { network: String, address: IpAddr },
    /// Claims a block.
    ClaimBlock { network: Arc<Network>, subnet: IpNet },
    /// Creates a network. Those that are believed although the registry has lost them must not be overlapped.
    CreateNetwork { id: RequestId, network: NewNetwork, doubted: Vec<Arc<Network>> },
    /// Deletes a network that nobody uses.
    DeleteNetwork { id: RequestId, name: String },
    /// Reads whether a network has endpoints.
    CheckUnused { id: RequestId, name: String },
}

/// The lease of a registration.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) id: LeaseId,
    pub(crate) ttl: Duration,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Listed(Result<Listing, RegistryError>),
    LaterFormat(Result<usize, RegistryError>),
    Status(Result<Status, RegistryError>),
    Registered(Result<Granted, RegistrationError>),
    ChangedVtep { old: Node, new: Node, result: Result<(), RegistrationError> },
    Announced { endpoints: Vec<Endpoint>, result: Result<(), RegistrationError> },
    Withdrawn { endpoints: Vec<Endpoint>, result: Result<(), RegistrationError> },
    Restored(Result<Restored, RegistryError>),
    DroppedBlocks(Result<(), RegistryError>),
    Owner { network: String, address: IpAddr, result: Result<Option<String>, RegistryError> },
    Claimed { network: String, subnet: IpNet, result: Result<IpNet, BlockError> },
    Created { id: RequestId, result: Result<(Network, Revision), NodeError> },
    Deleted { id: RequestId, name: String, result: Result<(), NodeError> },
    Checked { id: RequestId, result: Result<(), NodeError> },
}

/// What could not be written again, with the reason.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    pub(crate) refused: Vec<(String, NodeError)>,
}
