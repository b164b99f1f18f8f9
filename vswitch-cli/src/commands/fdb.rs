//! `vswitch fdb`: the forwarding database.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use vswitch_api::fdb::{EntryKey, FdbEntry, StaticEntry};
use wire::MacAddr;

use crate::client::Named;
use crate::error::Outcome;
use crate::global::Global;
use crate::list::{self, Field, FilterKey, ListArgs, Row};
use crate::{complete, human, output, value};

/// Show and change the forwarding database
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FdbArgs {
    #[command(subcommand)]
    command: Option<FdbCommand>,
    #[command(flatten)]
    ls: LsArgs,
}

const EXAMPLES: &str = "\
Filters are port, mac, network, vlan and kind (learnt or static).

Examples:
  vswitch fdb                                           every known MAC address
  vswitch fdb --port web
  vswitch fdb --mac 02:00:00:00:00:0a -o json
  vswitch fdb --filter kind=static --sort vlan
  sudo vswitch fdb add 02:00:00:00:00:0a --port web     a static entry: neither ages nor moves
  sudo vswitch fdb del 02:00:00:00:00:0a";

#[derive(Debug, Subcommand)]
enum FdbCommand {
    /// List the entries, as `vswitch fdb` does
    #[command(alias = "list")]
    Ls {
        #[command(flatten)]
        ls: LsArgs,
    },
    /// Add a static entry
    Add {
        #[command(flatten)]
        key: KeyArgs,
        /// Name of the attachment, or of the bridge for the host's port
        #[arg(long, value_name = "NAME", value_parser = value::name)]
        #[arg(add = ArgValueCompleter::new(complete::ports))]
        port: String,
    },
    /// Delete a static entry
    Del {
        #[command(flatten)]
        key: KeyArgs,
    },
}

/// Which entries
#[derive(Debug, Default, PartialEq, Eq, Args)]
struct LsArgs {
    /// Entries of this port: an attachment, or the bridge for the host's port
    #[arg(long, value_name = "NAME", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::ports))]
    port: Option<String>,
    /// The entry of this MAC address
    #[arg(long, value_name = "MAC", value_parser = value::mac)]
    #[arg(add = ArgValueCompleter::new(complete::macs))]
    mac: Option<MacAddr>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// A unicast MAC address
    #[arg(value_parser = value::mac, add = ArgValueCompleter::new(complete::macs))]
    mac: MacAddr,
    /// The network that it is on [default: the first one]
    #[arg(long, value_name = "NETWORK", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::networks))]
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
        if self.command.is_some() {
            list::behind(&self.ls, "vswitch fdb")?;
        }
        match self.command {
            None => self.ls.execute(global)?,
            Some(FdbCommand::Ls { ls }) => ls.execute(global)?,
            Some(FdbCommand::Add { key, port }) => {
                let client = global.client()?;
                let entry = StaticEntry { key: key.into(), port };
                client.wait_for(Named::Port, &entry.port, client.set_static(&entry))?;
                let done = format!("{} is behind {}", entry.key.mac, entry.port);
                output::done(global.format, &done)?;
            }
            Some(FdbCommand::Del { key }) => {
                let client = global.client()?;
                let key = EntryKey::from(key);
                client.wait(client.remove_static(&key))?;
                output::done(global.format, &format!("{} is forgotten", key.mac))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl LsArgs {
    fn execute(self, global: &Global) -> Outcome<()> {
        let plan = self.list.plan(global.format)?;
        let client = global.client()?;
        if let Some(port) = &self.port {
            client.check(Named::Port, port)?;
        }
        let mut entries = client.wait(client.fdb())?;
        let of_port =
            |entry: &FdbEntry, port: &String| value::is_called(&entry.port, &entry.network, port);
        entries.retain(|entry| self.port.as_ref().is_none_or(|port| of_port(entry, port)));
        entries.retain(|entry| self.mac.is_none_or(|mac| mac == entry.mac));
        plan.show(entries)
    }
}

impl Row for FdbEntry {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NETWORK", |entry| entry.network.clone()),
        Field::number(
            "VLAN",
            |entry| entry.vlan.into(),
            |vlan| match vlan {
                0 => "-".to_owned(),
                vlan => vlan.to_string(),
            },
        ),
        Field::text("MAC", |entry| entry.mac.to_string()),
        Field::text("PORT", |entry| entry.port.clone()),
        Field::number("AGE", age, |age| match age {
            u64::MAX => "-".to_owned(),
            age => human::seconds(age),
        }),
        Field::text("KIND", |entry| kind(entry).to_owned()),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("port", |entry, value| entry.port == value),
        ("mac", |entry, value| entry.mac.to_string() == value.to_ascii_lowercase()),
        ("network", |entry, value| entry.network == value),
        ("vlan", |entry, value| entry.vlan.to_string() == value),
        ("kind", |entry, value| kind(entry) == value),
    ];

    fn name(&self) -> String {
        self.mac.to_string()
    }

    fn sort_key(&self) -> String {
        format!("{} {}", self.port, self.mac)
    }
}

/// Seconds since the last frame; static entries have no age.
fn age(entry: &FdbEntry) -> u64 {
    if entry.is_static { u64::MAX } else { entry.age_s }
}

const fn kind(entry: &FdbEntry) -> &'static str {
    if entry.is_static { "static" } else { "learnt" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

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
        let plan = ListArgs::default().plan::<FdbEntry>(Format::Table).unwrap();
        assert_eq!(
            plan.render(&entries),
            "\
NETWORK  VLAN  MAC                PORT     AGE  KIND
br0         -  02:00:00:00:00:0a  a     1m 15s  learnt
br0       100  02:00:00:00:00:0b  a          -  static
"
        );
    }
}
