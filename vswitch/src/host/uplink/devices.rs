//! Choice of the uplink devices, from the kernel's list of links. Pure.
//!
//! `auto` takes a device that carries Ethernet frames, has an address or a route, and is
//!
//! - a NIC (a link without a kind), a bond, a team, a VLAN or a veth;
//! - a bridge with a NIC, a bond, a team or a VLAN as member;
//! - any other device by which a gateway route leads.
//!
//! It takes no member of a bridge, bond or team, since its master is taken; no device of the switch itself or of
//! another one; and none that container runtimes make ([`FOREIGN`]). Devices by name are taken whatever their kind,
//! if they can carry Ethernet frames and are no members. `exclude` leaves out devices of both.
//!
//! What is not taken, although the host leaves by it, it carries no Ethernet frames, or the user named it, is in
//! [`Selection::hints`].

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType, LinkMessage,
};
use wire::MacAddr;

use crate::config::Glob;
use crate::datapath::limits::UPLINKS_MAX;

/// Devices of container runtimes and hypervisors, which `auto` leaves out.
const FOREIGN: [&str; 7] = ["docker*", "br-*", "virbr*", "cni*", "cali*", "lxc*", "flannel*"];

/// Which devices are uplinks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct UplinkSelector {
    /// Devices by name; none for `auto`.
    pub(crate) named: Vec<String>,
    /// Devices that are left out.
    pub(crate) exclude: Vec<Glob>,
}

/// The devices of the host that are uplinks now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Selection {
    /// Their names, in order of precedence: those with a default route first.
    pub(super) devices: Vec<String>,
    /// Devices that are none, with the reason and the way out.
    pub(super) hints: Vec<String>,
}

/// Identity of an uplink's TAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TapId {
    pub(crate) name: String,
    pub(crate) ifindex: u32,
    pub(crate) mac: MacAddr,
}

/// How the host uses its devices, by index.
#[derive(Debug, Clone, Default)]
pub(super) struct DeviceUse {
    /// Devices of gateway routes, with the lowest metric of a default route, or none.
    pub(super) gateways: BTreeMap<u32, Option<u32>>,
    /// Devices with an address, or a route.
    pub(super) configured: BTreeSet<u32>,
    /// Uplinks of before, which stay: a device that goes down loses its routes.
    pub(super) former: BTreeSet<u32>,
}

/// What is known of a link.
struct Device<'a> {
    name: &'a str,
    index: u32,
    kind: Option<&'a InfoKind>,
    controller: Option<u32>,
    is_ethernet: bool,
    is_loopback: bool,
}

/// The name of a link.
pub(super) fn name_of(link: &LinkMessage) -> &str {
    let mut names = link.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.as_str()),
        _ => None,
    });
    names.next().unwrap_or_default()
}

/// Whether a link carries Ethernet frames of the outside world.
pub(super) fn is_ethernet(link: &LinkMessage) -> bool {
    link.header.link_layer_type == LinkLayerType::Ether
        && !link.header.flags.contains(LinkFlags::Loopback)
}

impl<'a> Device<'a> {
    fn new(link: &'a LinkMessage) -> Self {
        let mut device = Self {
            name: name_of(link),
            index: link.header.index,
            kind: None,
            controller: None,
            is_ethernet: is_ethernet(link),
            is_loopback: link.header.flags.contains(LinkFlags::Loopback),
        };
        for attribute in &link.attributes {
            match attribute {
                LinkAttribute::Controller(index) => device.controller = Some(*index),
                LinkAttribute::LinkInfo(infos) => {
                    device.kind = infos.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        device
    }

    /// A NIC, or what stands for one or several.
    fn is_physical(&self) -> bool {
        self.is_ethernet
            && match self.kind {
                None | Some(InfoKind::Bond | InfoKind::Vlan) => true,
                Some(InfoKind::Other(kind)) => kind == "team",
                Some(_) => false,
            }
    }
}

/// Chooses the devices. `own`: those of the switch itself.
pub(super) fn select(
    links: &[LinkMessage],
    used: &DeviceUse,
    selector: &UplinkSelector,
    own: &[String],
) -> Selection {
    let devices: Vec<_> = links.iter().map(Device::new).collect();
    let mut selection = Selection::default();
    let mut chosen: Vec<&Device<'_>> = Vec::new();
    let is_excluded = |name: &str| selector.exclude.iter().any(|glob| glob.matches(name));
    for device in &devices {
        let is_named = selector.named.iter().any(|name| name == device.name);
        let (is_candidate, is_wished) = match selector.named.is_empty() {
            false => (is_named, is_named),
            true => {
                let is_gateway = used.gateways.contains_key(&device.index);
                let is_configured = used.configured.contains(&device.index);
                let is_kind = is_configured && is_automatic(device, &devices);
                let is_tunnel = is_configured && !device.is_ethernet && !device.is_loopback;
                let is_asked_for = is_gateway || is_tunnel && !is_excluded(device.name);
                (is_asked_for || is_kind || used.former.contains(&device.index), is_asked_for)
            }
        };
        if !is_candidate || own.iter().any(|own| own == device.name) {
            continue;
        }
        match obstacle(device, &devices, is_named, is_excluded(device.name)) {
            None => chosen.push(device),
            Some(hint) if is_wished => selection.hints.push(hint),
            Some(_) => {}
        }
    }
    let at = |name: &str| selector.named.iter().position(|named| named == name);
    chosen.sort_by_key(|device| {
        let default = used.gateways.get(&device.index).copied();
        let has_none = default.flatten().is_none();
        (at(device.name), has_none, default.flatten(), default.is_none(), device.index)
    });
    if let Some(left) = chosen.get(UPLINKS_MAX..).filter(|left| !left.is_empty()) {
        let names: Vec<_> = left.iter().map(|device| device.name).collect();
        selection.hints.push(format!(
            "more than {UPLINKS_MAX} devices could be uplinks; left out: {} (name those you want with --uplink)",
            names.join(", ")
        ));
        chosen.truncate(UPLINKS_MAX);
    }
    selection.devices = chosen.into_iter().map(|device| device.name.to_owned()).collect();
    selection
}

/// Whether `auto` takes a device of its kind that no gateway route leads by.
fn is_automatic(device: &Device<'_>, devices: &[Device<'_>]) -> bool {
    let has_nic =
        || devices.iter().any(|it| it.controller == Some(device.index) && it.is_physical());
    match device.kind {
        Some(InfoKind::Veth) => true,
        Some(InfoKind::Bridge) => has_nic(),
        _ => device.is_physical(),
    }
}

/// Why a device cannot be an uplink, and the way out.
fn obstacle(
    device: &Device<'_>,
    devices: &[Device<'_>],
    is_named: bool,
    is_excluded: bool,
) -> Option<String> {
    let name = device.name;
    if is_excluded {
        return Some(format!("{name} is left out by --uplink-exclude"));
    }
    if !device.is_ethernet {
        return Some(format!(
            "{name} is no Ethernet device: what leaves by it needs --uplink kernel"
        ));
    }
    let controller =
        device.controller.and_then(|it| devices.iter().find(|other| other.index == it));
    if let Some(controller) = controller {
        let master = controller.name;
        let is_vrf = controller.kind == Some(&InfoKind::Vrf);
        return match is_vrf {
            true if is_named => None,
            true => Some(format!("{name} is in VRF {master}: name it with --uplink {name}")),
            false => Some(format!("{name} is a member of {master}: use --uplink {master}")),
        };
    }
    if is_named {
        return None;
    }
    let is_foreign = FOREIGN.iter().any(|glob| Glob::new(glob).matches(name));
    is_foreign.then(|| format!("{name} is no device that auto takes: --uplink {name}"))
}

#[cfg(test)]
mod tests;
