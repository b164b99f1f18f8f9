//! Networks of Docker that stand for overlay networks: `docker network create -o overlay=NAME`.
//!
//! The overlay network is there for all hosts, and gives the addresses. Docker asks for a pool and a gateway before it says
//! which network they are for, so that the address management of `vswitch` knows the overlay network by its subnet, which
//! `--subnet` names. With that of `null` Docker asks for nothing, and the switch gives the addresses at each endpoint.
//! Docker's own would give addresses that containers of other hosts have.
//!
//! A removal by Docker takes its label and its pools off the overlay network, which stays. One that came while the switch did
//! not run is made up for when Docker next wants that network, or its pool.

use ipnet::IpNet;
use vswitch_api::network::NetworkRequest;

use super::error::line;
use super::forgotten::Forgotten;
use super::names::NETWORK_NAME;
use super::options::PREFIX_LABEL;
use super::{ENDPOINT_ID, FAMILY_LABEL, NETWORK_ID};
use crate::control::model::NetworkName;
use crate::control::{Control, OverlayError};

/// Labels that Docker's network has.
pub(super) const OWN_LABELS: [&str; 4] = [NETWORK_ID, NETWORK_NAME, PREFIX_LABEL, FAMILY_LABEL];

/// Lets a network of Docker stand for the overlay network of the request.
pub(super) async fn join(
    control: &Control,
    forgotten: &Forgotten,
    request: NetworkRequest,
) -> Result<(), String> {
    let name: Option<NetworkName> = request.name.parse().ok();
    if request.subnets.iter().any(|subnet| !control.has_pool(*subnet)) {
        let own = name.as_ref().filter(|name| control.is_overlay(name));
        let own = own.and_then(|name| control.subnets(name).ok());
        let asked = request.subnets.iter().find(|subnet| matches!(subnet, IpNet::V4(_)));
        let subnet = own.map(|[subnet, _]| subnet).or(asked.copied());
        let subnet = subnet.map_or_else(|| "SUBNET".to_owned(), |subnet| subnet.to_string());
        return Err(format!(
            "Docker's own address management does not know which addresses of {} other hosts have; create it \
             with `--ipam-driver null`, or with `--ipam-driver vswitch --subnet {subnet}`",
            request.name
        ));
    }
    if let Some(name) = &name {
        leave_forgotten(control, forgotten, name).await;
    }
    control.join_network(request, NETWORK_ID).await.map_err(line)
}

/// Refuses an overlay network that a network of Docker stands for.
pub(super) fn check_unjoined(control: &Control, network: &NetworkName) -> Result<(), String> {
    match control.network_label(network, NETWORK_ID) {
        Some(other) => {
            Err(line(OverlayError::Joined { network: network.to_string(), other }.into()))
        }
        None => Ok(()),
    }
}

/// Takes a network that Docker has removed off an overlay network. Docker may have another network for it then.
pub(super) async fn leave_forgotten(
    control: &Control,
    forgotten: &Forgotten,
    network: &NetworkName,
) {
    let Some(id) = control.network_label(network, NETWORK_ID) else { return };
    let is_in_use = !control.handed_out_on(network, ENDPOINT_ID).is_empty();
    if is_in_use || !control.is_overlay(network) || !forgotten.is_network_forgotten(&id).await {
        return;
    }
    tracing::info!(%network, id, "Docker has it no more");
    for subnet in control.subnets(network).into_iter().flatten() {
        if control.overlay_of_pool(subnet).as_ref() == Some(network)
            && let Err(error) = control.release_pool(subnet).await
        {
            tracing::warn!(%network, %error, "its pool stays");
        }
    }
    if let Err(error) = control.leave_network(network, &OWN_LABELS).await {
        tracing::warn!(%network, %error, "not written");
    }
}
