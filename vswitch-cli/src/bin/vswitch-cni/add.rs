//! ADD: attaches a container.
//!
//! One request to the switch in the usual case. Others follow only where it fails: the network is absent and the
//! configuration says how to create it, or the pod's name is taken. Behind another plugin of a chain, the
//! interface is one more of its result; a plugin that made an interface of the same name leaves no room for ours.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use serde_json::Value;
use vswitch_api::MacAddr;
use vswitch_api::address::Family;
use vswitch_api::port::{AttachRequest, Configure, NetnsRef, PortDetail};
use vswitch_client::ClientError;

use crate::arguments::Arguments;
use crate::config::{Config, Runtime, Settings};
use crate::environment::{Attachment, Read};
use crate::error::{CniError, Code, Outcome, is_conflict, is_not_found, is_uncertain};
use crate::ipam::{Given, Ipam};
use crate::names;
use crate::result::CniResult;
use crate::switch::{Switch, labels};

/// Labels of a pod, as containerd and the kubelet write them.
const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";

/// Attaches, and gives the result.
pub(crate) fn run(config: &Config, attachment: &Attachment, read: Read<'_>) -> Outcome<Value> {
    let settings = config.settings()?;
    let arguments = Arguments::parse(&read("CNI_ARGS").unwrap_or_default())?;
    let netns = attachment.netns()?;
    let sandbox = netns.display().to_string();
    let before = before(config, attachment, &sandbox)?;
    check_netns(netns)?;
    let switch = Switch::new(config, read)?;
    let ipam = Ipam::of(config, read)?;
    let change = Attach { config, attachment, settings: &settings, arguments: &arguments };
    change.check_masquerade(&switch)?;
    let mut dns = settings.runtime.dns.clone().or(settings.dns.clone());
    let port = match &ipam {
        None => change.attach(&switch, netns, None)?,
        Some(ipam) => {
            // Its addresses must not be given back when an earlier ADD has them.
            change.check_absent(&switch)?;
            let given = ipam.add()?;
            dns = dns.or(given.dns.clone());
            let attached = change.attach(&switch, netns, Some(given.clone())).and_then(|port| {
                let checked = ipam.check_gateways(&given, &port.gateways);
                checked.inspect_err(|_| drop(switch.detach(&port.port)))?;
                Ok(port)
            });
            attached.map_err(|error| match change.check_absent(&switch) {
                // Else DEL gives them back.
                Ok(()) => ipam.release_after(error),
                Err(_) => error,
            })?
        }
    };
    Ok(CniResult::of(&port, &sandbox, dns, before).json(config.version))
}

/// The result of the plugin before, which has no interface of our name.
fn before(config: &Config, attachment: &Attachment, sandbox: &str) -> Outcome<CniResult> {
    let Some(previous) = config.previous.clone() else { return Ok(CniResult::default()) };
    let before = CniResult::read(previous, "prevResult")?;
    let ifname = &attachment.ifname;
    if before.interface(ifname, sandbox).is_none() {
        return Ok(before);
    }
    let fault = format!("prevResult: a plugin before made the interface {ifname} already");
    let error = CniError::new(Code::InvalidConfig, fault);
    Err(error
        .with_remedy("vswitch-cni makes the interface: put it first, in place of bridge or ptp"))
}

fn check_netns(netns: &Path) -> Outcome {
    if netns.exists() {
        return Ok(());
    }
    let fault = format!("CNI_NETNS {}: the network namespace is gone", netns.display());
    Err(CniError::new(Code::UnknownContainer, fault))
}

/// An attach, with what it is made of.
struct Attach<'a> {
    config: &'a Config,
    attachment: &'a Attachment,
    settings: &'a Settings,
    arguments: &'a Arguments,
}

impl Attach<'_> {
    fn attach(&self, switch: &Switch, netns: &Path, given: Option<Given>) -> Outcome<PortDetail> {
        let mut request = self.request(netns, given)?;
        let mut names = names::candidates(self.attachment, self.arguments).into_iter().peekable();
        let mut is_created = self.settings.create.is_none();
        let mut may_drop_ports = !request.publish.is_empty();
        let mut refused = None;
        let mut is_first_conflict = true;
        while let Some(name) = names.peek() {
            let asked = &self.settings.runtime.aliases;
            request.aliases = names::aliases(name, self.arguments, asked);
            request.name.clone_from(name);
            match switch.wait(switch.client.attach(&request)) {
                Ok(port) => return Ok(port),
                Err(error) if is_not_found(&error) && !is_created => {
                    is_created = true;
                    self.create(switch)?;
                }
                Err(error) if is_conflict(&error) => {
                    // Under another name, a second ADD would have all that it asks for.
                    if std::mem::take(&mut is_first_conflict) {
                        self.check_absent(switch)?;
                    }
                    let is_less = may_drop_ports && self.drop_ports(switch, &mut request)?;
                    may_drop_ports = false;
                    if !is_less {
                        names.next();
                        refused.get_or_insert(error);
                    }
                }
                Err(error) => {
                    if is_uncertain(&error) {
                        // Where this fails, too, the runtime's DEL does it.
                        let _ = switch.detach_all(self.config, self.attachment);
                    }
                    return Err(self.explain(error, netns));
                }
            }
        }
        // None of the names helped, so it was not the name: the first error says what it was.
        Self::refuse(refused)
    }

    /// Runtimes pass the ports of a container to each of its networks. Leaves those out that another network of the
    /// container has published, and all of them on an internal network; says whether there were any.
    fn drop_ports(&self, switch: &Switch, request: &mut AttachRequest) -> Outcome<bool> {
        let before = request.publish.len();
        if switch.is_internal(self.settings.network.as_deref())? {
            request.publish.clear();
        }
        let others = switch.of_container(&self.attachment.container_id)?;
        request.publish.retain(|one| !others.iter().any(|port| port.publish.contains(&one.ports)));
        Ok(request.publish.len() < before)
    }

    /// Refuses `ipMasq: false` where the switch translates: on all networks but internal ones.
    fn check_masquerade(&self, switch: &Switch) -> Outcome {
        let is_created = self.settings.create.as_ref().is_some_and(|create| create.internal);
        if self.settings.masquerades || is_created {
            return Ok(());
        }
        match switch.is_internal(self.settings.network.as_deref()) {
            Ok(true) => Ok(()),
            // The attach says that there is none.
            Err(error) if is_not_found(&error) && self.settings.create.is_none() => Ok(()),
            Err(error) if !is_not_found(&error) => Err(error.into()),
            _ => {
                let fault = "false: the switch translates to the host's address";
                let error = CniError::invalid("ipMasq", fault);
                Err(error.with_remedy("leave it out, or keep the network internal"))
            }
        }
    }

    /// Refuses a second ADD.
    fn check_absent(&self, switch: &Switch) -> Outcome {
        let Attachment { container_id, ifname, .. } = self.attachment;
        match switch.find(self.config, self.attachment)?.first() {
            None => Ok(()),
            Some(port) => {
                let name = &port.name;
                let fault =
                    format!("container {container_id} is attached already, by {ifname} as {name}");
                let error = CniError::new(Code::Refused, fault);
                Err(error.with_remedy("call DEL before another ADD"))
            }
        }
    }

    fn refuse(refused: Option<ClientError>) -> Outcome<PortDetail> {
        Err(match refused {
            Some(error) => error.into(),
            None => {
                let fault = "CNI_CONTAINERID is longer than 128 characters";
                CniError::new(Code::InvalidEnvironment, fault)
            }
        })
    }

    /// Creates the network; another ADD may have been faster.
    fn create(&self, switch: &Switch) -> Outcome {
        let Some(request) = &self.settings.create else { return Ok(()) };
        let Err(error) = switch.wait(switch.client.create_network(request)) else { return Ok(()) };
        // Its subnets may be those that the refusal is about.
        let networks = switch.wait(switch.client.networks())?;
        let is_there = networks.iter().any(|network| network.name == request.name);
        if is_there { Ok(()) } else { Err(error.into()) }
    }

    /// The error for the runtime: of a namespace that went meanwhile, or of the configuration.
    fn explain(&self, error: ClientError, netns: &Path) -> CniError {
        let is_unknown = is_not_found(&error);
        if let (true, Err(gone)) = (is_unknown, check_netns(netns)) {
            return gone;
        }
        let told = CniError::from(error);
        match (is_unknown, self.settings.network.as_deref()) {
            (true, Some(name)) => told.with_remedy(format!(
                "create it: vswitch network create {name}, or with \"create\": {{}} in the configuration"
            )),
            _ => told,
        }
    }

    fn request(&self, netns: &Path, given: Option<Given>) -> Outcome<AttachRequest> {
        let Runtime { publish, settings, .. } = &self.settings.runtime;
        let Addresses { ipv4, ipv6, further, family } = match given {
            Some(given) => Addresses::of_plugin(given),
            None => Addresses::of_runtime(self.settings, self.arguments),
        };
        Ok(AttachRequest {
            name: String::new(),
            netns: NetnsRef::Path(netns.to_owned()),
            network: self.settings.network.clone(),
            ipv4,
            ipv6,
            further_addresses: further,
            family,
            mac: self.mac(),
            ifname: Some(self.attachment.ifname.clone()),
            configure: Configure::Static,
            gw_priority: 0,
            settings: settings.clone(),
            publish: publish.clone(),
            aliases: Vec::new(),
            labels: self.labels(),
        })
    }

    fn mac(&self) -> Option<MacAddr> {
        self.settings.runtime.mac.or(self.arguments.mac)
    }

    fn labels(&self) -> std::collections::BTreeMap<String, String> {
        let mut all = self.settings.runtime.labels.clone();
        let Arguments { pod, pod_namespace, pod_uid, .. } = self.arguments;
        for (key, value) in [(POD_NAME, pod), (POD_NAMESPACE, pod_namespace), (POD_UID, pod_uid)] {
            if let Some(value) = value {
                all.insert(key.to_owned(), value.clone());
            }
        }
        all.extend(labels(self.config, self.attachment));
        all
    }
}

/// Fixed addresses of a request.
#[derive(Default)]
struct Addresses {
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    further: Vec<IpAddr>,
    family: Option<Family>,
}

impl Addresses {
    /// The plugin's, and no others.
    fn of_plugin(given: Given) -> Self {
        let family = match (given.ipv4, given.ipv6) {
            (Some(_), None) => Some(Family::Ipv4),
            (None, Some(_)) => Some(Family::Ipv6),
            _ => None,
        };
        Self { ipv4: given.ipv4, ipv6: given.ipv6, further: given.further, family }
    }

    /// The runtime's; the switch chooses where there is none.
    fn of_runtime(settings: &Settings, arguments: &Arguments) -> Self {
        let named: Vec<IpAddr> = match &settings.runtime.ips[..] {
            [] => arguments.ip.into_iter().collect(),
            ips => ips.to_vec(),
        };
        let mut addresses = Self { family: settings.family, ..Self::default() };
        for address in named {
            match address {
                IpAddr::V4(address) if addresses.ipv4.is_none() => addresses.ipv4 = Some(address),
                IpAddr::V6(address) if addresses.ipv6.is_none() => addresses.ipv6 = Some(address),
                address => addresses.further.push(address),
            }
        }
        addresses
    }
}
