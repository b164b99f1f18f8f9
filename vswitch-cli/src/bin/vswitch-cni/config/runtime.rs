//! `runtimeConfig`, which a runtime fills by the `capabilities` of the configuration, and `args`.

mod ports;

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value;
use vswitch_api::MacAddr;
use vswitch_api::port_settings::SettingsChange;
use vswitch_api::port_settings::limits::{BitRate, Ceiling};
use vswitch_api::publish::Publication;

use super::{Dns, Fields};
use crate::error::{CniError, Code, Outcome};

/// Capabilities of the plugin.
const CAPABILITIES: [&str; 6] = ["portMappings", "ips", "mac", "bandwidth", "dns", "aliases"];

/// The one of an IPAM plugin.
const IP_RANGES: &str = "ipRanges";

/// What a runtime wants for one container.
#[derive(Debug, Default)]
pub(crate) struct Runtime {
    pub(crate) publish: Vec<Publication>,
    /// Fixed addresses.
    pub(crate) ips: Vec<IpAddr>,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) settings: SettingsChange,
    pub(crate) dns: Dns,
    pub(crate) aliases: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
}

impl Runtime {
    /// `network` is the name of the network in the configuration.
    pub(super) fn read(config: &mut Fields, network: &str, is_delegated: bool) -> Outcome<Self> {
        check_capabilities(config, is_delegated)?;
        let (arguments, labels) = arguments(config)?;
        let mut runtime = Self { ips: arguments, labels, ..Self::default() };
        let Some(mut fields) = config.take_object("runtimeConfig")? else { return Ok(runtime) };
        runtime.publish = ports::read(&mut fields)?;
        let ips: Vec<String> = fields.take("ips")?.unwrap_or_default();
        if !ips.is_empty() {
            runtime.ips = addresses(&fields.name_of("ips"), &ips)?;
        }
        // An empty one is none.
        let mac: Option<String> = fields.take("mac")?;
        let mac = mac.filter(|mac| !mac.is_empty()).map(|mac| {
            let name = fields.name_of("mac");
            mac.parse().map_err(|_| CniError::invalid(&name, format!("{mac:?} is no MAC address")))
        });
        runtime.mac = mac.transpose()?;
        if let Some(bandwidth) = fields.take_object("bandwidth")? {
            runtime.settings = rates(bandwidth)?;
        }
        if let Some(mut dns) = fields.take_object("dns")? {
            runtime.dns = Dns {
                nameservers: dns.take("servers")?.unwrap_or_default(),
                domain: None,
                search: dns.take("searches")?.unwrap_or_default(),
                options: dns.take("options")?.unwrap_or_default(),
            };
            dns.finish("known are servers, searches and options")?;
        }
        runtime.aliases = aliases(&mut fields, network)?;
        if is_delegated {
            fields.skip(&[IP_RANGES]);
        }
        fields.finish(&known(is_delegated))?;
        Ok(runtime)
    }
}

fn known(is_delegated: bool) -> String {
    let own = CAPABILITIES.join(", ");
    if is_delegated {
        format!("known are {own}, and {IP_RANGES} for the IPAM plugin")
    } else {
        format!("known are {own}")
    }
}

/// Refuses a claim that nobody would meet.
fn check_capabilities(config: &mut Fields, is_delegated: bool) -> Outcome {
    let Some(mut fields) = config.take_object("capabilities")? else { return Ok(()) };
    fields.skip(&CAPABILITIES);
    if is_delegated {
        fields.skip(&[IP_RANGES]);
    }
    let mut claimed = fields.rest().filter(|(_, value)| *value != Value::Bool(false));
    let Some((name, value)) = claimed.next() else { return Ok(()) };
    let fault = format!("unsupported field {name}: {value}");
    Err(CniError::new(Code::UnsupportedField, fault).with_remedy(known(is_delegated)))
}

/// `args.cni`: addresses and labels. All else in `args` may be anything.
fn arguments(config: &mut Fields) -> Outcome<(Vec<IpAddr>, BTreeMap<String, String>)> {
    let Some(mut args) = config.take_object("args")? else { return Ok(Default::default()) };
    let Some(mut fields) = args.take_object("cni")? else { return Ok(Default::default()) };
    let ips: Vec<String> = fields.take("ips")?.unwrap_or_default();
    let ips = addresses(&fields.name_of("ips"), &ips)?;
    let mut labels = BTreeMap::new();
    for mut label in fields.take_list("labels")?.unwrap_or_default() {
        labels.insert(label.need("key")?, label.need("value")?);
    }
    Ok((ips, labels))
}

/// Addresses; a prefix length behind one is left out, since the network has it.
fn addresses(name: &str, texts: &[String]) -> Outcome<Vec<IpAddr>> {
    let read = |text: &String| {
        let address = text.split_once('/').map_or(text.as_str(), |(address, _)| address);
        address.parse().map_err(|_| CniError::invalid(name, format!("{text:?} is no address")))
    };
    texts.iter().map(read).collect()
}

/// Rates in bits a second, in the container's directions. A burst is accepted: the switch has its own.
fn rates(mut fields: Fields) -> Outcome<SettingsChange> {
    let mut change = SettingsChange::default();
    for (name, limit) in
        [("ingressRate", &mut change.limits.rate_out), ("egressRate", &mut change.limits.rate_in)]
    {
        let rate: u64 = fields.take(name)?.unwrap_or_default();
        if rate > 0 {
            let rate = BitRate::try_from(rate);
            let rate = rate.map_err(|error| CniError::invalid(&fields.name_of(name), error))?;
            *limit = Some(Ceiling::At(rate));
        }
    }
    fields.skip(&["ingressBurst", "egressBurst"]);
    fields.finish("known are ingressRate, egressRate and their bursts")?;
    Ok(change)
}

/// A list of names, or, as podman sends it, one for each network.
fn aliases(fields: &mut Fields, network: &str) -> Outcome<Vec<String>> {
    let name = fields.name_of("aliases");
    match fields.take::<Value>("aliases")? {
        None => Ok(Vec::new()),
        Some(Value::Object(mut map)) => match map.remove(network) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(list) => read_names(&format!("{name}.{network}"), list),
        },
        Some(list) => read_names(&name, list),
    }
}

fn read_names(name: &str, list: Value) -> Outcome<Vec<String>> {
    let shown = list.to_string();
    serde_json::from_value(list)
        .map_err(|_| CniError::invalid(name, format!("{shown} is no list of names")))
}
