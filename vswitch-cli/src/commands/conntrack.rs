//! `vswitch conntrack`: translated connections.

mod watch;

use std::net::IpAddr;
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use vswitch_api::conntrack::{Connection, ConnectionFilter, ConnectionProtocol, Flushed, Tuple};

use crate::client::Client;
use crate::error::Outcome;
use crate::global::Global;
use crate::table::Column::{Number, Text};
use crate::{human, output, table, value};

/// Show and delete translated connections
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConntrackArgs {
    #[command(subcommand)]
    command: Option<ConntrackCommand>,
}

const EXAMPLES: &str = "\
Connections between containers, and between them and the host, are not translated and not listed.

Examples:
  vswitch conntrack ls
  vswitch conntrack ls --container web --protocol tcp
  vswitch conntrack watch --interval 1
  sudo vswitch conntrack flush --container web     clients must connect anew
  vswitch conntrack ls --format json | jq -r '.[] | select(.state == \"established\") | .original.src'";

#[derive(Debug, Subcommand)]
enum ConntrackCommand {
    /// List connections, as `vswitch conntrack` does
    #[command(visible_alias = "list")]
    Ls {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Delete connections: all, or those that the filter selects
    Flush {
        #[command(flatten)]
        filter: FilterArgs,
    },
    /// Show connections as they come (+), change (~) and go (-)
    Watch {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        pace: watch::PaceArgs,
    },
}

/// Which connections
#[derive(Debug, Default, Args)]
struct FilterArgs {
    /// Container of the connection
    #[arg(long, value_name = "NAME", value_parser = value::name)]
    container: Option<String>,
    /// Network of the connection
    #[arg(long, value_name = "NETWORK", value_parser = value::name)]
    network: Option<String>,
    /// Protocol of the connection
    #[arg(long, value_name = "PROTOCOL", value_parser = protocols())]
    protocol: Option<ConnectionProtocol>,
    /// Address of either end, before or after translation
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Port of either end, before or after translation
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

fn protocols() -> impl TypedValueParser<Value = ConnectionProtocol> {
    PossibleValuesParser::new(ConnectionProtocol::WORDS).map(|word| word.as_str().into())
}

impl From<FilterArgs> for ConnectionFilter {
    fn from(args: FilterArgs) -> Self {
        let FilterArgs { container, network, protocol, address, port } = args;
        Self { container, network, protocol, address, port }
    }
}

impl ConntrackArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let all = ConntrackCommand::Ls { filter: FilterArgs::default() };
        match self.command.unwrap_or(all) {
            ConntrackCommand::Ls { filter } => {
                let rows = connections(&client, &filter.into())?;
                output::show(global.format, &rows, |rows| render(rows))?;
            }
            ConntrackCommand::Flush { filter } => {
                let filter = ConnectionFilter::from(filter);
                let flushed = client.wait(client.flush_connections(&filter))?;
                output::show(global.format, &flushed, said)?;
            }
            ConntrackCommand::Watch { filter, pace } => {
                watch::run(&client, global.format, &filter.into(), &pace)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Those that the filter picks, in the order of their containers and addresses.
fn connections(client: &Client, filter: &ConnectionFilter) -> Outcome<Vec<Connection>> {
    let mut rows = client.wait(client.connections())?;
    rows.retain(|row| filter.matches(row));
    rows.sort_by(|a, b| {
        let key = |row: &Connection| (row.original.src, row.original.dst);
        let name = |row: &Connection| (row.network.clone(), row.container.clone(), row.protocol);
        (name(a), key(a)).cmp(&(name(b), key(b)))
    });
    Ok(rows)
}

fn said(flushed: &Flushed) -> String {
    match flushed.connections {
        1 => "1 connection is deleted\n".to_owned(),
        count => format!("{count} connections are deleted\n"),
    }
}

fn render(rows: &[Connection]) -> String {
    let columns = [
        Text("NETWORK"),
        Text("PROTO"),
        Text("CONTAINER"),
        Text("ORIGINAL"),
        Text("TRANSLATED"),
        Text("STATE"),
        Number("IDLE"),
        Number("FRAMES"),
        Number("BYTES"),
    ];
    table::table(
        columns,
        rows.iter().map(|row| {
            [
                row.network.clone(),
                row.protocol.to_string(),
                row.container.clone(),
                tuple(&row.original),
                tuple(&row.translated),
                row.state.to_string(),
                human::seconds(row.idle_s),
                human::count(row.frames),
                human::bytes(row.bytes),
            ]
        }),
    )
}

fn tuple(tuple: &Tuple) -> String {
    format!("{} -> {}", tuple.src, tuple.dst)
}

#[cfg(test)]
mod tests;
