//! `vswitch cut-through`: local TCP connections whose data goes from socket to socket.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::cut_through::{CutThroughConnection, CutThroughEnd, CutThroughState};

use crate::error::Outcome;
use crate::global::Global;
use crate::list::{Field, FilterKey, ListArgs, Row, contains};
use crate::{human, output};

/// Show TCP connections whose data goes from socket to socket, past the switch
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CutThroughArgs {
    #[command(flatten)]
    list: ListArgs,
}

const EXAMPLES: &str = "\
SENT are bytes from the client, RECEIVED bytes from the server, both without those that TCP has carried. PEER is the
address that the client speaks to: of a published port, before the translation. Filters are container, name, network
and address.

Examples:
  vswitch cut-through
  vswitch cut-through --format json | jq length
  vswitch cut-through --sort -sent --filter container=web

`vswitch up --cut-through` and `vswitch network create --cut-through` ask for it; `vswitch status` says whether it is on.";

impl CutThroughArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let plan = self.list.plan(global.format)?;
        let client = global.client()?;
        let connections = client.wait(client.cut_through())?;
        if connections.is_empty() && !plan.is_json() {
            let status = client.wait(client.status())?.cut_through;
            match (status.state, status.reason) {
                (CutThroughState::Off, Some(reason)) => {
                    output::print_error(&format!("cut-through is off: {reason}\n"));
                }
                (CutThroughState::NotAsked, _) => output::print_error(
                    "no network asks for cut-through: see `vswitch up --cut-through`\n",
                ),
                _ => {}
            }
        }
        plan.show(connections)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Row for CutThroughConnection {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NETWORK", |row: &Self| row.client.network.clone()).wide(),
        Field::text("CLIENT", |row| end(&row.client)),
        Field::text("SERVER", |row| end(&row.server)),
        Field::text("PEER", |row: &Self| row.client.peer.to_string()).wide(),
        Field::number("SENT", |row| row.client.bytes, human::bytes),
        Field::number("RECEIVED", |row| row.server.bytes, human::bytes),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("container", |row, value| ends(row).iter().any(|it| it.container == value)),
        ("name", |row, value| ends(row).iter().any(|it| contains(&it.container, value))),
        ("network", |row, value| ends(row).iter().any(|it| it.network == value)),
        ("address", |row, value| ends(row).iter().any(|it| it.address.ip().to_string() == value)),
    ];

    fn name(&self) -> String {
        self.client.container.clone()
    }
}

const fn ends(row: &CutThroughConnection) -> [&CutThroughEnd; 2] {
    [&row.client, &row.server]
}

/// The attachment with address and port.
fn end(end: &CutThroughEnd) -> String {
    match end.container.as_str() {
        "" => end.address.to_string(),
        container => format!("{container} {}", end.address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn a_line_a_connection() {
        let end = |container: &str, address: &str, peer: &str, bytes| CutThroughEnd {
            network: "br0".to_owned(),
            container: container.to_owned(),
            address: address.parse().unwrap(),
            peer: peer.parse().unwrap(),
            bytes,
        };
        let connection = CutThroughConnection {
            client: end("web", "10.99.0.2:40000", "192.0.2.1:5432", 512),
            server: end("", "10.99.0.3:5432", "10.99.0.2:40000", 3 << 20),
        };
        let plan = ListArgs::default().plan::<CutThroughConnection>(Format::Table).unwrap();
        assert_eq!(
            plan.render(&[connection]),
            "\
CLIENT               SERVER           SENT  RECEIVED
web 10.99.0.2:40000  10.99.0.3:5432  512 B     3 MiB
"
        );
    }
}
