//! The handle that control has.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use vswitch_registry::record::{Endpoint, Network};

use super::change::OverlayChange;
use super::command::{AddressRequest, Allocation, Command, Progress, Reply};
use super::conf::{NewNetwork, OverlayConf};
use super::error::NodeError;
use super::limits::COMMANDS_MAX;
use super::status::OverlayStatus;
use super::task::Task;

/// Changes in batches, for one consumer. Between two batches changes are coalesced, so a slow consumer costs no memory.
#[derive(Debug)]
pub struct OverlayChanges(mpsc::Receiver<Vec<OverlayChange>>);

impl OverlayChanges {
    /// The next batch; waits for one. None: the overlay has ended.
    pub async fn next(&mut self) -> Option<Vec<OverlayChange>> {
        self.0.recv().await
    }
}

/// A node's part in the overlay. Clones share it; the last one that is dropped ends it without ending the lease, so that
/// a restart within the lease's time to live is not seen by others.
#[derive(Debug, Clone)]
pub struct Overlay(mpsc::Sender<Command>);

impl Overlay {
    /// Starts the task in the caller's runtime. It tries until the registry is there.
    #[must_use]
    pub fn start(conf: OverlayConf) -> (Self, OverlayChanges) {
        let (commands, receiver) = mpsc::channel(COMMANDS_MAX);
        let (consumer, changes) = mpsc::channel(1);
        tokio::spawn(Task::new(conf, receiver, consumer).run());
        (Self(commands), OverlayChanges(changes))
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NodeError> {
        let (reply, answer): (_, oneshot::Receiver<_>) = Reply::new();
        self.0.send(command(reply)).await.map_err(|_| NodeError::Ended)?;
        answer.await.unwrap_or(Err(NodeError::Ended))
    }

    /// Waits until it is known whether the node is registered. It goes on trying after an error.
    ///
    /// # Errors
    /// Another node has the name or the VTEP, the registry cannot be reached or denies access.
    pub async fn registered(&self) -> Result<(), NodeError> {
        self.ask(Command::Registered).await
    }

    /// Reserves an address of a network for an endpoint. It is in the registry as soon as the endpoint is announced.
    ///
    /// # Errors
    /// The network or address is unknown or taken, or nothing is free; [`NodeError::BlocksFull`] where the registry
    /// that could say more is away.
    pub async fn allocate(
        &self,
        network: &str,
        request: AddressRequest,
    ) -> Result<Allocation, NodeError> {
        let network = network.to_owned();
        self.ask(|reply| Command::Allocate { network, request, reply }).await
    }

    /// Reserves an address from before a restart that nothing announces now. Nobody asks the registry, so that another node
    /// may have it.
    ///
    /// # Errors
    /// [`NodeError::Ended`]
    pub async fn keep(&self, network: &str, address: IpAddr) -> Result<(), NodeError> {
        let network = network.to_owned();
        let command = Command::Keep { network, address };
        self.0.send(command).await.map_err(|_| NodeError::Ended)
    }

    /// Returns an address that was reserved. Its endpoint must be withdrawn.
    ///
    /// # Errors
    /// [`NodeError::Ended`]
    pub async fn release(&self, network: &str, address: IpAddr) -> Result<(), NodeError> {
        let network = network.to_owned();
        let command = Command::Release { network, address };
        self.0.send(command).await.map_err(|_| NodeError::Ended)
    }

    /// Writes the addresses of an endpoint, or new names of one; `node` and `block` of the records are set here. All or
    /// none. Returns when the registry has them, or, where they lie in this node's blocks and the registry is away, when
    /// that is known.
    ///
    /// # Errors
    /// [`NodeError::AddressTaken`]: another node was faster; allocate again. [`NodeError::AddressUndecided`]: the
    /// registry is away.
    pub async fn announce(&self, endpoints: Vec<Endpoint>) -> Result<Progress, NodeError> {
        self.ask(|reply| Command::Announce { endpoints, reply }).await
    }

    /// Deletes addresses of this node's endpoints. Returns when the registry has them no more, or is away.
    ///
    /// # Errors
    /// [`NodeError::Ended`]
    pub async fn withdraw(
        &self,
        network: &str,
        addresses: Vec<IpAddr>,
    ) -> Result<Progress, NodeError> {
        let network = network.to_owned();
        self.ask(|reply| Command::Withdraw { network, addresses, reply }).await
    }

    /// Creates a network; its VNI is chosen where none is given.
    ///
    /// # Errors
    /// Its name or VNI is taken, a subnet overlaps another network's, or the registry is away.
    pub async fn create_network(&self, network: NewNetwork) -> Result<Arc<Network>, NodeError> {
        self.ask(|reply| Command::CreateNetwork { network, reply }).await
    }

    /// Deletes a network that has no endpoints.
    ///
    /// # Errors
    /// It is unknown or in use, or the registry is away.
    pub async fn delete_network(&self, name: &str) -> Result<(), NodeError> {
        let name = name.to_owned();
        self.ask(|reply| Command::DeleteNetwork { name, reply }).await
    }

    /// Asks the registry whether a network has endpoints.
    ///
    /// # Errors
    /// [`NodeError::NetworkInUse`]: it has; or the registry is away.
    pub async fn check_unused(&self, name: &str) -> Result<(), NodeError> {
        let name = name.to_owned();
        self.ask(|reply| Command::CheckUnused { name, reply }).await
    }

    /// Gives the node another VTEP; its endpoints stay. Returns when the registry has it.
    ///
    /// # Errors
    /// Another node has the address.
    pub async fn change_vtep(&self, address: IpAddr, port: u16) -> Result<(), NodeError> {
        self.ask(|reply| Command::ChangeVtep { address, port, reply }).await
    }

    /// The state now.
    ///
    /// # Errors
    /// [`NodeError::Ended`]
    pub async fn status(&self) -> Result<OverlayStatus, NodeError> {
        self.ask(Command::Status).await.map(|status| *status)
    }

    /// Ends the node's part: its lease, so that others forget it at once, and all that wait.
    ///
    /// # Errors
    /// The registry is away: others forget the node after the lease's time to live.
    pub async fn close(&self) -> Result<(), NodeError> {
        self.ask(Command::Close).await
    }
}
