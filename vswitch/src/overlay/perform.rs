//! Carries out the session's requests.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use vswitch_registry::record::{Key, Record, block_of, prefix};
use vswitch_registry::{Registration, RegistrationError, Registry, RegistryError, claim_block};

use super::limits::LATER_FORMAT;
use super::networks;
use super::request::{Granted, Outcome, Request};

/// What requests need.
#[derive(Debug, Clone)]
pub(crate) struct Performer {
    pub(crate) registry: Arc<dyn Registry>,
    /// Name of this node.
    pub(crate) node: String,
    pub(crate) ttl: Duration,
    /// The node's registration, once there is one.
    pub(crate) registration: Option<Arc<Registration>>,
}

/// What came of a request; a new registration with it.
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) registration: Option<Arc<Registration>>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, registration: None }
    }
}

impl Performer {
    /// Carries out a request.
    pub(crate) async fn perform(self, request: Request) -> Done {
        let registry = &*self.registry;
        let outcome = match request {
            Request::Register(node) => {
                let registry = Arc::clone(&self.registry);
                let result = Registration::register(registry, node, self.ttl).await;
                let registration = result.map(Arc::new);
                let granted = registration.as_ref().map_err(Clone::clone).map(|registration| {
                    let lease = registration.lease();
                    Granted { id: lease.id().clone(), ttl: lease.ttl() }
                });
                let outcome = Outcome::Registered(granted);
                return Done { outcome, registration: registration.ok() };
            }
            Request::List => Outcome::Listed(registry.list(prefix::ALL).await),
            Request::FindLaterFormat => {
                let listing = registry.list(LATER_FORMAT).await;
                Outcome::LaterFormat(listing.map(|listing| listing.entries.len()))
            }
            Request::Status => Outcome::Status(registry.status().await),
            Request::ChangeVtep { old, new } => {
                let result = match self.registration() {
                    Ok(registration) => registration.change_vtep(&old, &new).await,
                    Err(error) => Err(error),
                };
                Outcome::ChangedVtep { old, new, result }
            }
            Request::Announce(endpoints) => {
                let result = match self.registration() {
                    Ok(registration) => registration.announce(&endpoints).await,
                    Err(error) => Err(error),
                };
                Outcome::Announced { endpoints, result }
            }
            Request::Withdraw(endpoints) => {
                let result = match self.registration() {
                    Ok(registration) => registration.withdraw(&endpoints).await,
                    Err(error) => Err(error),
                };
                Outcome::Withdrawn { endpoints, result }
            }
            Request::Restore { networks, blocks } => {
                Outcome::Restored(networks::restore(registry, &networks, &blocks, &self.node).await)
            }
            Request::DropBlocks(blocks) => {
                Outcome::DroppedBlocks(networks::drop_blocks(registry, &blocks, &self.node).await)
            }
            Request::FindOwner { network, address } => {
                let result = find_owner(registry, &network, address).await;
                Outcome::Owner { network, address, result }
            }
            Request::ClaimBlock { network, subnet } => {
                let result = claim_block(registry, &network, subnet, &self.node).await;
                Outcome::Claimed { network: network.name.clone(), subnet, result }
            }
            Request::CreateNetwork { id, network, doubted } => Outcome::Created {
                id,
                result: networks::create(registry, &network, &doubted).await,
            },
            Request::DeleteNetwork { id, name } => {
                let result = networks::delete(registry, &name).await;
                Outcome::Deleted { id, name, result }
            }
            Request::CheckUnused { id, name } => {
                Outcome::Checked { id, result: networks::check_unused(registry, &name).await }
            }
        };
        outcome.into()
    }

    /// The session asks for these writes of a registered node only.
    fn registration(&self) -> Result<&Registration, RegistrationError> {
        let problem = || RegistryError::BadRequest("the node is not registered".to_owned());
        self.registration.as_deref().ok_or_else(|| problem().into())
    }
}

/// The node whose endpoint has an address; none too where the entry is no record.
async fn find_owner(
    registry: &dyn Registry,
    network: &str,
    address: IpAddr,
) -> Result<Option<String>, RegistryError> {
    let key = Key::Endpoint(network.to_owned(), block_of(address), address).to_string();
    let entry = registry.get(&key).await?;
    let record = entry.as_ref().map(Record::decode);
    Ok(match record {
        Some(Ok(Record::Endpoint(endpoint))) => Some(endpoint.node),
        _ => None,
    })
}
