//! `vswitch network`: the networks of the switch.

mod connect;
mod create;
mod peer;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use vswitch_api::address::ReservedAddress;
use vswitch_api::network::{Network, NetworkDetail};

use crate::client::Named;
use crate::commands::ls;
use crate::error::Outcome;
use crate::global::Global;
use crate::list::{Field, FilterKey, ListArgs, Row, contains};
use crate::table::Column::Text;
use crate::{complete, human, several, table, value};

/// Create, show and remove networks, and connect containers to them
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NetworkArgs {
    #[command(subcommand)]
    command: NetworkCommand,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch network create blue
  sudo vswitch network connect blue web
  vswitch network ls
  vswitch network ls -o wide
  vswitch network ls --filter dangling=true
  vswitch network inspect blue
  sudo vswitch network peer add blue 192.0.2.2        an overlay network: a further host";

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    Create(Box<create::CreateArgs>),
    Connect(connect::ConnectArgs),
    Disconnect(connect::DisconnectArgs),
    Peer(peer::PeerArgs),
    /// List the networks
    #[command(alias = "list")]
    Ls {
        #[command(flatten)]
        list: ListArgs,
    },
    /// Show networks and their members
    Inspect {
        /// Names of the networks
        #[arg(required = true, value_name = "NAME", value_parser = value::name)]
        #[arg(add = ArgValueCompleter::new(complete::networks))]
        names: Vec<String>,
    },
    #[command(alias = "remove")]
    Rm(create::RemoveArgs),
    Prune(create::PruneArgs),
}

impl NetworkArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        match self.command {
            NetworkCommand::Create(args) => args.execute(global),
            NetworkCommand::Connect(args) => args.execute(global),
            NetworkCommand::Disconnect(args) => args.execute(global),
            NetworkCommand::Peer(args) => args.execute(global),
            NetworkCommand::Rm(args) => args.execute(global),
            NetworkCommand::Prune(args) => args.execute(global),
            NetworkCommand::Ls { list } => {
                let plan = list.plan(global.format)?;
                let client = global.client()?;
                plan.show(client.wait(client.networks())?)?;
                Ok(ExitCode::SUCCESS)
            }
            NetworkCommand::Inspect { names } => {
                let client = global.client()?;
                several::shown(global.format, names, |name| {
                    let network = client.wait_for(Named::Network, &name, client.network(&name))?;
                    let reserved = client.wait(client.addresses(&network.network.name))?;
                    let text = inspect(&network, &reserved);
                    Ok((network, text))
                })
            }
        }
    }
}

impl Row for Network {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NAME", |network| network.name.clone()),
        Field::text("SCOPE", |network| network.scope.to_string()),
        Field::number("VNI", vni, shown_vni).wide(),
        Field::text("SUBNETS", |network| table::list(&network.subnets)),
        Field::text("GATEWAYS", |network: &Self| table::list(&network.gateways)).wide(),
        Field::text("PEERS", peers).wide(),
        Field::number("MTU", |network| network.mtu.into(), |mtu| mtu.to_string()),
        Field::text("UPLINKS", uplinks),
        Field::text("DEVICE", |network: &Self| table::list(&network.device)).wide(),
        Field::text("STATE", state),
        Field::text("LABELS", |network: &Self| table::list(ls::labels(&network.labels))).wide(),
        Field::number("CONTAINERS", |network| network.ports as u64, |ports| ports.to_string()),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("name", |network, value| contains(&network.name, value)),
        ("subnet", |network, value| network.subnets.iter().any(|net| net.to_string() == value)),
        ("scope", |network, value| network.scope.name() == value),
        ("vni", |network, value| {
            network.overlay.as_ref().is_some_and(|overlay| overlay.vni.to_string() == value)
        }),
        ("label", |network, value| ls::has_label(&network.labels, value)),
        ("uplink", |network, value| match value {
            "none" => network.uplinks.is_empty(),
            device => network.uplinks.iter().any(|uplink| uplink == device),
        }),
        ("internal", |network, value| is(network.internal, value)),
        ("dangling", |network, value| is(network.ports == 0, value)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }
}

/// The number of an overlay network.
fn vni(network: &Network) -> u64 {
    network.overlay.as_ref().map_or(0, |overlay| overlay.vni.into())
}

fn shown_vni(vni: u64) -> String {
    if vni == 0 { "-".to_owned() } else { vni.to_string() }
}

/// Static peers of an overlay network.
fn peers(network: &Network) -> String {
    table::list(network.overlay.iter().flat_map(|overlay| &overlay.peers))
}

/// Whether a fact is as a filter wants it.
fn is(fact: bool, wanted: &str) -> bool {
    match wanted {
        "true" | "1" | "yes" => fact,
        "false" | "0" | "no" => !fact,
        _ => false,
    }
}

fn inspect(detail: &NetworkDetail, reserved: &[ReservedAddress]) -> String {
    let network = &detail.network;
    let subnets = network.subnets.iter().zip(&network.gateways);
    let subnets =
        subnets.map(|(subnet, gateway)| ("subnet", format!("{subnet}, gateway {gateway}")));
    let device = match (&network.device, &network.fault) {
        (_, Some(fault)) => table::alert(fault),
        (device, None) => device.clone().unwrap_or_else(|| "none".to_owned()),
    };
    let ranges = detail.ip_ranges.iter().map(|range| ("ip range", range.to_string()));
    let reserved = reserved.iter().map(|one| ("reserved", one.address.to_string()));
    let subnets = subnets.chain(ranges).chain(reserved);
    let overlay = network.overlay.iter().flat_map(|overlay| {
        let host = table::list(&overlay.host_addresses);
        [("vni", overlay.vni.to_string()), ("peers", peers(network)), ("host addresses", host)]
    });
    let facts = [
        ("device", device),
        ("gateway mac", detail.gateway_mac.to_string()),
        ("mtu", network.mtu.to_string()),
        ("uplinks", uplinks(network)),
        ("ageing", human::seconds(detail.ageing_s)),
        ("mac addresses", format!("{} of {}", detail.fdb_entries, detail.fdb_entries_max)),
        ("multicast", detail.multicast.to_string()),
        ("dhcp", on(detail.dhcp)),
        ("ra", on(detail.ra)),
        ("isolated ports", if detail.isolated_ports { "yes" } else { "no" }.to_owned()),
        ("cut-through", if detail.cut_through { "yes" } else { "no" }.to_owned()),
        ("reachable from", table::list(&detail.reachable_from)),
        ("containers", network.ports.to_string()),
    ];
    let name = [("name", network.name.clone()), ("scope", network.scope.to_string())];
    let labels = network.labels.iter().map(|(key, text)| ("label", format!("{key}={text}")));
    let mut shown =
        table::pairs(name.into_iter().chain(overlay).chain(subnets).chain(facts).chain(labels));
    if !detail.members.is_empty() {
        shown.push('\n');
        shown += &table::table(
            [Text("NAME"), Text("MAC"), Text("IPV4"), Text("IPV6")],
            detail.members.iter().map(|member| {
                [
                    member.name.clone(),
                    member.mac.to_string(),
                    table::list(&member.ipv4),
                    table::list(&member.ipv6),
                ]
            }),
        );
    }
    if !detail.remote_endpoints.is_empty() {
        shown.push('\n');
        shown += &remote_endpoints(detail);
    }
    shown
}

/// Endpoints on other nodes, one a line, and how many are left out.
fn remote_endpoints(detail: &NetworkDetail) -> String {
    let rows = detail.remote_endpoints.iter().map(|endpoint| {
        [
            table::list(&endpoint.name),
            endpoint.mac.to_string(),
            endpoint.address.to_string(),
            table::list(&endpoint.aliases),
            endpoint.node.clone(),
        ]
    });
    let columns = [Text("REMOTE"), Text("MAC"), Text("ADDRESS"), Text("ALIASES"), Text("NODE")];
    let shown = table::table(columns, rows);
    match detail.remote_endpoints_total.saturating_sub(detail.remote_endpoints.len()) {
        0 => shown,
        more => format!("{shown}and {more} more on other nodes\n"),
    }
}

fn on(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

/// Whether the host's device is in order.
fn state(network: &Network) -> String {
    if network.fault.is_some() { table::alert("fault") } else { "up".to_owned() }
}

/// Names of the uplinks, or `none`.
fn uplinks(network: &Network) -> String {
    if network.uplinks.is_empty() { "none".to_owned() } else { table::list(&network.uplinks) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn network() -> NetworkDetail {
        serde_json::from_value(serde_json::json!({
            "name": "br0", "device": "br0", "subnets": ["10.99.0.0/16", "fd00::/64"],
            "gateways": ["10.99.0.1", "fd00::1"], "mtu": 1500, "uplinks": [],
            "ports": 1, "gateway_mac": "02:00:00:00:00:01", "ageing_s": 300, "multicast": "snoop",
            "dhcp": true, "ra": false,
            "fdb_entries_max": 4096, "fdb_entries": 2,
            "members": [
                { "name": "a", "mac": "02:00:00:00:00:0a", "ipv4": ["10.99.0.2"], "ipv6": ["fd00::2"] },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn networks_are_listed() {
        let plan = ListArgs::default().plan::<Network>(Format::Table).unwrap();
        assert_eq!(
            plan.render(&[network().network]),
            "\
NAME  SCOPE  SUBNETS                   MTU  UPLINKS  STATE  CONTAINERS
br0   local  10.99.0.0/16, fd00::/64  1500  none     up              1
"
        );
    }

    #[test]
    fn members_follow_the_facts() {
        assert_eq!(
            inspect(&network(), &[]),
            "\
name            br0
scope           local
subnet          10.99.0.0/16, gateway 10.99.0.1
subnet          fd00::/64, gateway fd00::1
device          br0
gateway mac     02:00:00:00:00:01
mtu             1500
uplinks         none
ageing          5m 0s
mac addresses   2 of 4096
multicast       snoop
dhcp            on
ra              off
isolated ports  no
cut-through     no
reachable from  -
containers      1

NAME  MAC                IPV4       IPV6
a     02:00:00:00:00:0a  10.99.0.2  fd00::2
"
        );
    }

    #[test]
    fn endpoints_on_other_nodes_follow_the_members() {
        let endpoint = |address: &str, name: Option<&str>| {
            serde_json::from_value(serde_json::json!({
                "address": address, "mac": "02:00:00:00:00:0b", "name": name, "aliases": ["www"],
                "node": "n2",
            }))
            .unwrap()
        };
        let mut detail = network();
        assert_eq!((detail.remote_endpoints.len(), detail.remote_endpoints_total), (0, 0));
        detail.remote_endpoints =
            vec![endpoint("10.99.0.70", Some("web")), endpoint("fd00::9", None)];
        detail.remote_endpoints_total = 2;
        let table = "\
REMOTE  MAC                ADDRESS     ALIASES  NODE
web     02:00:00:00:00:0b  10.99.0.70  www      n2
-       02:00:00:00:00:0b  fd00::9     www      n2
";
        let shown = inspect(&detail, &[]);
        assert!(shown.ends_with(&format!("fd00::2\n\n{table}")), "{shown}");
        detail.remote_endpoints_total = 5;
        let shown = inspect(&detail, &[]);
        assert!(shown.ends_with(&format!("{table}and 3 more on other nodes\n")), "{shown}");
    }

    #[test]
    fn an_overlay_network_shows_its_vni_and_peers() {
        let overlay = serde_json::json!({
            "vni": 42, "host_addresses": ["10.99.255.1"],
            "peers": ["192.0.2.2:4789", "192.0.2.3:8472"],
        });
        let mut detail = network();
        detail.network.scope = "overlay".into();
        detail.network.overlay = Some(serde_json::from_value(overlay).unwrap());
        let shown = inspect(&detail, &[]);
        for line in [
            "scope           overlay\nvni             42\n",
            "peers           192.0.2.2:4789, 192.0.2.3:8472\n",
            "host addresses  10.99.255.1\n",
        ] {
            assert!(shown.contains(line), "{shown}");
        }
        let network = detail.network;
        assert_eq!((vni(&network), shown_vni(vni(&network))), (42, "42".to_owned()));
        assert_eq!(peers(&network), "192.0.2.2:4789, 192.0.2.3:8472");
        assert_eq!(
            (shown_vni(0), peers(&super::tests::network().network)),
            ("-".to_owned(), "-".to_owned())
        );
    }
}
