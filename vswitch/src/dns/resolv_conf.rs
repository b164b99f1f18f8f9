//! `resolv.conf` (resolv.conf(5)): the servers of the host, and the file of a container.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::Path;

use resolv_conf::{Config, ScopedIp};

use super::limits::RESOLV_CONF_BYTES_MAX;

/// Port of DNS servers.
pub(crate) const DNS_PORT: u16 = 53;

/// Servers that the C library reads.
const NAMESERVERS_MAX: usize = 3;

/// The option that Docker sets, too: a name without a dot is asked as it is first. Names of containers are such.
const NDOTS: &str = "ndots:0";

/// The text of a container's `resolv.conf`: the gateways as servers, search list and options of the host.
#[must_use]
pub fn container_text(gateways: &[IpAddr], host: &str) -> String {
    let search = search(host);
    let mut options = host_options(host);
    if !options.iter().any(|option| option.starts_with("ndots:")) {
        options.push(NDOTS.to_owned());
    }
    let mut text =
        String::from("# Made by vswitch: names of containers, and the host's for the rest.\n");
    for gateway in gateways.iter().take(NAMESERVERS_MAX) {
        let _ = writeln!(text, "nameserver {gateway}");
    }
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    let _ = writeln!(text, "options {}", options.join(" "));
    text
}

/// The search list of a text, or the domain.
pub(crate) fn search(text: &str) -> Vec<String> {
    let (config, _) = Config::parse_with_errors(text.as_bytes());
    config.get_last_search_or_domain().cloned().collect()
}

/// The text of a file; nothing if it cannot be read, as for the C library.
pub(crate) fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(RESOLV_CONF_BYTES_MAX).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot read the host's DNS servers");
            String::new()
        }
    }
}

/// Words of all `options` lines, also those that only some C library knows.
fn host_options(text: &str) -> Vec<String> {
    let words = text.lines().filter_map(|line| {
        let mut words = line.split(['#', ';']).next()?.split_whitespace();
        (words.next()? == "options").then_some(words)
    });
    words.flatten().map(str::to_owned).collect()
}

/// The servers; without any, the one of this machine. Lines that cannot be read are skipped.
pub(crate) fn servers(text: &str) -> Vec<SocketAddr> {
    let (config, errors) = Config::parse_with_errors(text.as_bytes());
    for error in errors {
        tracing::debug!(%error, "a line of resolv.conf is skipped");
    }
    let servers: Vec<_> = config.nameservers.iter().filter_map(server).collect();
    match servers[..] {
        [] => vec![([127, 0, 0, 1], DNS_PORT).into()],
        _ => servers,
    }
}

fn server(address: &ScopedIp) -> Option<SocketAddr> {
    match address {
        ScopedIp::V4(ipv4) => Some((*ipv4, DNS_PORT).into()),
        ScopedIp::V6(ipv6, None) => Some((*ipv6, DNS_PORT).into()),
        ScopedIp::V6(ipv6, Some(device)) => {
            let scope = match device.parse() {
                Ok(index) => index,
                Err(_) => nix::net::if_::if_nametoindex(device.as_str()).ok()?,
            };
            Some(SocketAddrV6::new(*ipv6, DNS_PORT, 0, scope).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# by hand\nnameserver 192.0.2.1 \nnameserver fe80::1%lo\nnameserver nonsense\n\
        domain old.example\nsearch corp.example lan\noptions edns0 trust-ad ; a comment\nunknown line\n\
        options some-new-option\n";

    fn text(host: &str) -> Vec<String> {
        let gateways = [[10, 99, 0, 1].into(), "fd00::1".parse().unwrap()];
        container_text(&gateways, host).lines().skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn a_container_has_the_gateways_and_the_hosts_search_list_and_options() {
        let expected = [
            "nameserver 10.99.0.1",
            "nameserver fd00::1",
            "search corp.example lan",
            "options edns0 trust-ad some-new-option ndots:0",
        ];
        assert_eq!(text(HOST), expected);
        let bare = ["nameserver 10.99.0.1", "nameserver fd00::1", "options ndots:0"];
        assert_eq!(text(""), bare);
        assert_eq!(text("options ndots:5")[2..], ["options ndots:5"]);
        let domain = ["search corp.example", "options ndots:0"];
        assert_eq!(text("domain corp.example")[2..], domain);
        let many = container_text(&[[10, 99, 0, 1].into(); 5], "");
        assert_eq!(many.matches("nameserver").count(), 3);
    }

    #[test]
    fn servers_of_the_host() {
        let text = |text: &str| servers(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(text(HOST), ["192.0.2.1:53", "[fe80::1%1]:53"]);
        assert_eq!(text("search x\n"), ["127.0.0.1:53"]);
        assert_eq!(text("nameserver fe80::1%no-such-device"), ["127.0.0.1:53"]);
        assert_eq!(text("\u{0}\u{ffff} nonsense"), ["127.0.0.1:53"]);
    }
}
