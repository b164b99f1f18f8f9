//! CHECK: whether a container's network is as ADD left it. STATUS: whether ADD would work.
//!
//! The switch knows the attachment, the namespace the interface. Routes are asked of the kernel by a socket that
//! sends nothing, so that a later plugin of the chain may keep them in tables of its own.

mod inside;

use vswitch_api::port::{Port, PortState};

use crate::config::Config;
use crate::environment::{Attachment, Read};
use crate::error::{CniError, Code, Outcome, is_not_found};
use crate::ipam::Ipam;
use crate::result::{CniResult, Ip};
use crate::switch::Switch;
use crate::version::Version;

/// CHECK.
pub(crate) fn check(config: &Config, attachment: &Attachment, read: Read<'_>) -> Outcome {
    config.version.needs(Version::V0_4_0, "CHECK")?;
    let Some(previous) = config.previous.clone() else {
        return Err(CniError::invalid("prevResult", "is absent, and CHECK needs it"));
    };
    let result = CniResult::read(previous, "prevResult")?;
    let netns = attachment.netns()?;
    if !attachment.has_netns() {
        let fault = format!("CNI_NETNS {}: the network namespace is gone", netns.display());
        return Err(CniError::new(Code::UnknownContainer, fault));
    }
    let sandbox = netns.display().to_string();
    let ifname = &attachment.ifname;
    let (index, interface) = result
        .interface(ifname, &sandbox)
        .ok_or_else(|| CniError::invalid("prevResult", format!("has no {ifname} in {sandbox}")))?;
    let ips: Vec<&Ip> = result.ips.iter().filter(|ip| ip.interface == Some(index)).collect();
    let switch = Switch::new(config, read)?;
    let ports = switch.find(config, attachment)?;
    let port = ports.first().ok_or_else(|| {
        let id = &attachment.container_id;
        changed(format!("the switch has no {ifname} of container {id} on network {}", config.name))
    })?;
    check_port(port, &ips)?;
    inside::check(netns, interface, &ips, &result.routes)?;
    match Ipam::of(config, read)? {
        Some(ipam) => ipam.call("CHECK"),
        None => Ok(()),
    }
}

fn check_port(port: &Port, ips: &[&Ip]) -> Outcome {
    if port.state != PortState::Up {
        return Err(changed(format!("port {} of the switch is {}", port.name, port.state))
            .with_remedy(format!("see `vswitch inspect {}`", port.name)));
    }
    let has = |ip: &&&Ip| match ip.address.addr() {
        std::net::IpAddr::V4(address) => port.ipv4.contains(&address),
        std::net::IpAddr::V6(address) => port.ipv6.contains(&address),
    };
    match ips.iter().find(|ip| !has(ip)) {
        None => Ok(()),
        Some(ip) => Err(changed(format!(
            "port {} of the switch has no address {}",
            port.name,
            ip.address.addr()
        ))),
    }
}

fn changed(fault: String) -> CniError {
    CniError::new(Code::Changed, fault).with_remedy("call DEL, then ADD")
}

/// STATUS: an error unless the switch answers and has the network, or may create it.
pub(crate) fn status(config: &Config, read: Read<'_>) -> Outcome {
    config.version.needs(Version::V1_1_0, "STATUS")?;
    let settings = config.settings()?;
    let switch = Switch::new(config, read)?;
    // Without the switch, attached containers reach nobody.
    let limited = |error: CniError| match error.code {
        Code::TryAgainLater => CniError { code: Code::LimitedConnectivity, ..error },
        _ => CniError { code: Code::NotAvailable, ..error },
    };
    match switch.is_internal(settings.network.as_deref()) {
        Ok(_) => {}
        Err(error) if is_not_found(&error) && settings.create.is_some() => {}
        Err(error) if is_not_found(&error) => {
            let name = settings.network.unwrap_or_default();
            let fault = format!("there is no network named {name}");
            return Err(CniError::new(Code::NotAvailable, fault)
                .with_remedy(format!("create it: vswitch network create {name}")));
        }
        Err(error) => return Err(limited(error.into())),
    }
    match Ipam::of(config, read)? {
        Some(ipam) => ipam.call("STATUS"),
        None => Ok(()),
    }
}
