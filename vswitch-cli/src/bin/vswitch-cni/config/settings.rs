//! Fields that ADD needs.

use vswitch_api::address::Family;
use vswitch_api::network::NetworkRequest;

use super::{Dns, Fields, Runtime};
use crate::error::{CniError, Outcome};

/// Fields that the specification, or a runtime, puts into any configuration.
const STANDARD: [&str; 8] = [
    "type",
    "capabilities",
    "args",
    "runtimeConfig",
    "ipMasq",
    "disableCheck",
    "disableGC",
    "cniVersions",
];

/// For an unknown field.
const KNOWN: &str = "known are network, create, family, socket, ipam, dns and the standard ones";

/// For an unknown field of `create`.
const KNOWN_CREATE: &str = "known are subnets, gateways, ipRanges, mtu, internal, isolatedPorts, \
    cutThrough, reachableFrom, uplink and device";

/// The settings of an attachment.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// Name of the switch's network; its first one, if absent.
    pub(crate) network: Option<String>,
    /// Creates the network where it is absent.
    pub(crate) create: Option<NetworkRequest>,
    /// Only addresses of this family, where the switch gives them.
    pub(crate) family: Option<Family>,
    /// `ipMasq`, which is `false` on internal networks only.
    pub(crate) masquerades: bool,
    pub(crate) dns: Dns,
    /// What the runtime wants for this container.
    pub(crate) runtime: Runtime,
}

impl Settings {
    /// `name` is that of the network in the configuration.
    pub(super) fn read(mut fields: Fields, name: &str, is_delegated: bool) -> Outcome<Self> {
        let network: Option<String> = fields.take("network")?;
        let create = fields.take_object("create")?;
        let create = create.map(|create| creation(create, network.as_deref())).transpose()?;
        let family: Option<Family> = fields.take("family")?;
        if family.is_some() && is_delegated {
            return Err(CniError::invalid("family", "the IPAM plugin chooses it"));
        }
        let dns = fields.take_object("dns")?.map(dns).transpose()?.unwrap_or_default();
        let masquerades = fields.take("ipMasq")?.unwrap_or(true);
        let runtime = Runtime::read(&mut fields, name, is_delegated)?;
        fields.skip(&STANDARD);
        fields.skip_prefix("cni.dev/");
        fields.finish(KNOWN)?;
        Ok(Self { network, create, family, masquerades, dns, runtime })
    }
}

/// Reads `dns`.
fn dns(mut fields: Fields) -> Outcome<Dns> {
    let dns = Dns {
        nameservers: fields.take("nameservers")?.unwrap_or_default(),
        domain: fields.take("domain")?,
        search: fields.take("search")?.unwrap_or_default(),
        options: fields.take("options")?.unwrap_or_default(),
    };
    fields.finish("known are nameservers, domain, search and options")?;
    Ok(dns)
}

/// Reads `create`.
fn creation(mut fields: Fields, network: Option<&str>) -> Outcome<NetworkRequest> {
    let Some(name) = network else {
        return Err(CniError::invalid("create", "needs a name in network"));
    };
    let request = NetworkRequest {
        name: name.to_owned(),
        subnets: fields.take("subnets")?.unwrap_or_default(),
        gateways: fields.take("gateways")?.unwrap_or_default(),
        ip_ranges: fields.take("ipRanges")?.unwrap_or_default(),
        mtu: fields.take("mtu")?,
        internal: fields.take("internal")?.unwrap_or_default(),
        isolated_ports: fields.take("isolatedPorts")?.unwrap_or_default(),
        cut_through: fields.take("cutThrough")?,
        reachable_from: fields.take("reachableFrom")?.unwrap_or_default(),
        uplink: fields.take("uplink")?,
        device: fields.take("device")?,
        ..NetworkRequest::default()
    };
    fields.finish(KNOWN_CREATE)?;
    Ok(request)
}
