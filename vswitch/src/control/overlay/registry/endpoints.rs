//! Endpoints of this node on networks of the registry.
//!
//! An attach claims the addresses, then reserves them in the model, and announces the endpoint once its port works. A detach
//! withdraws it first, and releases the addresses last. A stored endpoint has its addresses already: it is announced beside
//! the attach, again and again until the registry takes it, since it lives whatever the registry says.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::time::sleep;
use vswitch_api::address::{AddressRequest as Reservation, Family};
use vswitch_registry::{RegistrationError, record};

use super::outstanding::Unannounced;
use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::limits::{ADDRESS_TRIES_MAX, GRATUITOUS_PAUSES, REGISTRY_ANNOUNCED_AT_ONCE};
use crate::control::model::{AttachSpec, EndpointKey, Lease, NetworkName, local_mac};
use crate::control::overlay::OverlayError;
use crate::control::random::random;
use crate::overlay::{AddressRequest, NodeError, Overlay, Progress};

impl Inner {
    /// Reserves what an endpoint needs, as [`Inner::reserve`]; on a network of the registry with addresses from it.
    pub(in crate::control) async fn claim(&self, spec: &AttachSpec) -> Result<Lease, ControlError> {
        if self.model().registered(&spec.network).is_none() {
            return self.reserve(spec).await;
        }
        let mut claimed = Vec::new();
        let reserved = match self.claim_addresses(spec, &mut claimed).await {
            Ok(spec) => self.reserve(&spec).await,
            Err(error) => Err(error),
        };
        match reserved {
            // The last endpoint may have left meanwhile, and the host with it.
            Ok(_) => self.join_host(&spec.network).await,
            Err(_) => {
                self.release_claims(&spec.network, claimed).await;
                self.leave_host(&spec.network).await;
            }
        }
        reserved
    }

    /// The request with all addresses that it leaves open. `claimed` has those that the registry gives.
    async fn claim_addresses(
        &self,
        spec: &AttachSpec,
        claimed: &mut Vec<IpAddr>,
    ) -> Result<AttachSpec, ControlError> {
        let network = spec.network.as_str();
        let overlay = self.registry_for(network)?;
        let subnets = self.model().registered(&spec.network).map(|it| it.subnets.clone());
        let subnets = subnets.unwrap_or_default();
        let subnet_of = |family| subnets.iter().copied().find(|it| Family::of(it.addr()) == family);
        let mut spec = spec.clone();
        for (family, other) in [(Family::Ipv4, Family::Ipv6), (Family::Ipv6, Family::Ipv4)] {
            if subnet_of(family).is_none() && spec.family.is_none() {
                spec.family = Some(other);
            }
        }
        // An endpoint of this node that ends may have one of them.
        self.retry_while_ending(|| self.model().check_unused(&spec)).await?;
        for address in spec.named_addresses().collect::<Vec<_>>() {
            if !self.model().is_reserved(&spec.network, address) {
                let request = AddressRequest::Fixed(address);
                self.allocate(overlay, &mut spec, request, claimed).await?;
            }
        }
        let mut missing = None;
        for family in [Family::Ipv4, Family::Ipv6] {
            let has = match family {
                Family::Ipv4 => spec.ipv4.is_some(),
                Family::Ipv6 => spec.ipv6.is_some(),
            };
            if has || !spec.wants(family) {
                continue;
            }
            let none = || OverlayError::NoSubnet { network: network.to_owned(), family };
            let subnet = subnet_of(family).ok_or_else(none)?;
            let request = AddressRequest::Any { subnet, name: spec.name.to_string() };
            match self.allocate(overlay, &mut spec, request, claimed).await {
                Ok(IpAddr::V4(address)) => spec.ipv4 = Some(address),
                Ok(IpAddr::V6(address)) => spec.ipv6 = Some(address),
                // A file may give it an address of the other family only.
                Err(error @ ControlError::Registry(NodeError::NotInFile { .. })) => {
                    missing = Some((family, error));
                }
                Err(error) => return Err(error),
            }
        }
        match missing {
            Some((Family::Ipv6, _)) if spec.ipv4.is_some() && spec.family.is_none() => {
                spec.family = Some(Family::Ipv4);
            }
            Some((Family::Ipv4, _)) if spec.ipv6.is_some() && spec.family.is_none() => {
                spec.family = Some(Family::Ipv6);
            }
            Some((_, error)) => return Err(error),
            None => {}
        }
        Ok(spec)
    }

    async fn allocate(
        &self,
        overlay: &Overlay,
        spec: &mut AttachSpec,
        request: AddressRequest,
        claimed: &mut Vec<IpAddr>,
    ) -> Result<IpAddr, ControlError> {
        let allocation = overlay.allocate(spec.network.as_str(), request).await?;
        claimed.push(allocation.address);
        // A file says which MAC address the others send to.
        spec.mac = spec.mac.or(allocation.mac);
        Ok(allocation.address)
    }

    /// Reserves an address of a network of the registry for an IPAM client; on another network there is none to claim.
    pub(in crate::control) async fn claim_reservation(
        &self,
        network: &NetworkName,
        request: Reservation,
    ) -> Result<Reservation, ControlError> {
        let subnets = self.model().registered(network).map(|it| it.subnets.clone());
        let Some(subnets) = subnets else { return Ok(request) };
        let overlay = self.registry_for(network.as_str())?;
        let subnet = match request {
            Reservation::Address(address) => {
                let wanted = AddressRequest::Fixed(address);
                let found = overlay.allocate(network.as_str(), wanted).await?;
                return Ok(Reservation::Address(found.address));
            }
            Reservation::Next(family) => {
                let subnet = subnets.into_iter().find(|it| Family::of(it.addr()) == family);
                let network = network.to_string();
                subnet.ok_or(OverlayError::NoSubnet { network, family })?
            }
        };
        let mut tries = 1;
        loop {
            match self.claim_any(overlay, network, subnet).await {
                Err(error) if error.taken_address().is_some() && tries < ADDRESS_TRIES_MAX => {
                    tracing::info!(%error, "tries another address");
                    tries += 1;
                }
                claimed => return claimed.map(Reservation::Address),
            }
        }
    }

    /// Claims any address of a subnet. The client is bound to it before it has an endpoint, so the registry gets an entry at
    /// once: one without a name, and with a MAC address that nobody has, until the endpoint is announced.
    async fn claim_any(
        &self,
        overlay: &Overlay,
        network: &NetworkName,
        subnet: IpNet,
    ) -> Result<IpAddr, ControlError> {
        let request = AddressRequest::Any { subnet, name: String::new() };
        let address = overlay.allocate(network.as_str(), request).await?.address;
        let entry = record::Endpoint {
            network: network.to_string(),
            block: record::block_of(address),
            address,
            node: String::new(),
            mac: local_mac(random()?),
            name: String::new(),
            aliases: Vec::new(),
        };
        let announced = self.announce_records(network, vec![entry]).await;
        if announced.is_err() {
            overlay.release(network.as_str(), address).await?;
        }
        announced.map(|()| address)
    }

    /// Returns addresses to the registry, except those that a reservation keeps. Those of another network are none of it.
    pub(in crate::control) async fn release_claims(
        &self,
        network: &NetworkName,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) {
        let Some(overlay) = self.registry.get() else { return };
        for address in addresses {
            if self.model().is_reserved(network, address) {
                continue;
            }
            if let Err(error) = overlay.release(network.as_str(), address).await {
                tracing::debug!(%network, %address, %error, "not released");
            }
        }
    }

    /// The same, except those that an endpoint has.
    pub(in crate::control) async fn release_unused(
        &self,
        network: &NetworkName,
        mut addresses: Vec<IpAddr>,
    ) {
        addresses
            .retain(|address| self.model().endpoint_with(network.as_str(), *address).is_none());
        addresses.retain(|address| !self.model().is_reserved(network, *address));
        self.withdraw_endpoint(network, addresses.clone()).await;
        self.release_claims(network, addresses).await;
    }

    /// Takes the addresses out of the registry that are reserved, and that no endpoint has.
    pub(in crate::control) async fn withdraw_reserved(&self, network: &NetworkName) {
        let addresses = {
            let model = self.model();
            let unused = model.reserved_addresses(network).filter(|it| it.port.is_none());
            unused.map(|reserved| reserved.address).collect()
        };
        self.withdraw_endpoint(network, addresses).await;
    }

    /// Tells the registry of an endpoint, under its names now.
    pub(in crate::control) async fn announce_endpoint(
        &self,
        key: &EndpointKey,
    ) -> Result<(), ControlError> {
        let records = self.model().announcements(key);
        self.announce_records(&key.network, records).await
    }

    async fn announce_records(
        &self,
        network: &NetworkName,
        records: Vec<record::Endpoint>,
    ) -> Result<(), ControlError> {
        if records.is_empty() {
            return Ok(());
        }
        let progress = self.registry_for(network.as_str())?.announce(records).await?;
        if progress == Progress::Queued {
            tracing::info!(%network, "the registry is away, and is told of an endpoint later");
        }
        Ok(())
    }

    /// The same for an endpoint that stays whatever the registry says, without anybody's wait.
    pub(in crate::control) fn announce_soon(self: &Arc<Self>, key: &EndpointKey) {
        if self.model().registered(&key.network).is_some() {
            let inner = Arc::clone(self);
            let one = (key.network.clone(), Some(key.name.clone()));
            tokio::spawn(async move { inner.announce_or_note(one).await });
        }
    }

    /// Announces an endpoint, or the host's own; notes it if the registry does not take it.
    pub(super) async fn announce_or_note(&self, one: Unannounced) {
        let records = self.records_of(&one);
        let addresses: Vec<_> = records.iter().map(|record| record.address).collect();
        let announced = self.announce_records(&one.0, records).await;
        let (network, name) = &one;
        match announced {
            Ok(()) => {
                self.outstanding.unannounced().remove(&one);
                // It may have left meanwhile.
                let now = self.records_of(&one);
                let is_gone = |it: &IpAddr| !now.iter().any(|record| record.address == *it);
                let gone = addresses.into_iter().filter(is_gone).collect();
                self.withdraw_endpoint(network, gone).await;
            }
            // Another node has taken the host's address since: it gets another one.
            Err(error) if name.is_none() && error.taken_address().is_some() => {
                tracing::warn!(%network, %error, "the host leaves its address");
                self.outstanding.unannounced().remove(&one);
                self.withdraw_host(network).await;
            }
            Err(error) => {
                let shown = name.as_ref().map_or("the host", |name| name.as_str());
                if self.outstanding.unannounced().insert(one.clone()) {
                    tracing::warn!(name = shown, %network, %error, "other nodes do not reach it yet");
                }
            }
        }
    }

    /// The records of an endpoint, or of the host.
    fn records_of(&self, (network, name): &Unannounced) -> Vec<record::Endpoint> {
        match name {
            Some(name) => {
                let key = EndpointKey { name: name.clone(), network: network.clone() };
                self.model().announcements(&key)
            }
            None => self.model().host_announcements(network),
        }
    }

    /// Takes an endpoint out of the registry.
    pub(in crate::control) async fn withdraw_endpoint(
        &self,
        network: &NetworkName,
        addresses: Vec<IpAddr>,
    ) {
        let Some(overlay) = self.registry.get() else { return };
        if self.model().registered(network).is_none() || addresses.is_empty() {
            return;
        }
        match overlay.withdraw(network.as_str(), addresses).await {
            Ok(Progress::Written) => {}
            Ok(Progress::Queued) => {
                tracing::info!(%network, "the registry is away, and is told of a detach later");
            }
            Err(error) => tracing::warn!(%network, %error, "not withdrawn from the registry"),
        }
    }
}

impl ControlError {
    /// The address that another node has.
    pub(in crate::control) const fn taken_address(&self) -> Option<IpAddr> {
        match self {
            Self::Registry(
                NodeError::AddressTaken { address, .. }
                | NodeError::Registration(RegistrationError::AddressTaken { address, .. }),
            ) => Some(*address),
            _ => None,
        }
    }
}

impl Control {
    /// Announces endpoints again that the registry has not taken yet, some at a time.
    pub(super) async fn announce_missing(&self) {
        let inner = &self.0;
        let missing: Vec<_> = inner.outstanding.unannounced().iter().cloned().collect();
        for some in missing.chunks(REGISTRY_ANNOUNCED_AT_ONCE) {
            futures_util::future::join_all(
                some.iter().map(|one| inner.announce_or_note(one.clone())),
            )
            .await;
        }
    }

    /// After a start: announces the host's own addresses.
    pub(in crate::control) async fn resume_registered(&self) {
        let inner = &self.0;
        if inner.registry.get().is_none() {
            return;
        }
        let networks = inner.model().registered_networks();
        for network in networks {
            inner.announce_or_note((network.clone(), None)).await;
            inner.leave_host(&network).await;
        }
    }

    /// Announces the addresses of an endpoint to neighbours again, since other nodes learn of it a moment later.
    pub(in crate::control) fn announce_to_other_nodes(&self, lease: &Lease) {
        if self.0.model().registered(&lease.network).is_none() {
            return;
        }
        let (control, lease) = (self.clone(), lease.clone());
        tokio::spawn(async move {
            for pause in GRATUITOUS_PAUSES {
                sleep(pause).await;
                let is_there = {
                    let model = control.0.model();
                    model.active_endpoint(&lease.key()).is_ok_and(|it| it.lease == lease)
                };
                if !is_there {
                    return;
                }
                control.announce(&lease).await;
            }
        });
    }
}
