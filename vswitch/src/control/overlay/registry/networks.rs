//! Networks of the registry: made here when the registry tells of them, created and deleted in it by requests.

use std::sync::Arc;

use vswitch_api::event::EventKind;
use vswitch_api::network::NetworkRequest;
use vswitch_registry::record::Network;

use super::{options, record_of};
use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::model::{NetworkName, NetworkSpec, RegisteredSpec};
use crate::control::network::request;
use crate::control::overlay::OverlayError;
use crate::overlay::OverlayError as NodeError;

/// What becomes of a network that the registry tells of.
enum Due {
    /// It is here as the registry has it.
    Nothing,
    Make,
    /// It is here otherwise, and nobody uses it.
    MakeAgain(NetworkName),
    /// It cannot be.
    Refused(String),
}

impl Control {
    /// The network of a request in the registry, as this node makes it. The caller lets no other network come meanwhile.
    pub(in crate::control) async fn register_network(
        &self,
        request: NetworkRequest,
    ) -> Result<NetworkSpec, ControlError> {
        let inner = &self.0;
        let overlay = inner.registry_for(&request.name)?;
        if !request.ip_ranges.is_empty() {
            return Err(OverlayError::RangeOfRegistry.into());
        }
        if request.overlay.iter().any(|overlay| !overlay.host_addresses.is_empty()) {
            return Err(OverlayError::HostAddressOfRegistry.into());
        }
        // What no node could make is not told to others; the number is the registry's choice.
        let local = NetworkRequest { overlay: None, mtu: None, ..request.clone() };
        let local = request::spec(inner, local).await?;
        if inner.model().network_named(&local.name).is_some() {
            return Err(ControlError::NetworkExists(local.name.to_string()));
        }
        let new = options::to_registry(&request, local.subnets().to_vec());
        let network = overlay.create_network(new).await?;
        let made = inner.spec_of(&network, request).await;
        if made.is_err() {
            self.unregister_network(&network.name).await?;
        }
        made
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
        let made = match inner.due(network) {
            Due::Nothing => Ok(()),
            Due::Refused(reason) => Err(reason),
            Due::Make => self.make(network).await,
            Due::MakeAgain(name) => match self.unmake(&name).await {
                Ok(()) => self.make(network).await,
                Err(error) => Err(error.to_string()),
            },
        };
        let name = &network.name;
        let was_unmade = match &made {
            Ok(()) => inner.outstanding.unmade().remove(name).is_some(),
            Err(_) => {
                inner.outstanding.unmade().insert(name.clone(), Arc::clone(network)).is_some()
            }
        };
        let fault = made.err().map(|reason| format!("the network {name} cannot be made: {reason}"));
        if fault.is_some() || was_unmade {
            inner.note_unmade(name, fault);
        }
    }

    async fn make(&self, network: &Network) -> Result<(), String> {
        let inner = &self.0;
        let made = async {
            let spec = inner.spec_of(network, NetworkRequest::default()).await?;
            self.make_network(spec).await
        };
        made.await.map_err(|error: ControlError| error.to_string())
    }

    /// Removes a network here that the registry has no more.
    pub(super) async fn drop_network(&self, name: &str) {
        let inner = &self.0;
        let _changing = inner.network_changes.lock().await;
        if inner.outstanding.unmade().remove(name).is_some() {
            inner.note_unmade(name, None);
        }
        let Ok(name) = name.parse::<NetworkName>() else { return };
        let is_ours = inner.model().network_named(&name).is_some_and(|it| record_of(it).is_some());
        if !is_ours {
            return;
        }
        match self.unmake(&name).await {
            Ok(()) => tracing::info!(%name, "the registry has this network no more: removed"),
            // A request removes it.
            Err(ControlError::Busy(..)) => {}
            Err(error) => {
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

    /// Tries again what could not be made.
    pub(super) async fn retry_unmade(&self) {
        let unmade: Vec<_> = self.0.outstanding.unmade().values().cloned().collect();
        for network in unmade {
            self.make_registered(&network).await;
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
            overlay.registered = Some(RegisteredSpec {
                subnets: network.subnets.clone(),
                options: network.options.clone(),
                blocks: Default::default(),
            });
        }
        Ok(spec)
    }

    fn note_unmade(&self, name: &str, fault: Option<String>) {
        let part = format!("network {name} of the registry");
        let text = fault.clone().unwrap_or_else(|| "none any more".to_owned());
        if self.model().set_host_fault(&part, fault) {
            tracing::warn!(fault = text, "the registry");
            self.feed.report(EventKind::Fault, part, None, text);
        }
    }
}
