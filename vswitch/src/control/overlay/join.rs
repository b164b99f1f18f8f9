//! Overlay networks that a network of a runtime, such as Docker, stands for.
//!
//! The overlay network is that of all nodes. A runtime has two things of it on its own host: a label with the id of its own
//! network, and the pools of the subnets, from which its containers get addresses. [`Control::join_network`] gives both.
//! [`Control::leave_network`] takes them, and the overlay network stays, since nobody here knows who else uses it.

use tokio::time::{Instant, sleep};
use vswitch_api::address::{AddressRequest, Family};
use vswitch_api::network::NetworkRequest;

use super::OverlayError;
use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::limits::{JOIN_PAUSE, JOIN_WAIT_MAX};
use crate::control::model::{Network, NetworkName};
use crate::control::task::task;
use crate::overlay::NodeError;

impl Control {
    /// Lets a runtime's network stand for an overlay network: for one that is there, as it is asked for, or for a new one of
    /// the registry. `key` is the label with the runtime's id, which the request has.
    pub(crate) async fn join_network(
        &self,
        request: NetworkRequest,
        key: &'static str,
    ) -> Result<(), ControlError> {
        let control = self.clone();
        task(async move { control.run_join(request, key).await }).await?
    }

    async fn run_join(&self, request: NetworkRequest, key: &str) -> Result<(), ControlError> {
        let inner = &self.0;
        let name: NetworkName = request.name.parse()?;
        let deadline = Instant::now() + JOIN_WAIT_MAX;
        loop {
            inner.check_not_ending()?;
            if inner.model().network_named(&name).is_some() {
                return self.join_existing(&name, request, key).await;
            }
            if inner.registry.get().is_none() {
                return Err(OverlayError::Absent(request.name).into());
            }
            match self.create_network(request.clone()).await {
                Ok(_) => break,
                // Another node was faster. The registry tells of it in a moment.
                Err(error) if is_there(&error) && Instant::now() < deadline => {
                    sleep(JOIN_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        inner.model().bind_pools(&name);
        let claimed = inner.claim_taken(&name).await;
        if claimed.is_err() {
            self.remove_network(name.as_str(), false).await?;
        }
        claimed?;
        inner.save().await
    }

    async fn join_existing(
        &self,
        name: &NetworkName,
        request: NetworkRequest,
        key: &str,
    ) -> Result<(), ControlError> {
        let inner = &self.0;
        {
            // Not while the registry is asked: it may take its time.
            let _changing = inner.network_changes.lock().await;
            let mut model = inner.model();
            check(model.network(Some(name.as_str()))?, &request, key)?;
            let of_it = |range: &ipnet::IpNet| request.subnets.iter().any(|it| it.contains(range));
            if model.pools().filter_map(|pool| pool.range()).any(|range| of_it(&range)) {
                return Err(OverlayError::RangeOfRegistry.into());
            }
            model.bind_pools(name);
            for (key, text) in &request.labels {
                model.set_network_label(name, key, text.clone());
            }
        }
        let joined = async {
            inner.claim_taken(name).await?;
            inner.save().await
        };
        if let Err(error) = joined.await {
            let keys: Vec<_> = request.labels.keys().map(String::as_str).collect();
            inner.leave(name, &keys).await;
            return Err(error);
        }
        tracing::info!(%name, "an overlay network is a runtime's, too");
        Ok(())
    }

    /// Takes a runtime's labels and pools off an overlay network, which stays.
    pub(crate) async fn leave_network(
        &self,
        name: &NetworkName,
        keys: &[&str],
    ) -> Result<(), ControlError> {
        self.0.leave(name, keys).await;
        self.0.save().await
    }

    /// Whether a network is an overlay network.
    pub(crate) fn is_overlay(&self, name: &NetworkName) -> bool {
        self.0.model().network_named(name).is_some_and(|it| it.spec.overlay.is_some())
    }
}

impl Inner {
    async fn leave(&self, name: &NetworkName, keys: &[&str]) {
        let taken = {
            let mut model = self.model();
            let taken = model.taken_of(name);
            model.release_pools(name, self.started.elapsed());
            model.remove_network_labels(name, keys);
            taken
        };
        self.release_unused(name, taken).await;
    }

    /// Claims the addresses that a runtime took of the pools before they were the network's.
    async fn claim_taken(&self, name: &NetworkName) -> Result<(), ControlError> {
        let taken = self.model().taken_of(name);
        for address in taken {
            if !self.model().is_reserved(name, address) {
                let owner = self.model().endpoint_with(name.as_str(), address);
                let owner = owner.map_or_else(|| "another".to_owned(), |it| it.name.to_string());
                return Err(ControlError::AddressInUse { address, owner });
            }
            self.claim_reservation(name, AddressRequest::Address(address)).await?;
        }
        Ok(())
    }
}

/// Whether a network of that name is there already, here or in the registry.
const fn is_there(error: &ControlError) -> bool {
    matches!(
        error,
        ControlError::NetworkExists(_) | ControlError::Registry(NodeError::NetworkExists(_))
    )
}

/// Refuses a local network, one that another network of the runtime stands for, and one that is not as it is asked for.
fn check(network: &Network, request: &NetworkRequest, key: &str) -> Result<(), OverlayError> {
    let name = || network.spec.name.to_string();
    if network.spec.overlay.is_none() {
        return Err(OverlayError::Local(name()));
    }
    if let Some(other) = network.spec.labels.get(key) {
        return Err(OverlayError::Joined { network: name(), other: other.clone() });
    }
    match difference(network, request) {
        Some((has, asked)) => Err(OverlayError::Differs { network: name(), has, asked }),
        None => Ok(()),
    }
}

/// What a network has otherwise than it is asked for, and what it is asked for.
fn difference(network: &Network, request: &NetworkRequest) -> Option<(String, String)> {
    let spec = &network.spec;
    let overlay = spec.overlay.as_ref()?;
    let (subnets, gateways) = (spec.subnets(), spec.gateways());
    for subnet in &request.subnets {
        let family = Family::of(subnet.addr());
        let own = subnets.into_iter().find(|own| Family::of(own.addr()) == family)?;
        if own != subnet.trunc() {
            return Some((format!("--subnet {own}"), format!("--subnet {subnet}")));
        }
    }
    for gateway in &request.gateways {
        let own = gateways.into_iter().find(|own| own.is_ipv4() == gateway.is_ipv4())?;
        if own != *gateway {
            return Some((format!("--gateway {own}"), format!("--gateway {gateway}")));
        }
    }
    let vni = request.overlay.as_ref().and_then(|overlay| overlay.vni);
    if let Some(vni) = vni.filter(|vni| *vni != overlay.vni.get()) {
        return Some((format!("VNI {}", overlay.vni.get()), format!("VNI {vni}")));
    }
    if let Some(mtu) = request.mtu.filter(|mtu| *mtu != spec.mtu) {
        return Some((format!("MTU {}", spec.mtu), format!("MTU {mtu}")));
    }
    let device = spec.device.as_ref().map_or("none", |device| device.as_str());
    if let Some(asked) = request.device.as_deref().filter(|asked| *asked != device) {
        return Some((format!("device {device}"), format!("device {asked}")));
    }
    let uplink = spec.uplink.to_string();
    if let Some(asked) = request.uplink.as_deref().filter(|asked| *asked != uplink) {
        return Some((format!("uplink {uplink}"), format!("uplink {asked}")));
    }
    let lacks = |what: &str| Some((format!("no option {what}"), what.to_owned()));
    if request.internal && !spec.internal {
        return lacks("internal");
    }
    if request.isolated_ports && !spec.isolated_ports {
        return lacks("isolated-ports");
    }
    if request.cut_through.is_some() && request.cut_through != spec.cut_through {
        return lacks("cut-through");
    }
    match request.settings.is_empty() || request.settings == spec.port_settings {
        true => None,
        false => {
            Some(("other settings of its ports".to_owned(), "those of the options".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests;
