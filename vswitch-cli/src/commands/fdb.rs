//! `vswitch fdb`: the forwarding database.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use vswitch_api::fdb::{EntryKey, FdbEntry, StaticEntry};
use wire::MacAddr;

use crate::error::Outcome;
use crate::global::Global;
use crate::table::Column::{Number, Text};
use crate::{human, output, table, value};

/// Show and change the forwarding database
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FdbArgs {
    #[command(subcommand)]
    command: Option<FdbCommand>,
}

const EXAMPLES: &str = "\
Examples:
  vswitch fdb                                           every known MAC address
  sudo vswitch fdb add 02:00:00:00:00:0a --port web     a static entry: neither ages nor moves
  sudo vswitch fdb del 02:00:00:00:00:0a";

#[derive(Debug, Subcommand)]
enum FdbCommand {
    /// List the entries, as `vswitch fdb` does
    #[command(visible_alias = "list")]
    Ls,
    /// Add a static entry
    Add {
        #[command(flatten)]
        key: KeyArgs,
        /// Name of the attachment, or of the bridge for the host's port
        #[arg(long, value_name = "NAME", value_parser = value::name)]
        port: String,
    },
    /// Delete a static entry
    Del {
        #[command(flatten)]
        key: KeyArgs,
    },
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// A unicast MAC address
    #[arg(value_parser = value::mac)]
    mac: MacAddr,
    /// The network that it is on [default: the first one]
    #[arg(long, value_name = "NETWORK", value_parser = value::name)]
    network: Option<String>,
    /// VLAN id; 0 is untagged
    #[arg(long, value_name = "ID", default_value_t = 0)]
    #[arg(value_parser = clap::value_parser!(u16).range(0..=4094))]
    vlan: u16,
}

impl From<KeyArgs> for EntryKey {
    fn from(args: KeyArgs) -> Self {
        Self { mac: args.mac, network: args.network, vlan: args.vlan }
    }
}

impl FdbArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        match self.command.unwrap_or(FdbCommand::Ls) {
            FdbCommand::Ls => {
                let entries = client.wait(client.fdb())?;
                output::show(global.format, &entries, |entries| render(entries))?;
            }
            FdbCommand::Add { key, port } => {
                let entry = StaticEntry { key: key.into(), port };
                client.wait(client.set_static(&entry))?;
                let done = format!("{} is behind {}", entry.key.mac, entry.port);
                output::done(global.format, &done)?;
            }
            FdbCommand::Del { key } => {
                let key = EntryKey::from(key);
                client.wait(client.remove_static(&key))?;
                output::done(global.format, &format!("{} is forgotten", key.mac))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn render(entries: &[FdbEntry]) -> String {
    let columns =
        [Text("NETWORK"), Number("VLAN"), Text("MAC"), Text("PORT"), Number("AGE"), Text("KIND")];
    table::table(
        columns,
        entries.iter().map(|entry| {
            let (age, kind) = match entry.is_static {
                true => ("-".to_owned(), "static"),
                false => (human::seconds(entry.age_s), "learnt"),
            };
            let vlan = if entry.vlan == 0 { "-".to_owned() } else { entry.vlan.to_string() };
            [
                entry.network.clone(),
                vlan,
                entry.mac.to_string(),
                entry.port.clone(),
                age,
                kind.to_owned(),
            ]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_entries_have_no_age() {
        let entry = |vlan, mac: &str, age_s, is_static| FdbEntry {
            network: "br0".into(),
            vlan,
            mac: mac.parse().unwrap(),
            port: "a".into(),
            age_s,
            is_static,
        };
        let entries =
            [entry(0, "02:00:00:00:00:0a", 75, false), entry(100, "02:00:00:00:00:0b", 0, true)];
        assert_eq!(
            render(&entries),
            "\
NETWORK  VLAN  MAC                PORT     AGE  KIND
br0         -  02:00:00:00:00:0a  a     1m 15s  learnt
br0       100  02:00:00:00:00:0b  a          -  static
"
        );
    }
}
