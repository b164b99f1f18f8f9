//! Options of `run` for names: the host's own, those of others, and the resolver.

use std::net::IpAddr;

use clap::Args;
use vswitch::isolate::{DnsSettings, HOSTNAME_BYTES_MAX, Sandbox, resolv_conf};
use vswitch_api::port::{Port, PortDetail};

use crate::error::{Failure, Outcome};

/// Address of `--add-host` that stands for the gateway, as in Docker.
const HOST_GATEWAY: &str = "host-gateway";

/// A line of `/etc/hosts`.
type HostsEntry = (IpAddr, Vec<String>);

/// Names inside
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Names inside")]
pub(super) struct NameArgs {
    /// Host name [default: the attachment's name]
    #[arg(long, value_name = "NAME", value_parser = hostname)]
    hostname: Option<String>,
    /// A further name in /etc/hosts; host-gateway stands for the host's address
    #[arg(long, value_name = "NAME:IP", value_parser = added_host)]
    add_host: Vec<AddedHost>,
    /// Name server in /etc/resolv.conf [default: as for every container of the network]
    #[arg(long, value_name = "IP")]
    dns: Vec<IpAddr>,
    /// Search domain; `.` for none
    #[arg(long, value_name = "DOMAIN", value_parser = resolver_word)]
    dns_search: Vec<String>,
    /// Option of the resolver, such as ndots:1
    #[arg(long, value_name = "OPTION", value_parser = resolver_word)]
    dns_option: Vec<String>,
}

/// A name of `--add-host`, and its address; none for the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
struct AddedHost {
    name: String,
    address: Option<IpAddr>,
}

impl NameArgs {
    /// True if no option was given.
    pub(super) fn is_empty(&self) -> bool {
        let no_dns =
            self.dns.is_empty() && self.dns_search.is_empty() && self.dns_option.is_empty();
        self.hostname.is_none() && self.add_host.is_empty() && no_dns
    }

    /// Gives a sandbox its names, as the attachment `name`, if it has one.
    pub(super) fn apply(
        self,
        sandbox: &mut Sandbox,
        name: Option<&str>,
        details: &[PortDetail],
    ) -> Outcome<()> {
        let hostname = self.hostname.as_deref().or(name);
        sandbox.set_hosts(&self.hosts(hostname, details)?)?;
        if let Some(hostname) = hostname {
            sandbox.set_hostname(hostname);
        }
        let (servers, search, options) = (self.dns, self.dns_search, self.dns_option);
        let settings = DnsSettings { servers, search, options };
        Ok(sandbox.set_resolv_conf(&resolv_conf(&crate::resolv_conf::text(details), &settings))?)
    }

    /// The lines of `/etc/hosts`.
    fn hosts(&self, hostname: Option<&str>, details: &[PortDetail]) -> Outcome<Vec<HostsEntry>> {
        let mut lines: Vec<HostsEntry> =
            details.iter().flat_map(|detail| own_lines(&detail.port, hostname)).collect();
        if let (true, Some(hostname)) = (details.is_empty(), hostname) {
            // Without an address of its own the name leads to the loopback device.
            lines.push((IpAddr::from([127, 0, 0, 1]), vec![hostname.to_owned()]));
        }
        for host in &self.add_host {
            let gateway = details.first().and_then(|detail| detail.gateways.first().copied());
            let address = host.address.or(gateway).ok_or_else(|| {
                Failure::usage(format!("{HOST_GATEWAY} of {} needs a network", host.name))
            })?;
            lines.push((address, vec![host.name.clone()]));
        }
        Ok(lines)
    }
}

/// A line for each address of an attachment: host name, name, and name with its network.
pub(super) fn own_lines(port: &Port, hostname: Option<&str>) -> Vec<HostsEntry> {
    let mut names = vec![port.name.clone(), format!("{}.{}", port.name, port.network)];
    if let Some(hostname) = hostname.filter(|hostname| *hostname != port.name) {
        names.insert(0, hostname.to_owned());
    }
    let ipv4 = port.ipv4.iter().copied().map(IpAddr::from);
    let ipv6 = port.ipv6.iter().copied().map(IpAddr::from);
    ipv4.chain(ipv6).map(|address| (address, names.clone())).collect()
}

/// A host name (RFC 1123 section 2.1): letters, digits, hyphens and dots.
fn hostname(text: &str) -> Result<String, String> {
    let is_label = |label: &str| {
        let is_known = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && is_known && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() > HOSTNAME_BYTES_MAX {
        return Err(format!("a host name has up to {HOSTNAME_BYTES_MAX} characters"));
    }
    match text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err("a host name has letters, digits, '-' and '.', such as web-1".to_owned()),
    }
}

/// `NAME:IP` or `NAME=IP`.
fn added_host(text: &str) -> Result<AddedHost, String> {
    let form = || format!("not of the form NAME:IP, such as db:10.99.0.7 or db:{HOST_GATEWAY}");
    let at = text.find([':', '=']).ok_or_else(form)?;
    let (name, address) = (hostname(&text[..at])?, &text[at + 1..]);
    if address == HOST_GATEWAY {
        return Ok(AddedHost { name, address: None });
    }
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = address.parse().map_err(|_| format!("{address:?} is no IP address"))?;
    Ok(AddedHost { name, address: Some(address) })
}

/// A word of `/etc/resolv.conf`.
fn resolver_word(text: &str) -> Result<String, String> {
    let is_word = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_word { Ok(text.to_owned()) } else { Err("one word is needed".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detail() -> PortDetail {
        serde_json::from_value(serde_json::json!({
            "name": "a", "network": "br0", "ifname": "eth0", "mac": "02:00:00:00:00:0a",
            "ipv4": ["10.99.0.2"], "ipv6": ["fd00::2"], "netns": "pid:42", "state": "up",
            "publish": [], "publish_pending": [], "rx_frames": 0, "tx_frames": 0, "rx_bytes": 0,
            "tx_bytes": 0, "drops": 0, "subnets": ["10.99.0.0/16", "fd00::/64"],
            "gateways": ["10.99.0.1", "fd00::1"], "mtu": 1500, "netns_path": "/x", "offloads": [],
            "queues": 1, "blocked_s": 0, "publications": [], "settings": {}, "drops_by_reason": {},
        }))
        .unwrap()
    }

    fn lines(args: &NameArgs, hostname: Option<&str>, details: &[PortDetail]) -> Vec<String> {
        let lines = args.hosts(hostname, details).unwrap();
        lines.iter().map(|(address, names)| format!("{address} {}", names.join(" "))).collect()
    }

    #[test]
    fn the_hosts_file_knows_the_container_and_its_host_name() {
        let (args, detail) = (NameArgs::default(), [detail()]);
        assert_eq!(lines(&args, Some("a"), &detail), ["10.99.0.2 a a.br0", "fd00::2 a a.br0"]);
        let shown = lines(&args, Some("web.example.org"), &detail);
        assert_eq!(shown[0], "10.99.0.2 web.example.org a a.br0");
        assert_eq!(lines(&args, Some("alone"), &[]), ["127.0.0.1 alone"]);
        assert!(lines(&args, None, &[]).is_empty());
    }

    #[test]
    fn added_hosts_follow() {
        let add = ["db:10.99.0.7", "six=[fd00::7]", "host:host-gateway"];
        let add_host = add.map(|text| added_host(text).unwrap()).to_vec();
        let args = NameArgs { add_host, ..NameArgs::default() };
        let shown = lines(&args, Some("a"), &[detail()]);
        assert_eq!(shown[2..], ["10.99.0.7 db", "fd00::7 six", "10.99.0.1 host"]);
        assert_eq!(args.hosts(None, &[]).unwrap_err().exit(), 2);
    }

    #[test]
    fn wrong_names_are_refused() {
        for text in ["db", "db:", "db:x", ":10.0.0.1", "a b:10.0.0.1", "-x:10.0.0.1"] {
            assert!(added_host(text).is_err(), "{text:?}");
        }
        for text in ["", "a..b", "-a", "a_b", &"x".repeat(65)] {
            assert!(hostname(text).is_err(), "{text:?}");
        }
        assert!(hostname("web-1.example.org").is_ok());
        for text in ["", "a b", "a\nnameserver 1.2.3.4"] {
            assert!(resolver_word(text).is_err(), "{text:?}");
        }
    }
}
