//! Options of a network in the registry: what `vswitch network create` takes beside name, VNI, subnets and MTU.
//!
//! | option | value |
//! |---|---|
//! | `gateway`, `gateway6` | the gateway's address in the subnet of its family; the first one if absent |
//! | `internal`, `isolated-ports`, `dhcp`, `ra` | `true` |
//! | `settings` | settings of new container ports, as JSON of the API's `SettingsChange` |
//!
//! Device, labels and `--reachable-from` are the node's on which they are given.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use vswitch_api::network::NetworkRequest;
use vswitch_api::overlay::OverlayRequest;
use vswitch_api::port_settings::SettingsChange;
use vswitch_registry::record::Network;

use crate::overlay::NewNetwork;

const GATEWAYS: [&str; 2] = ["gateway", "gateway6"];
const INTERNAL: &str = "internal";
const ISOLATED_PORTS: &str = "isolated-ports";
const DHCP: &str = "dhcp";
const RA: &str = "ra";
const SETTINGS: &str = "settings";
const YES: &str = "true";

/// What the registry gets of a request.
pub(super) fn to_registry(request: &NetworkRequest, subnets: Vec<IpNet>) -> NewNetwork {
    let mut options = BTreeMap::new();
    for gateway in &request.gateways {
        let name = GATEWAYS[usize::from(gateway.is_ipv6())];
        options.insert(name.to_owned(), gateway.to_string());
    }
    let switches = [
        (INTERNAL, request.internal),
        (ISOLATED_PORTS, request.isolated_ports),
        (DHCP, request.dhcp),
        (RA, request.ra),
    ];
    let on = switches.iter().filter(|(_, is_on)| *is_on);
    options.extend(on.map(|(name, _)| ((*name).to_owned(), YES.to_owned())));
    if !request.settings.is_empty()
        && let Ok(settings) = serde_json::to_string(&request.settings)
    {
        options.insert(SETTINGS.to_owned(), settings);
    }
    NewNetwork {
        name: request.name.clone(),
        vni: request.overlay.as_ref().and_then(|overlay| overlay.vni),
        subnets,
        mtu: request.mtu.and_then(|mtu| u16::try_from(mtu).ok()),
        options,
    }
}

/// The request that makes a network of the registry here. `own` has what is this node's alone.
///
/// # Errors
/// The option that makes no sense, with its value.
pub(super) fn from_registry(
    network: &Network,
    own: NetworkRequest,
) -> Result<NetworkRequest, String> {
    let bad =
        |name: &str| format!("option {name} of it makes no sense: {:?}", network.options[name]);
    let mut gateways = Vec::new();
    for name in GATEWAYS {
        if let Some(text) = network.options.get(name) {
            gateways.push(text.parse::<IpAddr>().map_err(|_| bad(name))?);
        }
    }
    let is_on = |name: &str| network.options.get(name).is_some_and(|text| text == YES);
    let settings = network.options.get(SETTINGS).map(|text| serde_json::from_str(text));
    let settings: Option<SettingsChange> = settings.transpose().map_err(|_| bad(SETTINGS))?;
    let host_addresses = own.overlay.map(|overlay| overlay.host_addresses).unwrap_or_default();
    Ok(NetworkRequest {
        name: network.name.clone(),
        subnets: network.subnets.clone(),
        gateways,
        ip_ranges: Vec::new(),
        mtu: network.mtu.map(u32::from),
        internal: is_on(INTERNAL),
        isolated_ports: is_on(ISOLATED_PORTS),
        dhcp: is_on(DHCP),
        ra: is_on(RA),
        overlay: Some(OverlayRequest { vni: Some(network.vni), host_addresses }),
        settings: settings.unwrap_or_default(),
        ..own
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_comes_back_from_the_registry_as_it_was_asked_for() {
        let request = NetworkRequest {
            name: "blue".to_owned(),
            subnets: vec!["10.50.0.0/16".parse().unwrap(), "fd00:50::/64".parse().unwrap()],
            gateways: vec!["10.50.0.9".parse().unwrap(), "fd00:50::9".parse().unwrap()],
            mtu: Some(1400),
            internal: true,
            isolated_ports: true,
            dhcp: true,
            ra: true,
            overlay: Some(OverlayRequest { vni: Some(42), host_addresses: Vec::new() }),
            settings: serde_json::from_str(r#"{"vlan":{"access":7}}"#).unwrap_or_default(),
            ..NetworkRequest::default()
        };
        let created = to_registry(&request, request.subnets.clone()).with_vni(42);
        assert_eq!(from_registry(&created, NetworkRequest::default()).unwrap(), request);
    }

    #[test]
    fn what_is_of_this_node_alone_stays_and_what_makes_no_sense_is_named() {
        let plain = NetworkRequest { name: "blue".to_owned(), ..NetworkRequest::default() };
        let mut network = to_registry(&plain, vec!["10.50.0.0/16".parse().unwrap()]).with_vni(42);
        assert!(network.options.is_empty());
        let own = NetworkRequest { device: Some("br-b".to_owned()), ..NetworkRequest::default() };
        let request = from_registry(&network, own.clone()).unwrap();
        assert_eq!((request.device.as_deref(), request.internal), (Some("br-b"), false));
        network.options.insert("gateway".to_owned(), "nowhere".to_owned());
        let error = from_registry(&network, own).unwrap_err();
        assert_eq!(error, "option gateway of it makes no sense: \"nowhere\"");
    }
}
