//! `vswitch network`: the networks of the switch.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use vswitch_api::network::{Network, NetworkDetail};

use crate::error::Outcome;
use crate::global::Global;
use crate::table::Column::{Number, Text};
use crate::{human, output, table, value};

/// Show the networks of the switch
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NetworkArgs {
    #[command(subcommand)]
    command: NetworkCommand,
}

const EXAMPLES: &str = "\
Examples:
  vswitch network ls
  vswitch network inspect br0";

#[derive(Debug, Subcommand)]
enum NetworkCommand {
    /// List the networks
    #[command(visible_alias = "list")]
    Ls,
    /// Show a network and who is on it
    Inspect {
        /// Name of the network
        #[arg(value_parser = value::name)]
        name: String,
    },
}

impl NetworkArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        match self.command {
            NetworkCommand::Ls => {
                let networks = client.wait(client.networks())?;
                output::show(global.format, &networks, |networks| list(networks))?;
            }
            NetworkCommand::Inspect { name } => {
                let network = client.wait(client.network(&name))?;
                output::show(global.format, &network, inspect)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn list(networks: &[Network]) -> String {
    let columns = [
        Text("NAME"),
        Text("SUBNET"),
        Text("GATEWAY"),
        Text("SUBNET6"),
        Text("GATEWAY6"),
        Number("MTU"),
        Text("UPLINK"),
        Number("CONTAINERS"),
    ];
    table::table(
        columns,
        networks.iter().map(|network| {
            [
                network.name.clone(),
                network.subnet.to_string(),
                network.gateway.to_string(),
                network.subnet6.to_string(),
                network.gateway6.to_string(),
                network.mtu.to_string(),
                network.uplink.clone(),
                network.ports.to_string(),
            ]
        }),
    )
}

fn inspect(detail: &NetworkDetail) -> String {
    let network = &detail.network;
    let mut shown = table::pairs([
        ("name", network.name.clone()),
        ("subnet", format!("{}, gateway {}", network.subnet, network.gateway)),
        ("subnet6", format!("{}, gateway {}", network.subnet6, network.gateway6)),
        ("gateway mac", detail.gateway_mac.clone()),
        ("mtu", network.mtu.to_string()),
        ("uplink", network.uplink.clone()),
        ("ageing", human::seconds(detail.ageing_s)),
        ("mac addresses", format!("{} of {}", detail.fdb_entries, detail.fdb_entries_max)),
        ("multicast", detail.multicast.clone()),
        ("containers", network.ports.to_string()),
    ]);
    if !detail.members.is_empty() {
        shown.push('\n');
        shown += &table::table(
            [Text("NAME"), Text("MAC"), Text("IPV4"), Text("IPV6")],
            detail.members.iter().map(|member| {
                [
                    member.name.clone(),
                    member.mac.clone(),
                    member.ipv4.to_string(),
                    member.ipv6.to_string(),
                ]
            }),
        );
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> NetworkDetail {
        serde_json::from_value(serde_json::json!({
            "name": "br0", "subnet": "10.99.0.0/16", "gateway": "10.99.0.1",
            "subnet6": "fd00::/64", "gateway6": "fd00::1", "mtu": 1500, "uplink": "none",
            "ports": 1, "gateway_mac": "02:00:00:00:00:01", "ageing_s": 300, "multicast": "snoop",
            "fdb_entries_max": 4096, "fdb_entries": 2,
            "members": [
                { "name": "a", "mac": "02:00:00:00:00:0a", "ipv4": "10.99.0.2", "ipv6": "fd00::2" },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn networks_are_listed() {
        assert_eq!(
            list(&[network().network]),
            "\
NAME  SUBNET        GATEWAY    SUBNET6    GATEWAY6   MTU  UPLINK  CONTAINERS
br0   10.99.0.0/16  10.99.0.1  fd00::/64  fd00::1   1500  none             1
"
        );
    }

    #[test]
    fn members_follow_the_facts() {
        assert_eq!(
            inspect(&network()),
            "\
name           br0
subnet         10.99.0.0/16, gateway 10.99.0.1
subnet6        fd00::/64, gateway fd00::1
gateway mac    02:00:00:00:00:01
mtu            1500
uplink         none
ageing         5m 0s
mac addresses  2 of 4096
multicast      snoop
containers     1

NAME  MAC                IPV4       IPV6
a     02:00:00:00:00:0a  10.99.0.2  fd00::2
"
        );
    }
}
