//! The methods of the network driver.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;
use vswitch_api::address::{AddressRequest, Family};
use vswitch_api::network::NetworkRequest;
use vswitch_api::publish::{PortSpec, Publication};
use wire::MacAddr;

use super::error::line;
use super::forgotten::Forgotten;
use super::names::Names;
use super::options::{self, PREFIX_LABEL};
use super::overlay::{self, OWN_LABELS};
use super::protocol::{
    AddressData, CreateEndpoint, CreateNetwork, CreatedEndpoint, Done, ENABLE_IPV6, EndpointId,
    ExternalConnectivity, Interface, InterfaceName, Join, Joined, NetworkId, OperInfo, PORT_MAP,
};
use super::{ENDPOINT_ID, FAMILY_LABEL, NETWORK_ID, port_map};
use crate::control::model::Endpoint;
use crate::control::{Control, ControlError, HandedOut, Label, RuntimeRequest};

/// Letters of an id that a name has.
const SHORT_ID: usize = 12;

/// Names of interfaces in containers begin so, and a number follows.
const INTERFACE_PREFIX: &str = "eth";

/// Docker's view of the switch.
#[derive(Debug, Clone)]
pub(super) struct Driver {
    control: Control,
    names: Names,
    forgotten: Forgotten,
}

impl Driver {
    pub(super) fn new(control: Control, names: Names, forgotten: Forgotten) -> Self {
        Self { control, names, forgotten }
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    pub(super) fn forgotten(&self) -> &Forgotten {
        &self.forgotten
    }

    pub(super) async fn create_network(self, asked: CreateNetwork) -> Result<Done, String> {
        let label = network_label(&asked.network_id);
        let short = short(&asked.network_id);
        let mut request = NetworkRequest {
            name: format!("docker-{short}"),
            labels: [(label.key.to_owned(), label.text.clone())].into(),
            ..NetworkRequest::default()
        };
        let options = asked.options.unwrap_or_default();
        options::apply(&options, &mut request)?;
        let is_overlay = request.overlay.is_some();
        if !is_overlay {
            request.device.get_or_insert_with(|| format!("br-{short}"));
        }
        let data = [asked.ipv4, asked.ipv6].into_iter().flatten().flatten();
        let reserved = take_pools(&self.control, data, &mut request)?;
        // The driver `null` gives no addresses: the switch does, of the same families as Docker's own would.
        if request.subnets.is_empty() && options.get(ENABLE_IPV6) != Some(&Value::Bool(true)) {
            request.labels.insert(FAMILY_LABEL.to_owned(), Family::Ipv4.to_string());
        }
        let name = match self.control.network_labelled(&label) {
            // Docker asks again: the switch was killed, perhaps before it had reserved the addresses.
            Some(name) => name.to_string(),
            None if is_overlay => {
                let name = request.name.clone();
                overlay::join(&self.control, &self.forgotten, request).await?;
                name
            }
            None => {
                let name = request.name.clone();
                self.control.create_network(request).await.map_err(line)?;
                name
            }
        };
        let known = self.control.addresses(&name).map_err(line)?;
        for address in reserved.into_iter().filter(|it| known.iter().all(|one| one.address != *it))
        {
            let request = AddressRequest::Address(address);
            if let Err(error) = self.control.reserve_address(&name, request).await {
                let _ = self.control.remove_network(&name, false).await;
                return Err(line(error));
            }
        }
        Ok(Done {})
    }

    pub(super) async fn delete_network(self, asked: NetworkId) -> Result<Done, String> {
        let found = self.control.network_labelled(&network_label(&asked.network_id));
        let Some(network) = found else { return Ok(Done {}) };
        // Docker counts its own endpoints; those whose end it did not tell are none to it.
        for HandedOut { label, .. } in self.control.handed_out_on(&network, ENDPOINT_ID) {
            self.control.remove_handed_out(&label).await.map_err(line)?;
        }
        if self.control.is_overlay(&network) {
            self.control.leave_network(&network, &OWN_LABELS).await.map_err(line)?;
            return Ok(Done {});
        }
        let Err(error) = self.control.remove_network(network.as_str(), false).await else {
            return Ok(Done {});
        };
        // Docker deletes its own in any case. That of the switch stays for those who are on it.
        self.control.remove_network_labels(&network, &OWN_LABELS).await.map_err(line)?;
        Err(format!(
            "the switch keeps {network}, which is no network of Docker any more; \
             `vswitch network rm {network}` removes it: {}",
            line(error)
        ))
    }

    pub(super) async fn create_endpoint(
        self,
        asked: CreateEndpoint,
    ) -> Result<CreatedEndpoint, String> {
        let network = self.control.network_labelled(&network_label(&asked.network_id));
        let network = network.ok_or_else(|| unknown_network(&asked.network_id))?;
        let interface = asked.interface.unwrap_or_default();
        let label = endpoint_label(&asked.endpoint_id);
        let (v4, v6) = (parse(&interface.address)?, parse(&interface.address6)?);
        let lease = match self.control.handed_out(&label) {
            // Docker asks again.
            Some((lease, _)) => lease,
            None => {
                let mac: Option<MacAddr> = match interface.mac.as_str() {
                    "" => None,
                    text => Some(text.parse().map_err(|_| format!("{text:?} is no MAC address"))?),
                };
                for address in [v4, v6].into_iter().flatten() {
                    let has = |it: &Endpoint| it.lease.network == network && it.lease.has(address);
                    let Some(lost) = self.control.find_handed_out(ENDPOINT_ID, has) else {
                        continue;
                    };
                    // Docker gives an address to one endpoint only, so it has forgotten the former. Frames may
                    // pass at one that a container has: then Docker is asked.
                    if !lost.is_inside || self.is_forgotten(&lost).await {
                        self.remove_lost(&lost.label).await?;
                    }
                }
                let short = short(&asked.endpoint_id);
                let request = RuntimeRequest {
                    name: format!("docker-{short}"),
                    network: network.clone(),
                    tap: format!("vsw{short}"),
                    mac,
                    ipv4: v4.and_then(|it| match it {
                        IpAddr::V4(address) => Some(address),
                        IpAddr::V6(_) => None,
                    }),
                    ipv6: v6.and_then(|it| match it {
                        IpAddr::V6(address) => Some(address),
                        IpAddr::V4(_) => None,
                    }),
                    family: match (v4, v6) {
                        (Some(_), None) => Some(Family::Ipv4),
                        (None, Some(_)) => Some(Family::Ipv6),
                        (Some(_), Some(_)) => None,
                        (None, None) => {
                            let only = self.control.network_label(&network, FAMILY_LABEL);
                            only.is_some().then_some(Family::Ipv4)
                        }
                    },
                    label,
                };
                self.control.hand_out(request).await.map_err(line)?
            }
        };
        // Docker refuses addresses that it named itself.
        let mut chosen = Interface::default();
        if interface.mac.is_empty() {
            chosen.mac = lease.mac.to_string();
        }
        if (v4, v6) == (None, None) {
            let subnets = self.control.subnets(&network).map_err(line)?;
            let with_prefix =
                |address: IpAddr, subnet: IpNet| format!("{address}/{}", subnet.prefix_len());
            let [net4, net6] = subnets;
            chosen.address = lease.ipv4.map(|it| with_prefix(it.into(), net4)).unwrap_or_default();
            chosen.address6 = lease.ipv6.map(|it| with_prefix(it.into(), net6)).unwrap_or_default();
        }
        Ok(CreatedEndpoint { interface: chosen })
    }

    /// Removes an endpoint that Docker has forgotten. A Docker that is killed does that.
    async fn remove_lost(&self, lost: &Label) -> Result<(), String> {
        tracing::info!(endpoint = lost.text, "forgotten by Docker: removed");
        self.control.remove_handed_out(lost).await.map_err(line)
    }

    async fn is_forgotten(&self, endpoint: &HandedOut) -> bool {
        self.forgotten.is_forgotten(&endpoint.network, &endpoint.label).await
    }

    /// Removes an endpoint that has one of these ports, and that Docker has forgotten. Docker asks the switch whether
    /// a port is free, so the owner may as well be a container that starts now. Says whether there was one.
    async fn remove_lost_owner(&self, ports: &PortSpec, own: &Label) -> Result<bool, String> {
        let has = |it: &Endpoint| {
            it.labels.get(own.key) != Some(&own.text)
                && it.publications.iter().any(|one| one.ports.conflicts(ports))
        };
        let Some(lost) = self.control.find_handed_out(ENDPOINT_ID, has) else { return Ok(false) };
        if !self.is_forgotten(&lost).await {
            return Ok(false);
        }
        self.remove_lost(&lost.label).await?;
        Ok(true)
    }

    pub(super) async fn delete_endpoint(self, asked: EndpointId) -> Result<Done, String> {
        self.control.remove_handed_out(&endpoint_label(&asked.endpoint_id)).await.map_err(line)?;
        Ok(Done {})
    }

    pub(super) async fn endpoint_info(self, _: EndpointId) -> Result<OperInfo, String> {
        Ok(OperInfo { value: BTreeMap::new() })
    }

    pub(super) async fn join(self, asked: Join) -> Result<Joined, String> {
        let label = endpoint_label(&asked.endpoint_id);
        let unknown = || format!("the switch has no endpoint {}", short(&asked.endpoint_id));
        let (lease, tap) = self.control.handed_out(&label).ok_or_else(unknown)?;
        let network = self.control.network(lease.network.as_str()).await.map_err(line)?;
        let network = network.network;
        self.control.join_sandbox(&label, asked.sandbox_key.into()).await.map_err(line)?;
        let gateway = |is_ipv4: bool, has: bool| {
            let mut all = network.gateways.iter();
            let found = all.find(|it| it.is_ipv4() == is_ipv4);
            // As on Docker's own internal networks.
            found.filter(|_| has && !network.internal).map(ToString::to_string).unwrap_or_default()
        };
        if let Some(id) = network.labels.get(NETWORK_ID) {
            self.names.learn(id.clone(), asked.endpoint_id.clone());
        }
        let prefix = network.labels.get(PREFIX_LABEL);
        Ok(Joined {
            interface_name: InterfaceName {
                src_name: tap,
                dst_prefix: prefix.map_or(INTERFACE_PREFIX, String::as_str).to_owned(),
            },
            gateway: gateway(true, lease.ipv4.is_some()),
            gateway6: gateway(false, lease.ipv6.is_some()),
            disable_gateway_service: true,
        })
    }

    pub(super) async fn leave(self, asked: EndpointId) -> Result<Done, String> {
        self.control.leave_sandbox(&endpoint_label(&asked.endpoint_id)).await.map_err(line)?;
        Ok(Done {})
    }

    /// The container's default route leads here, and its published ports are here.
    pub(super) async fn program(self, asked: ExternalConnectivity) -> Result<Done, String> {
        let label = endpoint_label(&asked.endpoint_id);
        let map = asked.options.and_then(|mut options| options.remove(PORT_MAP));
        let bindings = match map {
            Some(map) if !map.is_null() => serde_json::from_value(map)
                .map_err(|error| format!("malformed port map: {error}"))?,
            _ => Vec::new(),
        };
        let wanted = port_map::publications(bindings)?;
        // Docker asks again, or a restart has brought them back.
        self.control.unpublish_bindings(&label).await.map_err(line)?;
        while let Err((publication, error)) =
            self.control.publish_bindings(&label, wanted.clone()).await
        {
            let was_lost = match &error {
                ControlError::PortPublished { ports, .. } => {
                    self.remove_lost_owner(ports, &label).await?
                }
                _ => false,
            };
            if !was_lost {
                return Err(refused(&publication, error));
            }
        }
        self.control.set_default_route(&label, true).await.map_err(line)?;
        Ok(Done {})
    }

    pub(super) async fn revoke(self, asked: EndpointId) -> Result<Done, String> {
        let label = endpoint_label(&asked.endpoint_id);
        self.control.set_default_route(&label, false).await.map_err(line)?;
        self.control.unpublish_bindings(&label).await.map_err(line)?;
        Ok(Done {})
    }
}

fn network_label(id: &str) -> Label {
    Label { key: NETWORK_ID, text: id.to_owned() }
}

fn endpoint_label(id: &str) -> Label {
    Label { key: ENDPOINT_ID, text: id.to_owned() }
}

fn short(id: &str) -> &str {
    id.get(..SHORT_ID).unwrap_or(id)
}

fn unknown_network(id: &str) -> String {
    format!(
        "the switch has no network of Docker's {}: it was removed, or the switch's state was lost; remove the network \
         and create it again",
        short(id)
    )
}

/// An error of a publication; where another has the port, it begins as Docker's does.
fn refused(publication: &Publication, error: ControlError) -> String {
    let is_taken =
        matches!(error, ControlError::PortPublished { .. } | ControlError::HostPortTaken(_));
    let Some(host) = publication.ports.host().filter(|_| is_taken) else { return line(error) };
    let address = publication.ports.address().map_or("0.0.0.0".to_owned(), |it| it.to_string());
    format!("Bind for {address}:{host} failed: port is already allocated: {error}")
}

/// The address of a text with a prefix length; none if it is empty.
fn parse(text: &str) -> Result<Option<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let net: IpNet =
        text.parse().map_err(|_| format!("{text:?} is no address with its prefix length"))?;
    Ok(Some(net.addr()))
}

/// Takes subnets, gateways and ranges from Docker's address management. Gives the addresses that nobody gets.
fn take_pools(
    control: &Control,
    data: impl Iterator<Item = AddressData>,
    request: &mut NetworkRequest,
) -> Result<Vec<IpAddr>, String> {
    let mut reserved = Vec::new();
    for one in data {
        let pool = one.pool.unwrap_or_default();
        let subnet: IpNet = pool.parse().map_err(|_| format!("{pool:?} is no subnet"))?;
        // The driver `null` manages no addresses: the switch does.
        if subnet.prefix_len() == 0 {
            continue;
        }
        request.subnets.push(subnet);
        request.gateways.extend(parse(&one.gateway.unwrap_or_default())?);
        // The switch's own address management knows both.
        if control.has_pool(subnet) {
            continue;
        }
        request.ip_ranges.extend(upper_quarter(subnet));
        for address in one.aux_addresses.unwrap_or_default().into_values() {
            reserved.extend(parse(&address)?);
        }
    }
    Ok(reserved)
}

/// Addresses that the switch gives out itself, to containers that are attached by other ways. Docker gives out its own
/// from the bottom, without a word. A small subnet has no quarter to spare.
fn upper_quarter(subnet: IpNet) -> Option<IpNet> {
    let quarter = subnet.subnets(subnet.prefix_len() + 2).ok()?.last()?;
    let is_large = quarter.max_prefix_len() - quarter.prefix_len() >= 2;
    is_large.then_some(quarter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_gives_out_the_upper_quarter() {
        let quarter =
            |subnet: &str| upper_quarter(subnet.parse().unwrap()).map(|it| it.to_string());
        assert_eq!(quarter("172.18.0.0/16").as_deref(), Some("172.18.192.0/18"));
        assert_eq!(quarter("fd00::/64").as_deref(), Some("fd00::c000:0:0:0/66"));
        assert_eq!(quarter("10.0.0.0/28").as_deref(), Some("10.0.0.12/30"));
        assert_eq!(quarter("10.0.0.0/29"), None);
    }
}
