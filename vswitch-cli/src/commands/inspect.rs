//! `vswitch inspect`: all details of an attachment.

use std::net::IpAddr;

use clap::Args;
use clap_complete::ArgValueCompleter;
use ipnet::IpNet;
use vswitch_api::cut_through::PortCutThrough;
use vswitch_api::port::{Port, PortDetail};
use vswitch_api::publish::Publication;

use crate::client::Named;
use crate::commands::ls;
use crate::error::Outcome;
use crate::global::Global;
use crate::port_settings::Defaults;
use crate::{complete, human, port_settings, publish, several, table, value};

/// Show all details of attached containers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InspectArgs {
    /// Names of the attachments
    #[arg(required = true, value_name = "NAME", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::attachments))]
    names: Vec<String>,
}

/// Characters of a container's id that engines show.
const ID_SHOWN: usize = 12;

const EXAMPLES: &str = "\
Examples:
  vswitch inspect web
  vswitch inspect web --format json | jq .[0].offloads";

impl InspectArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let defaults = Defaults::of_containers(&client.wait(client.limits())?);
        several::shown(global.format, self.names, |name| {
            let ports = client.wait_for(Named::Attachment, &name, client.port(&name))?;
            let shown: Vec<_> = ports.iter().map(|port| render(port, &defaults)).collect();
            Ok((ports, shown.join("\n")))
        })
    }
}

fn render(detail: &PortDetail, defaults: &Defaults) -> String {
    let port = &detail.port;
    let traffic =
        |bytes, frames| format!("{} in {} frames", human::bytes(bytes), human::count(frames));
    let reasons: Vec<String> =
        detail.drops_by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let labels = port.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let state = match (&port.fault, detail.blocked_s) {
        (Some(fault), _) => table::alert(format_args!("{}: {fault}", port.state)),
        (None, 0) => port.state.to_string(),
        (None, left) => {
            table::alert(format_args!("{} for another {}", port.state, human::seconds(left)))
        }
    };
    let configures = if detail.configure.is_static() { "" } else { ", configures itself" };
    let identity = [
        ("name", port.name.clone()),
        ("network", port.network.clone()),
        ("interface", format!("{}, MTU {}{configures}", port.ifname, detail.mtu)),
        ("mac", port.mac.to_string()),
    ];
    let facts = [
        ("namespace", namespace(detail)),
        ("state", state),
        ("published", table::list(detail.publications.iter().map(|one| published(detail, one)))),
        ("offloads", table::list(&detail.offloads)),
        ("queues", detail.queues.to_string()),
    ];
    let addresses = addresses(detail).map(|(address, gateway)| {
        let family = if gateway.is_ipv4() { "ipv4" } else { "ipv6" };
        (family, format!("{address} via {gateway}"))
    });
    let counted = [
        ("received", traffic(port.traffic.rx_bytes, port.traffic.rx_frames)),
        ("sent", traffic(port.traffic.tx_bytes, port.traffic.tx_frames)),
        ("dropped", ls::drops(port.drops)),
        ("drop reasons", table::list(reasons)),
        ("aliases", table::list(&port.aliases)),
        ("labels", table::list(labels)),
    ];
    let settings = port_settings::rows(&detail.settings, defaults);
    let cut_through = detail.cut_through.iter().map(|it| ("cut-through", cut_through(it)));
    let facts = facts.into_iter().chain(cut_through);
    table::pairs(identity.into_iter().chain(addresses).chain(facts).chain(settings).chain(counted))
}

/// The namespace with a path to it; of a container also the begin of its id, as engines show it.
fn namespace(detail: &PortDetail) -> String {
    let mut shown = ls::netns(&detail.port.netns);
    if let Some(container) = &detail.container {
        let id = container.id.get(..ID_SHOWN).unwrap_or(&container.id);
        shown = format!("{shown} {id} of {}", container.engine.display());
    }
    match detail.netns_path.as_os_str().is_empty() {
        true => shown,
        false => format!("{shown} ({})", detail.netns_path.display()),
    }
}

/// Connections that are cut through, and whether new ones will be.
fn cut_through(port: &PortCutThrough) -> String {
    let PortCutThrough { allowed, connections, sent_bytes, received_bytes } = *port;
    let (sent, received) = (human::bytes(sent_bytes), human::bytes(received_bytes));
    let running = format!("{connections} connections, {sent} sent, {received} received");
    match allowed {
        true => running,
        false => format!("{running}; new ones pass the switch"),
    }
}

/// Addresses with the prefix length of their subnet, and the next hop of its default route.
pub(crate) fn addresses(detail: &PortDetail) -> impl Iterator<Item = (IpNet, IpAddr)> {
    let Port { ipv4, ipv6, .. } = &detail.port;
    let all = ipv4.iter().copied().map(IpAddr::from).chain(ipv6.iter().copied().map(IpAddr::from));
    all.filter_map(|address| {
        let mut subnets = detail.subnets.iter().zip(&detail.gateways);
        let (subnet, gateway) = subnets.find(|(subnet, _)| subnet.contains(&address))?;
        Some((IpNet::new(address, subnet.prefix_len()).ok()?, *gateway))
    })
}

/// A publication, and why it is pending.
fn published(detail: &PortDetail, publication: &Publication) -> String {
    let line = publish::line(publication);
    match detail.port.publish_pending.iter().find(|one| one.ports == publication.ports) {
        None => line,
        Some(pending) => table::alert(format_args!("{line} (pending: {})", pending.reason)),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use vswitch_api::container::Container;

    use super::*;
    use crate::output::painted;

    #[test]
    fn an_endpoint_may_configure_itself() {
        let detail: PortDetail = serde_json::from_value(serde_json::json!({
            "name": "a", "network": "br0", "ifname": "eth0", "mac": "02:00:00:00:00:0a",
            "ipv4": [], "ipv6": [], "netns": "pid:42", "state": "up", "publish": [],
            "publish_pending": [], "rx_frames": 0, "tx_frames": 0, "rx_bytes": 0, "tx_bytes": 0,
            "drops": 0, "subnets": [], "gateways": [], "mtu": 1500, "netns_path": "/proc/42/ns/net",
            "offloads": [], "queues": 1, "blocked_s": 0, "publications": [], "configure": "none",
            "settings": {}, "drops_by_reason": {},
        }))
        .unwrap();
        let shown = painted(&render(&detail, &Defaults::of_hosts()), false);
        assert!(shown.contains("  eth0, MTU 1500, configures itself\n"), "{shown}");
        let port = Port { netns: "container:web".into(), ..detail.port };
        let container =
            Some(Container { id: "4f1d".repeat(16), name: "web".into(), engine: "/e".into() });
        let waiting = PortDetail { port, container, netns_path: PathBuf::new(), ..detail };
        let shown = painted(&render(&waiting, &Defaults::of_hosts()), false);
        assert!(shown.contains("  container:web 4f1d4f1d4f1d of /e\n"), "{shown}");
    }

    #[test]
    fn a_line_a_fact() {
        let detail: PortDetail = serde_json::from_value(serde_json::json!({
            "name": "a", "network": "br0", "ifname": "eth0", "mac": "02:00:00:00:00:0a",
            "ipv4": ["10.99.0.2"], "ipv6": ["fd00::2"], "netns": "pid:42", "state": "loop-blocked", "publish": [],
            "publish_pending": [{"ports": "53:53/udp", "reason": "port 53/udp of this host is taken"}],
            "rx_frames": 12, "tx_frames": 15, "rx_bytes": 1536, "tx_bytes": 20, "drops": 3,
            "subnets": ["10.99.0.0/16", "fd00::/64"], "gateways": ["10.99.0.1", "fd00::1"],
            "mtu": 1500, "netns_path": "/proc/42/ns/net", "offloads": ["csum", "tso4"],
            "queues": 1, "blocked_s": 7, "publications": [{"ports": "8080:80", "allow_from": ["10.0.0.0/8"]}, {"ports": "53:53/udp"}], "settings": { "vlan": { "mode": "access", "id": 10 } },
            "drops_by_reason": { "malformed": 3 },
        }))
        .unwrap();
        assert_eq!(
            painted(&render(&detail, &Defaults::of_hosts()), false),
            "\
name             a
network          br0
interface        eth0, MTU 1500
mac              02:00:00:00:00:0a
ipv4             10.99.0.2/16 via 10.99.0.1
ipv6             fd00::2/64 via fd00::1
namespace        pid:42 (/proc/42/ns/net)
state            loop-blocked for another 7s
published        8080:80/tcp from 10.0.0.0/8, 53:53/udp (pending: port 53/udp of this host is taken)
offloads         csum, tso4
queues           1
vlan             access 10
guard            on
isolation        none
rate in          off (default)
rate out         off (default)
storm broadcast  off (default)
storm multicast  off (default)
storm unknown    off (default)
macs max         off (default)
loop guard       on
received         1.5 KiB in 12 frames
sent             20 B in 15 frames
dropped          3
drop reasons     malformed 3
aliases          -
labels           -
"
        );
    }
}
