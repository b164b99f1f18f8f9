//! `vswitch conntrack`: tracked connections.

mod watch;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use vswitch_api::conntrack::{
    Connection, ConnectionFilter, ConnectionProtocol, ConnectionServer, Flushed, Tuple,
};
use vswitch_api::status::{UplinkMode, UplinkStatus};

use crate::client::{Client, Named};
use crate::error::Outcome;
use crate::global::Global;
use crate::list::{self, Field, FilterKey, ListArgs, Row, contains};
use crate::{complete, human, output, value};

/// Show and delete connections that the switch tracks
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConntrackArgs {
    #[command(subcommand)]
    command: Option<ConntrackCommand>,
    #[command(flatten)]
    ls: LsArgs,
}

const EXAMPLES: &str = "\
Connections within a network, and between containers and the host, are not tracked and not listed. Those
between two networks are listed and not translated (-). With `up --uplink kernel` the host's kernel
tracks, and its `conntrack -L` lists. Filters are those of the options, and state; a container and a
network match either end. -o wide adds NETWORK, SERVER (the container that answers) and FRAMES.

Examples:
  vswitch conntrack ls
  vswitch conntrack ls --sort -bytes
  vswitch conntrack ls --container web --protocol tcp
  vswitch conntrack watch --interval 1
  sudo vswitch conntrack flush --container web     clients must connect anew
  vswitch conntrack ls --format json | jq -r '.[] | select(.state == \"established\") | .original.src'";

#[derive(Debug, Subcommand)]
enum ConntrackCommand {
    /// List connections, as `vswitch conntrack` does
    #[command(alias = "list")]
    Ls {
        #[command(flatten)]
        ls: LsArgs,
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

/// Which connections, and how
#[derive(Debug, Default, PartialEq, Eq, Args)]
struct LsArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    list: ListArgs,
}

/// Which connections
#[derive(Debug, Default, PartialEq, Eq, Args)]
struct FilterArgs {
    /// Container of the connection, at either end
    #[arg(long, value_name = "NAME", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::attachments))]
    container: Option<String>,
    /// Network of the connection, at either end
    #[arg(long, value_name = "NETWORK", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::networks))]
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
        if self.command.is_some() {
            list::behind(&self.ls, "vswitch conntrack")?;
        }
        let command = self.command.unwrap_or(ConntrackCommand::Ls { ls: self.ls });
        match command {
            ConntrackCommand::Ls { ls } => ls.execute(global)?,
            ConntrackCommand::Flush { filter } => {
                let client = global.client()?;
                let filter = filter.checked(&client)?;
                let flushed = client.wait(client.flush_connections(&filter))?;
                output::show(global.format, &flushed, said)?;
            }
            ConntrackCommand::Watch { filter, pace } => {
                let client = global.client()?;
                let filter = filter.checked(&client)?;
                say_who_translates(&client)?;
                watch::run(&client, global.format, &filter, &pace)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl LsArgs {
    fn execute(self, global: &Global) -> Outcome<()> {
        let plan = self.list.plan(global.format)?;
        let client = global.client()?;
        let rows = connections(&client, &self.filter.checked(&client)?)?;
        let is_empty = rows.is_empty();
        plan.show(rows)?;
        if is_empty { say_who_translates(&client) } else { Ok(()) }
    }
}

/// Says who translates where the switch does not.
fn say_who_translates(client: &Client) -> Outcome<()> {
    const KERNEL: &str = "\
the switch runs with --uplink kernel: the host's kernel translates, `conntrack -L` lists its connections
";
    let is_kernel = |uplink: &UplinkStatus| uplink.mode == UplinkMode::Kernel;
    if client.wait(client.status())?.uplinks.iter().any(is_kernel) {
        output::print_error(KERNEL);
    }
    Ok(())
}

impl FilterArgs {
    /// The filter, with a container and a network that exist. `NAME@NETWORK` names both.
    fn checked(mut self, client: &Client) -> Outcome<ConnectionFilter> {
        let full_name = self.container.clone().unwrap_or_default();
        if let (Some((name, network)), None) = (full_name.split_once('@'), &self.network) {
            self.container = Some(name.to_owned());
            self.network = Some(network.to_owned());
        }
        if let Some(container) = &self.container {
            client.check(Named::Attachment, container)?;
        }
        if let Some(network) = &self.network {
            client.check(Named::Network, network)?;
        }
        Ok(self.into())
    }
}

/// Those that the filter picks, in the order of their networks, containers and addresses.
fn connections(client: &Client, filter: &ConnectionFilter) -> Outcome<Vec<Connection>> {
    let mut rows = client.wait(client.connections())?;
    rows.retain(|row| filter.matches(row));
    rows.sort_by(|a, b| {
        let key = |row: &Connection| (row.protocol, row.original.src, row.original.dst);
        a.network.cmp(&b.network).then_with(|| key(a).cmp(&key(b)))
    });
    Ok(rows)
}

impl Row for Connection {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NETWORK", |row: &Self| row.network.clone()).wide(),
        Field::text("PROTO", |row| row.protocol.to_string()),
        Field::text("CONTAINER", |row| row.container.clone()),
        Field::text("SERVER", server).wide(),
        Field::text("ORIGINAL", |row| tuple(&row.original)),
        Field::text("TRANSLATED", translated),
        Field::text("STATE", state),
        Field::number("IDLE", |row| row.idle_s, human::seconds),
        Field::number("FRAMES", |row: &Self| row.frames, human::count).wide(),
        Field::number("BYTES", |row| row.bytes, human::bytes),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("container", |row, value| row.containers().any(|(_, name)| name == value)),
        ("name", |row, value| row.containers().any(|(_, name)| contains(name, value))),
        ("network", |row, value| row.containers().any(|(network, _)| network == value)),
        ("protocol", |row, value| row.protocol.name() == value),
        ("state", |row, value| row.state.name() == value),
        ("address", |row, value| ends(row).iter().any(|end| end.ip().to_string() == value)),
        ("port", |row, value| ends(row).iter().any(|end| end.port().to_string() == value)),
    ];

    fn name(&self) -> String {
        self.container.clone()
    }
}

fn ends(row: &Connection) -> [SocketAddr; 4] {
    [row.original.src, row.original.dst, row.translated.src, row.translated.dst]
}

fn said(flushed: &Flushed) -> String {
    match flushed.connections {
        1 => "1 connection is deleted\n".to_owned(),
        count => format!("{count} connections are deleted\n"),
    }
}

/// The state, and whether its data goes past the switch.
fn state(row: &Connection) -> String {
    match row.cut_through {
        true => format!("{} [CUT-THROUGH]", row.state),
        false => row.state.to_string(),
    }
}

/// The tuple as the other end sees it; `-` if nothing is translated.
fn translated(row: &Connection) -> String {
    if row.is_translated() { tuple(&row.translated) } else { "-".to_owned() }
}

/// The container that answers, with its network; `-` if it is none.
fn server(row: &Connection) -> String {
    let name = |it: &ConnectionServer| format!("{}@{}", it.container, it.network);
    row.server.as_ref().map_or_else(|| "-".to_owned(), name)
}

fn tuple(tuple: &Tuple) -> String {
    format!("{} -> {}", tuple.src, tuple.dst)
}

#[cfg(test)]
mod tests;
