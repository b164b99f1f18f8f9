//! The description of a new network: what the request says, and a choice for the rest.

mod overlay;

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use vswitch_api::network::{FIRST_NETWORK_NAMES, NetworkRequest};
use vswitch_api::port_settings::vlan::VlanMode;
use vswitch_api::port_settings::{PortSettings, SettingsChange};

use super::super::error::ControlError;
use super::super::inner::Inner;
use super::super::ipam::Pool;
use super::super::limits::{LABELS_BYTES_MAX, LABELS_MAX, REACHABLE_FROM_MAX};
use super::super::model::{NetworkName, NetworkSpec, local_mac};
use super::super::name::Name;
use super::super::random::random;
use super::NetworkError;
use super::choice::{free_subnet, hash, overlap, subnet_at};
use crate::config::{IfName, Mtu, Subnet4, Subnet6, Uplink};
use crate::datapath::HostConfig;
use crate::host::HostError;

/// Prefix of the default names of host devices.
const DEVICE_PREFIX: &str = "br-";

/// Names that mean something else where a network is named.
const RESERVED: [&str; 3] = ["host", "none", "container"];

/// A network of a request. The caller lets no other network come meanwhile.
pub(in crate::control) async fn spec(
    inner: &Inner,
    request: NetworkRequest,
) -> Result<NetworkSpec, ControlError> {
    let name: Name = request.name.parse()?;
    if RESERVED.iter().chain(&FIRST_NETWORK_NAMES).any(|word| *word == name.as_str()) {
        return Err(NetworkError::NameReserved(name.to_string()).into());
    }
    check_labels(&request)?;
    let first = inner.model().network(None)?.spec.clone();
    let (internal, uplink) = uplink(&request, &first)?;
    let subnets = requested_subnets(&request.subnets)?;
    let host_routes = inner.netlink.all_routes().await.map_err(HostError::Netlink)?;
    let overlay = overlay::spec(inner, &request)?;
    let subnet6 = match (subnets.1, &overlay) {
        (Some(subnet6), _) => subnet6,
        (None, Some(overlay)) => overlay::subnet6(overlay.vni),
        (None, None) => Subnet6::unique_local(random()?),
    };
    let subnet = match (subnets.0, &overlay) {
        (Some(subnet), _) => subnet,
        (None, Some(overlay)) => subnet_at(overlay.vni.get())?,
        (None, None) => free_subnet(inner, &host_routes)?,
    };
    let nets = [IpNet::V4(subnet.net()), IpNet::V6(subnet6.net())];
    let has_host_port = match overlap(inner, &nets, &host_routes) {
        Some(error) if uplink != Uplink::None => return Err(error.into()),
        overlap => overlap.is_none(),
    };
    let device = match (&request.device, has_host_port) {
        (Some(device), true) => Some(device.parse().map_err(ControlError::Ifname)?),
        (None, false) if !request.reachable_from.is_empty() => {
            return Err(NetworkError::Overlaps(name.to_string()).into());
        }
        (Some(device), false) => return Err(NetworkError::NoHostPort(device.clone()).into()),
        (None, true) => Some(default_device(&name)),
        (None, false) => None,
    };
    let mtu = match (&overlay, request.mtu) {
        (Some(overlay), _) => overlay::mtu(inner, overlay)?,
        (None, Some(mtu)) => checked_mtu(mtu)?,
        (None, None) => first.mtu,
    };
    let gateway_mac = match &overlay {
        Some(overlay) => overlay.gateway_mac(),
        None => local_mac(random()?),
    };
    let mut spec = NetworkSpec {
        name,
        device,
        subnet,
        subnet6,
        gateway: subnet.gateway(),
        gateway6: subnet6.gateway(),
        range: None,
        range6: None,
        gateway_mac,
        mtu,
        overlay,
        internal,
        uplink,
        isolated_ports: request.isolated_ports,
        cut_through: request.cut_through,
        reachable_from: reachable_from(inner, &request.reachable_from)?,
        host_config: HostConfig { dhcp: request.dhcp, ra: request.ra },
        labels: request.labels,
        host_settings: host_settings(&request.settings),
        port_settings: request.settings,
        ..first
    };
    set_gateways(&mut spec, &request.gateways)?;
    set_ranges(&mut spec, &request.ip_ranges)?;
    overlay::check_host_addresses(&spec)?;
    Ok(spec)
}

fn checked_mtu(mtu: u32) -> Result<u32, NetworkError> {
    Ok(mtu.to_string().parse::<Mtu>().map_err(NetworkError::Value)?.get())
}

/// The host's port belongs to the VLAN of the containers, which reach their gateway there.
fn host_settings(of_ports: &SettingsChange) -> PortSettings {
    match &of_ports.vlan {
        Some(vlan @ VlanMode::Access(_)) => {
            PortSettings { vlan: vlan.clone(), ..PortSettings::of_host() }
        }
        _ => PortSettings::of_host(),
    }
}

fn check_labels(request: &NetworkRequest) -> Result<(), ControlError> {
    let bytes: usize = request.labels.iter().map(|(key, text)| key.len() + text.len()).sum();
    if request.labels.len() > LABELS_MAX || bytes > LABELS_BYTES_MAX {
        return Err(ControlError::LabelsMax(request.name.clone()));
    }
    Ok(())
}

/// Networks that may open connections to the new one: addresses must tell them apart.
fn reachable_from(inner: &Inner, names: &[String]) -> Result<BTreeSet<NetworkName>, ControlError> {
    if names.len() > REACHABLE_FROM_MAX {
        return Err(NetworkError::ReachableFromMax.into());
    }
    let model = inner.model();
    let named = names.iter().map(|name| {
        let spec = &model.network(Some(name))?.spec;
        match spec.device {
            Some(_) => Ok(spec.name.clone()),
            None => Err(NetworkError::Overlaps(name.clone()).into()),
        }
    });
    named.collect()
}

/// Whether the network is to be internal, and its egress: none, or that of the switch.
fn uplink(request: &NetworkRequest, first: &NetworkSpec) -> Result<(bool, Uplink), NetworkError> {
    let requested = request.uplink.as_deref().map(str::parse).transpose();
    let requested: Option<Uplink> = requested.map_err(NetworkError::Value)?;
    match requested {
        _ if request.internal => Ok((true, Uplink::None)),
        Some(Uplink::None) => Ok((true, Uplink::None)),
        None => Ok((false, first.uplink.clone())),
        Some(uplink) if uplink == first.uplink => Ok((false, uplink)),
        Some(uplink) => Err(NetworkError::OtherUplink {
            asked: uplink.to_string(),
            has: first.uplink.to_string(),
        }),
    }
}

/// At most one subnet of each family.
fn requested_subnets(
    subnets: &[IpNet],
) -> Result<(Option<Subnet4>, Option<Subnet6>), NetworkError> {
    let (mut v4, mut v6) = (None, None);
    for subnet in subnets {
        let text = subnet.to_string();
        let is_second = match subnet {
            IpNet::V4(_) => v4.replace(text.parse().map_err(NetworkError::Value)?).is_some(),
            IpNet::V6(_) => v6.replace(text.parse().map_err(NetworkError::Value)?).is_some(),
        };
        if is_second {
            return Err(NetworkError::SecondSubnet(*subnet));
        }
    }
    Ok((v4, v6))
}

/// `br-NAME`, or `br-` and a hash of a name that is too long for a device.
fn default_device(name: &Name) -> IfName {
    let short = format!("{DEVICE_PREFIX}{name}").parse();
    let hashed =
        || format!("{DEVICE_PREFIX}{:012x}", hash(name.as_str()) >> 16).parse().unwrap_or_default();
    short.unwrap_or_else(|_| hashed())
}

fn set_gateways(spec: &mut NetworkSpec, gateways: &[IpAddr]) -> Result<(), NetworkError> {
    for (at, &gateway) in gateways.iter().enumerate() {
        if gateways[..at].iter().any(|other| other.is_ipv4() == gateway.is_ipv4()) {
            return Err(NetworkError::SecondGateway(gateway));
        }
        let (subnet, is_host) = match gateway {
            IpAddr::V4(address) => {
                let net = spec.subnet.net();
                let ends = [net.network(), net.broadcast()];
                (IpNet::V4(net), net.contains(&address) && !ends.contains(&address))
            }
            IpAddr::V6(address) => {
                let net = spec.subnet6.net();
                (IpNet::V6(net), net.contains(&address) && address != net.network())
            }
        };
        if !is_host {
            return Err(NetworkError::GatewayOutside { gateway, subnet });
        }
        match gateway {
            IpAddr::V4(address) => spec.gateway = address,
            IpAddr::V6(address) => spec.gateway6 = address,
        }
    }
    Ok(())
}

/// The gateways are set.
fn set_ranges(spec: &mut NetworkSpec, ranges: &[IpNet]) -> Result<(), NetworkError> {
    for &range in ranges {
        let (subnet, is_second) = match range {
            IpNet::V4(_) => (IpNet::V4(spec.subnet.net()), spec.range.is_some()),
            IpNet::V6(_) => (IpNet::V6(spec.subnet6.net()), spec.range6.is_some()),
        };
        if is_second {
            return Err(NetworkError::SecondRange(range));
        }
        if !subnet.contains(&range) {
            return Err(NetworkError::RangeOutside { range, subnet });
        }
        let is_empty = match range {
            IpNet::V4(range) => {
                spec.range = Some(range);
                Pool::v4(spec.subnet, spec.gateway, spec.range).is_empty()
            }
            IpNet::V6(range) => {
                spec.range6 = Some(range);
                Pool::v6(spec.subnet6, spec.gateway6, spec.range6).is_empty()
            }
        };
        if is_empty {
            return Err(NetworkError::RangeEmpty(range));
        }
    }
    Ok(())
}
