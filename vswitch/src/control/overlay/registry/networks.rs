//! Networks of the registry: made here when the registry tells of them, created and deleted in it by requests.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use vswitch_api::event::EventKind;
use vswitch_api::network::NetworkRequest;
use vswitch_registry::record::Network;
use vswitch_registry::{RegistryError, Scheme};
use wire::vxlan::Vni;

use super::{options, record_of};
use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::limits::SUBNET_TRIES_MAX;
use crate::control::model::{NetworkName, NetworkSpec, RegisteredSpec};
use crate::control::network::choice::{hash, subnet_at};
use crate::control::network::{NetworkError, request};
use crate::control::overlay::OverlayError;
use crate::overlay::{NodeError, Overlay};

/// What becomes of a network that the registry tells of.
enum Due {
    /// It is here as the registry has it.
    Nothing,
    Make,
    /// It is here and in use, with another number or MTU.
    Change(NetworkName, Vni),
    /// It is here otherwise, and nobody uses it.
    MakeAgain(NetworkName),
    /// It cannot be.
    Refused(String),
}

/// The part of a network that is this node's alone.
#[derive(Default)]
struct Own {
    request: NetworkRequest,
    peers: BTreeSet<SocketAddr>,
}

impl Own {
    fn of(spec: &NetworkSpec) -> Self {
        let request = NetworkRequest {
            device: spec.device.as_ref().map(ToString::to_string),
            labels: spec.labels.clone(),
            reachable_from: spec.reachable_from.iter().map(ToString::to_string).collect(),
            ..NetworkRequest::default()
        };
        let peers = spec.overlay.as_ref().map(|overlay| overlay.peers.clone()).unwrap_or_default();
        Self { request, peers }
    }
}

impl Control {
    /// Creates a network of a request in the registry, and makes it here. Gives its name.
    pub(in crate::control) async fn create_registered(
        &self,
        request: NetworkRequest,
    ) -> Result<NetworkName, ControlError> {
        let inner = &self.0;
        let overlay = inner.registry_for(&request.name)?;
        if !request.ip_ranges.is_empty() {
            return Err(OverlayError::RangeOfRegistry.into());
        }
        if request.overlay.iter().any(|overlay| !overlay.host_addresses.is_empty()) {
            return Err(OverlayError::HostAddressOfRegistry.into());
        }
        let name = request.name.clone();
        // Another request creates it: the registry decides which one.
        let is_first = inner.outstanding.creating().insert(name.clone());
        let created = self.run_create_registered(overlay, request).await;
        if is_first {
            inner.outstanding.creating().remove(&name);
            // The registry has told of it meanwhile: perhaps of another node's.
            let told = inner.outstanding.unmade().get(&name).cloned();
            if let Some(network) = told {
                self.make_registered(&network).await;
            }
        }
        created
    }

    async fn run_create_registered(
        &self,
        overlay: &Overlay,
        request: NetworkRequest,
    ) -> Result<NetworkName, ControlError> {
        let inner = &self.0;
        let (network, request) = self.create_in_registry(overlay, request).await?;
        let name = network.name.parse()?;
        let made = {
            // Only now, since the registry may take its time.
            let _creating = inner.network_changes.lock().await;
            match inner.spec_of(&network, request).await {
                Ok(spec) => self.make_network(spec).await,
                Err(error) => Err(error),
            }
        };
        if made.is_err()
            && let Err(error) = self.unregister_network(&network.name).await
        {
            tracing::warn!(network = network.name, %error, "not made here, and not deleted");
        }
        made.map(|()| name)
    }

    /// Creates a network in the registry. Subnets that nobody named are those that the name leads to, or the next ones.
    async fn create_in_registry(
        &self,
        overlay: &Overlay,
        mut request: NetworkRequest,
    ) -> Result<(Arc<Network>, NetworkRequest), ControlError> {
        let inner = &self.0;
        let is_chosen = !request.subnets.iter().any(|subnet| subnet.addr().is_ipv4());
        let named = request.subnets.clone();
        let first = (hash(&request.name) >> 32) as u32;
        for number in 0..SUBNET_TRIES_MAX {
            if is_chosen {
                let subnet = subnet_at(first.wrapping_add(number))?;
                request.subnets = named.iter().copied().chain([subnet.net().into()]).collect();
            }
            let is_last = !is_chosen || number + 1 == SUBNET_TRIES_MAX;
            // A network that no node could make is not told to others; the VNI is the registry's choice.
            let local = NetworkRequest { overlay: None, mtu: None, ..request.clone() };
            let local = match request::spec(inner, local).await {
                Err(ControlError::Network(_)) if !is_last => continue,
                local => local?,
            };
            if inner.model().network_named(&local.name).is_some() {
                return Err(ControlError::NetworkExists(local.name.to_string()));
            }
            let told = NetworkRequest { internal: local.internal, ..request.clone() };
            let new = options::to_registry(&told, local.subnets().to_vec());
            match overlay.create_network(new).await {
                Err(NodeError::SubnetOverlaps { .. }) if !is_last => {}
                created => return Ok((created?, request)),
            }
        }
        Err(NetworkError::SubnetsMax.into())
    }

    /// Refuses a network that the registry would not delete now.
    pub(in crate::control) async fn check_unregister(
        &self,
        name: &NetworkName,
    ) -> Result<(), ControlError> {
        let inner = &self.0;
        let Some(overlay) =
            inner.registry.get().filter(|_| inner.model().registered(name).is_some())
        else {
            return Ok(());
        };
        let known = inner.model().check_no_remotes(name);
        // The registry knows of a last detach before this node hears of it.
        if let Err(error) = known
            && overlay.check_unused(name.as_str()).await.is_err()
        {
            return Err(error.into());
        }
        let status = overlay.status().await?;
        match (&inner.config.registry, status.problem) {
            (Some(url), _) if url.scheme == Scheme::File => {
                Err(NodeError::from(RegistryError::ReadOnly { registry: status.url }).into())
            }
            (_, Some(problem)) => {
                let away = RegistryError::Unreachable { registry: status.url, problem };
                Err(NodeError::from(away).into())
            }
            _ => Ok(()),
        }
    }

    /// Deletes a network in the registry. One that is not there is none to delete.
    pub(in crate::control) async fn unregister_network(
        &self,
        name: &str,
    ) -> Result<(), ControlError> {
        match self.0.registry_for(name)?.delete_network(name).await {
            Ok(()) | Err(NodeError::UnknownNetwork(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a network of the registry here, or brings it in line.
    pub(super) async fn make_registered(&self, network: &Arc<Network>) {
        let inner = &self.0;
        let _changing = inner.network_changes.lock().await;
        if inner.outstanding.leave_to_request(network) {
            return;
        }
        let made = match inner.due(network) {
            Due::Nothing => Ok(()),
            Due::Refused(reason) => Err(reason),
            Due::Make => self.make(network, Own::default()).await,
            Due::Change(name, vni) => self.change(&name, vni, network).await,
            Due::MakeAgain(name) => self.make_again(&name, network).await,
        };
        let name = &network.name;
        // It is there again, if it was not.
        inner.outstanding.undropped().remove(name);
        match &made {
            Ok(()) => inner.outstanding.unmade().remove(name),
            Err(_) => inner.outstanding.unmade().insert(name.clone(), Arc::clone(network)),
        };
        let fault = made.err().map(|reason| format!("the network {name} cannot be made: {reason}"));
        inner.note_unmade(name, fault);
    }

    async fn make(&self, network: &Network, own: Own) -> Result<(), String> {
        let inner = &self.0;
        let made = async {
            let mut spec = inner.spec_of(network, own.request).await?;
            if let Some(overlay) = &mut spec.overlay {
                overlay.peers = own.peers;
            }
            self.make_network(spec).await
        };
        made.await.map_err(|error: ControlError| error.to_string())
    }

    /// Makes a network without endpoints again, which the registry has with other subnets or options.
    async fn make_again(&self, name: &NetworkName, network: &Network) -> Result<(), String> {
        let own = Own::of(&self.0.model()[name].spec);
        tracing::info!(%name, "the registry has this network otherwise: made again");
        self.unmake(name).await.map_err(|error| error.to_string())?;
        self.make(network, own).await
    }

    /// Changes number and MTU of a network that is in use.
    async fn change(&self, name: &NetworkName, vni: Vni, network: &Network) -> Result<(), String> {
        let inner = &self.0;
        tracing::info!(%name, vni = vni.get(), "the registry has this network with other numbers");
        let changed = inner.model().change_registered(name, vni, network.mtu.map(u32::from));
        changed.map_err(|error| error.to_string())?;
        inner.commit_snapshot();
        inner.apply_mtu(name).await;
        inner.save().await.map_err(|error| error.to_string())
    }

    /// Removes a network here that the registry has no more.
    pub(super) async fn drop_network(&self, name: &str) {
        let inner = &self.0;
        let _changing = inner.network_changes.lock().await;
        inner.outstanding.unmade().remove(name);
        inner.note_unmade(name, None);
        let Ok(name) = name.parse::<NetworkName>() else { return };
        if inner.model().registered(&name).is_none() {
            inner.outstanding.undropped().remove(name.as_str());
            return;
        }
        match self.unmake(&name).await {
            Ok(()) => {
                tracing::info!(%name, "the registry has this network no more: removed");
                inner.outstanding.undropped().remove(name.as_str());
                inner.note_unmade(name.as_str(), None);
            }
            // A request removes it.
            Err(ControlError::Busy(..)) => {}
            Err(error) => {
                inner.outstanding.undropped().insert(name.to_string());
                tracing::error!(%name, %error, "the registry has this network no more");
                let fault = format!("the network {name} was deleted, and is in use here: {error}");
                inner.note_unmade(name.as_str(), Some(fault));
            }
        }
    }

    /// Removes a network that has no endpoints.
    async fn unmake(&self, name: &NetworkName) -> Result<(), ControlError> {
        self.0.model().begin_remove_network(name, false)?;
        self.remove_empty(name).await
    }

    /// Tries again to make and to remove networks where that failed.
    pub(super) async fn retry_unmade(&self) {
        let unmade: Vec<_> = self.0.outstanding.unmade().values().cloned().collect();
        for network in unmade {
            self.make_registered(&network).await;
        }
        let undropped: Vec<_> = self.0.outstanding.undropped().iter().cloned().collect();
        for name in undropped {
            self.drop_network(&name).await;
        }
    }
}

impl Inner {
    fn due(&self, network: &Network) -> Due {
        let Ok(name) = network.name.parse::<NetworkName>() else {
            return Due::Refused("its name cannot be one here".to_owned());
        };
        let model = self.model();
        let Some(found) = model.network_named(&name) else { return Due::Make };
        match record_of(found) {
            None => Due::Refused(format!("{name} is another network, of this host alone")),
            Some((record, _)) if record == *network => Due::Nothing,
            Some(_) if model.endpoints_on(&name) == 0 => Due::MakeAgain(name),
            Some((record, _)) if has_other_numbers(&record, network) => match Vni::new(network.vni)
            {
                Ok(vni) => Due::Change(name, vni),
                Err(error) => Due::Refused(error.to_string()),
            },
            Some(_) => Due::Refused(
                "it is in use here with other subnets or options: detach its containers".to_owned(),
            ),
        }
    }

    /// The network that this node makes of a record.
    async fn spec_of(
        &self,
        network: &Network,
        own: NetworkRequest,
    ) -> Result<NetworkSpec, ControlError> {
        let bad = |problem| OverlayError::Registered { network: network.name.clone(), problem };
        let request = options::from_registry(network, own).map_err(bad)?;
        let mut spec = request::spec(self, request).await?;
        if let Some(overlay) = &mut spec.overlay {
            let blocks = self.outstanding.blocks();
            let own = blocks.iter().filter(|(name, _)| *name == network.name);
            overlay.registered = Some(RegisteredSpec {
                subnets: network.subnets.clone(),
                options: network.options.clone(),
                blocks: own.map(|(_, block)| *block).collect(),
            });
        }
        Ok(spec)
    }

    /// Shows why a network cannot be made or removed, or that all is well.
    pub(in crate::control) fn note_unmade(&self, name: &str, fault: Option<String>) {
        let part = format!("network {name} of the registry");
        let text = fault.clone().unwrap_or_else(|| "none any more".to_owned());
        if self.model().set_host_fault(&part, fault) {
            tracing::warn!(fault = text, "the registry");
            self.feed.report(EventKind::Fault, part, None, text);
        }
    }
}

/// Whether two records of a network differ in its VNI or MTU only.
fn has_other_numbers(a: &Network, b: &Network) -> bool {
    *b == Network { vni: b.vni, mtu: b.mtu, ..a.clone() }
}
