//! `vswitch ls`: the attached containers.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::port::Port;
use vswitch_api::publish::PortSpec;

use crate::error::Outcome;
use crate::global::Global;
use crate::table::Column::{Number, Text};
use crate::{human, output, table};

/// List the attached containers
#[derive(Debug, Args)]
#[command(visible_alias = "list", after_help = EXAMPLES)]
pub(crate) struct LsArgs {}

const EXAMPLES: &str = "\
Directions are the switch's: RX came from the container.

Examples:
  vswitch ls
  vswitch ls --format json | jq -r '.[] | .name + \" \" + .ipv4[0]'";

impl LsArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let ports = client.wait(client.ports())?;
        output::show(global.format, &ports, |ports| render(ports))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn render(ports: &[Port]) -> String {
    let columns = [
        Text("NAME"),
        Text("NETWORK"),
        Text("IFNAME"),
        Text("MAC"),
        Text("IPV4"),
        Text("IPV6"),
        Text("NETNS"),
        Text("STATE"),
        Number("RX"),
        Number("TX"),
        Number("DROPS"),
        Text("PUBLISHED"),
    ];
    table::table(
        columns,
        ports.iter().map(|port| {
            [
                port.name.clone(),
                port.network.clone(),
                port.ifname.clone(),
                port.mac.to_string(),
                table::list(&port.ipv4),
                table::list(&port.ipv6),
                port.netns.clone(),
                port.state.to_string(),
                human::bytes(port.traffic.rx_bytes),
                human::bytes(port.traffic.tx_bytes),
                human::count(port.drops),
                table::list(port.publish.iter().map(|ports| published(port, ports))),
            ]
        }),
    )
}

/// A publication, and whether it is open.
fn published(port: &Port, ports: &PortSpec) -> String {
    let is_open = !port.publish_pending.iter().any(|one| one.ports == *ports);
    if is_open { ports.to_string() } else { format!("{ports} (pending)") }
}

#[cfg(test)]
mod tests {
    use vswitch_api::port::{PendingPublication, PortState};
    use vswitch_api::stats::PortTraffic;

    use super::*;

    #[test]
    fn a_row_a_container() {
        let port = Port {
            name: "a".into(),
            network: "br0".into(),
            ifname: "eth0".into(),
            mac: "02:00:00:00:00:0a".parse().unwrap(),
            ipv4: vec!["10.99.0.2".parse().unwrap()],
            ipv6: vec!["fd00::2".parse().unwrap()],
            netns: "a".into(),
            state: PortState::Up,
            publish: vec!["8080:80".parse().unwrap(), "53:53/udp".parse().unwrap()],
            publish_pending: vec![PendingPublication {
                ports: "53:53/udp".parse().unwrap(),
                reason: "taken".into(),
            }],
            aliases: Vec::new(),
            labels: Default::default(),
            traffic: PortTraffic { rx_frames: 12, rx_bytes: 1536, tx_frames: 15, tx_bytes: 20 },
            drops: 12_345,
        };
        assert_eq!(
            render(&[port]),
            "\
NAME  NETWORK  IFNAME  MAC                IPV4       IPV6     NETNS  STATE       RX    TX  DROPS  PUBLISHED
a     br0      eth0    02:00:00:00:00:0a  10.99.0.2  fd00::2  a      up     1.5 KiB  20 B  12.3k  8080:80/tcp, 53:53/udp (pending)
"
        );
    }
}
