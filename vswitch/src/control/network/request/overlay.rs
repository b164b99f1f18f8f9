//! The part of a new network that spans nodes.

use std::net::IpAddr;

use vswitch_api::network::NetworkRequest;
use wire::vxlan::Vni;

use super::checked_mtu;
use crate::config::{Mtu, Subnet6};
use crate::control::OverlayError;
use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::model::{NetworkSpec, OverlaySpec, local_mac};
use crate::control::random::random;

/// The upper bits of the global ID (RFC 4193) of the IPv6 subnet that an overlay network has by itself, "vx"; the lower 24
/// bits are the VNI.
const GLOBAL_ID_PREFIX: u64 = 0x7678 << 24;

/// The overlay of a request; none for a local network.
pub(super) fn spec(
    inner: &Inner,
    request: &NetworkRequest,
) -> Result<Option<OverlaySpec>, ControlError> {
    let Some(overlay) = &request.overlay else { return Ok(None) };
    inner.model().underlay(&request.name)?;
    let number = overlay.vni.ok_or_else(|| OverlayError::VniMissing(request.name.clone()))?;
    let vni = Vni::new(number).ok().filter(|vni| vni.get() > 0);
    let spec = OverlaySpec {
        vni: vni.ok_or(OverlayError::Vni(number))?,
        host_mac: local_mac(random()?),
        host_addresses: overlay.host_addresses.clone(),
        mtu: request.mtu.map(checked_mtu).transpose()?,
        peers: std::collections::BTreeSet::new(),
        registered: None,
    };
    inner.model().check_vni(&spec)?;
    Ok(Some(spec))
}

/// The MTU that the underlay leaves, or the requested one.
pub(super) fn mtu(inner: &Inner, overlay: &OverlaySpec) -> Result<u32, OverlayError> {
    let model = inner.model();
    let tunnel = model.underlay("the network")?;
    let (left, device) = (tunnel.mtu(), tunnel.device_name());
    match overlay.mtu {
        _ if left < Mtu::MIN.get() => Err(OverlayError::MtuMin {
            device,
            device_mtu: tunnel.device_mtu,
            left,
            least: Mtu::MIN.get(),
        }),
        Some(mtu) if mtu > left => Err(OverlayError::MtuMax { mtu, device, most: left }),
        _ => Ok(overlay.mtu_within(left)),
    }
}

/// The IPv6 subnet of a network that names none: the same on all nodes.
pub(super) fn subnet6(vni: Vni) -> Subnet6 {
    Subnet6::unique_local(GLOBAL_ID_PREFIX | u64::from(vni.get()))
}

/// Refuses addresses of the host that it cannot have.
pub(super) fn check_host_addresses(spec: &NetworkSpec) -> Result<(), OverlayError> {
    let own = spec.host_addresses();
    for (at, &address) in own.iter().enumerate() {
        if !spec.subnets().iter().any(|subnet| subnet.contains(&address)) {
            return Err(OverlayError::HostAddress(address));
        }
        if own[..at].iter().any(|other: &IpAddr| other.is_ipv4() == address.is_ipv4()) {
            return Err(OverlayError::SecondHostAddress(address));
        }
        if spec.device.is_none() {
            return Err(OverlayError::NoHostPort(address));
        }
    }
    Ok(())
}
