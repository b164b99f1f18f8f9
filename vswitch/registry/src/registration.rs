//! A node in the registry: its own records, under its lease.
//!
//! Each record is created where its key is absent, and replaced where it is the node's own already (written before a
//! restart, or by a request whose answer was lost). A record of another node is left alone, and the caller is told whose it
//! is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::api::Registry;
use crate::error::RegistryError;
use crate::lease::Lease;
use crate::limits::RACE_TRIES;
use crate::record::{Endpoint, FormatError, Node, Record};
use crate::types::{Entry, LeaseId, Operation};

/// Why a node's records could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Another node has the name.
    #[error(
        "node name {name} is taken by the node with VTEP {address}; give this node another --node"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// VTEP of the node that has it.
        address: IpAddr,
    },
    /// Another node has the VTEP address.
    #[error(
        "VTEP {address} port {port} is taken by node {node}; give this node another --underlay"
    )]
    VtepTaken {
        /// Address of the VTEP.
        address: IpAddr,
        /// Its port.
        port: u16,
        /// Node that has it.
        node: String,
    },
    /// Another node's endpoint has the address.
    #[error("address {address} of network {network} is taken by an endpoint of node {node}")]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// The network.
        network: String,
        /// Node that has it.
        node: String,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// An entry in the way that is no record.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// A registered node.
#[derive(Debug)]
pub struct Registration {
    registry: Arc<dyn Registry>,
    node: Node,
    lease: Lease,
}

impl Registration {
    /// Registers a node under a new lease. A node of the same name and VTEP is this one before a restart.
    ///
    /// # Errors
    /// [`RegistrationError`]
    pub async fn register(
        registry: Arc<dyn Registry>,
        node: Node,
        ttl: Duration,
    ) -> Result<Self, RegistrationError> {
        let Node { name, address, port } = node.clone();
        let records =
            [Record::Node(node.clone()), Record::Vtep { address, port, node: name.clone() }];
        for record in &records {
            record.check()?;
        }
        let lease = registry.grant(ttl).await?;
        let refuse = |found: Record| match found {
            Record::Node(other) if other != node => {
                Some(RegistrationError::NameTaken { name: other.name, address: other.address })
            }
            Record::Vtep { address, port, node } if node != name => {
                Some(RegistrationError::VtepTaken { address, port, node })
            }
            _ => None,
        };
        write(&*registry, &records, lease.id(), &refuse).await?;
        Ok(Self { registry, node, lease })
    }

    /// Identifier of the node's lease.
    #[must_use]
    pub fn lease_id(&self) -> LeaseId {
        self.lease.id().clone()
    }

    /// The node's lease, to see its end: then the node registers again and announces its endpoints.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Gives the node another VTEP, under the same lease. `old` is the node as it was written last.
    ///
    /// # Errors
    /// [`RegistrationError`]
    pub async fn change_vtep(&self, old: &Node, new: &Node) -> Result<(), RegistrationError> {
        let vtep = |node: &Node| Record::Vtep {
            address: node.address,
            port: node.port,
            node: node.name.clone(),
        };
        let records = [Record::Node(new.clone()), vtep(new)];
        for record in &records {
            record.check()?;
        }
        let refuse = |found: Record| match found {
            Record::Node(other) if other != *old && other != *new => {
                Some(RegistrationError::NameTaken { name: other.name, address: other.address })
            }
            Record::Vtep { address, port, node } if node != new.name => {
                Some(RegistrationError::VtepTaken { address, port, node })
            }
            _ => None,
        };
        write(&*self.registry, &records, self.lease.id(), &refuse).await?;
        // The old one's entry is this node's as long as it is there.
        let is_ours = |entry: &Entry| match Record::decode(entry) {
            Ok(Record::Vtep { node, .. }) => node == new.name,
            _ => false,
        };
        match vtep(old) {
            record if record == vtep(new) => Ok(()),
            record => self.delete(&[record.key()], &is_ours).await,
        }
    }

    /// Writes endpoints of this node. An error leaves those before it written.
    ///
    /// # Errors
    /// [`RegistrationError`]
    pub async fn announce(&self, endpoints: &[Endpoint]) -> Result<(), RegistrationError> {
        let records: Vec<_> = endpoints.iter().cloned().map(Record::Endpoint).collect();
        for record in &records {
            record.check()?;
        }
        let refuse = |found: Record| match found {
            Record::Endpoint(Endpoint { address, network, node, .. }) if node != self.node.name => {
                Some(RegistrationError::AddressTaken { address, network, node })
            }
            _ => None,
        };
        for records in records.chunks(self.registry.operations_max()) {
            write(&*self.registry, records, self.lease.id(), &refuse).await?;
        }
        Ok(())
    }

    /// Deletes endpoints, as far as they still are this node's.
    ///
    /// # Errors
    /// [`RegistrationError::Registry`]
    pub async fn withdraw(&self, endpoints: &[Endpoint]) -> Result<(), RegistrationError> {
        let is_ours = |entry: &Entry| match Record::decode(entry) {
            Ok(Record::Endpoint(endpoint)) => endpoint.node == self.node.name,
            _ => false,
        };
        let keys: Vec<_> =
            endpoints.iter().map(|endpoint| Record::Endpoint(endpoint.clone()).key()).collect();
        for keys in keys.chunks(self.registry.operations_max()) {
            self.delete(keys, &is_ours).await?;
        }
        Ok(())
    }

    async fn delete(
        &self,
        keys: &[String],
        is_ours: &(impl Fn(&Entry) -> bool + Sync),
    ) -> Result<(), RegistrationError> {
        let mut tries = 0;
        loop {
            let entries = try_join_all(keys.iter().map(|key| self.registry.get(key))).await?;
            let ours = entries.into_iter().flatten().filter(|entry| is_ours(entry));
            let delete = |Entry { key, revision, .. }| Operation::Delete { key, revision };
            let operations: Vec<_> = ours.map(delete).collect();
            tries += 1;
            if operations.is_empty() || commit(&*self.registry, &operations, tries).await? {
                return Ok(());
            }
        }
    }
}

/// Creates or replaces records in one transaction, unless one found in a record's place is refused.
async fn write(
    registry: &dyn Registry,
    records: &[Record],
    lease: &LeaseId,
    refuse: &(impl Fn(Record) -> Option<RegistrationError> + Sync),
) -> Result<(), RegistrationError> {
    let keys: Vec<_> = records.iter().map(Record::key).collect();
    let mut tries = 0;
    loop {
        let entries = try_join_all(keys.iter().map(|key| registry.get(key))).await?;
        let mut operations = Vec::new();
        for (record, entry) in records.iter().zip(entries) {
            let (key, value, lease) = (record.key(), record.value(), Some(lease.clone()));
            operations.push(match entry {
                None => Operation::Create { key, value, lease },
                Some(entry) => match refuse(Record::decode(&entry)?) {
                    Some(error) => return Err(error),
                    None => Operation::Swap { key, value, revision: entry.revision, lease },
                },
            });
        }
        tries += 1;
        if operations.is_empty() || commit(registry, &operations, tries).await? {
            return Ok(());
        }
    }
}

/// Carries out operations; whether they were. Not where others changed the same keys meanwhile, or an answer was lost:
/// then the caller reads again.
async fn commit(
    registry: &dyn Registry,
    operations: &[Operation],
    tries: usize,
) -> Result<bool, RegistryError> {
    match registry.transact(operations).await {
        Ok(_) => Ok(true),
        Err(RegistryError::Conflict { .. } | RegistryError::Unanswered { .. })
            if tries < RACE_TRIES =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
