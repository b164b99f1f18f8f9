//! `vswitch ls`: the attached containers.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use vswitch_api::port::{Port, PortState};
use vswitch_api::publish::PortSpec;

use crate::error::Outcome;
use crate::global::Global;
use crate::list::{Field, FilterKey, ListArgs, Row, contains};
use crate::{human, table};

/// List the attached containers
#[derive(Debug, Args)]
#[command(alias = "list", alias = "ps", after_help = EXAMPLES)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    list: ListArgs,
}

const EXAMPLES: &str = "\
Directions are the switch's: RX came from the container. Filters are name (a part of it), network,
label (KEY or KEY=VALUE), state, address, alias and port (published). -o wide adds the columns
NETWORK, IPV6, MAC, IFNAME, NETNS, ALIASES and LABELS. A container on several networks has a row for each,
as NAME@NETWORK.

Examples:
  vswitch ls
  vswitch ls -o wide
  vswitch ls --sort -drops
  vswitch ls -o columns=NAME,MAC,IPV6
  vswitch ls --filter network=br0 --filter label=app=shop
  sudo vswitch detach $(sudo vswitch ls -q --filter name=test)
  vswitch ls --format json | jq -r '.[] | .name + \" \" + .ipv4[0]'";

impl LsArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let plan = self.list.plan(global.format)?;
        let client = global.client()?;
        plan.show(client.wait(client.ports())?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Row for Port {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NAME", |port| port.name.clone()),
        Field::text("NETWORK", |port: &Self| port.network.clone()).wide(),
        Field::text("STATE", |port| state(port.state)),
        Field::text("IPV4", |port| table::list(&port.ipv4)),
        Field::text("IPV6", |port: &Self| table::list(&port.ipv6)).wide(),
        Field::text("MAC", |port: &Self| port.mac.to_string()).wide(),
        Field::text("IFNAME", |port: &Self| port.ifname.clone()).wide(),
        Field::text("NETNS", |port: &Self| netns(&port.netns)).wide(),
        Field::text("ALIASES", |port: &Self| table::list(&port.aliases)).wide(),
        Field::text("LABELS", |port: &Self| table::list(labels(&port.labels))).wide(),
        Field::number("RX", |port| port.traffic.rx_bytes, human::bytes),
        Field::number("TX", |port| port.traffic.tx_bytes, human::bytes),
        Field::number("DROPS", |port| port.drops, drops),
        Field::text("PUBLISHED", |port: &Self| {
            table::list(port.publish.iter().map(|ports| published(port, ports)))
        })
        .short(published_short),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("name", |port, value| contains(&port.name, value)),
        ("network", |port, value| port.network == value),
        ("label", |port, value| has_label(&port.labels, value)),
        ("state", |port, value| port.state.name() == value),
        ("alias", |port, value| port.aliases.iter().any(|alias| alias == value)),
        ("address", |port, value| {
            let v4 = port.ipv4.iter().any(|address| address.to_string() == value);
            v4 || port.ipv6.iter().any(|address| address.to_string() == value)
        }),
        ("port", |port, value| port.publish.iter().any(|ports| has_port(ports, value))),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn full_name(&self) -> Option<String> {
        Some(format!("{}@{}", self.name, self.network))
    }

    fn sort_key(&self) -> String {
        format!("{} {}", self.name, self.network)
    }
}

/// Labels as `KEY=VALUE`.
pub(crate) fn labels(labels: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    labels.iter().map(|(key, value)| format!("{key}={value}"))
}

/// `KEY`, or `KEY=VALUE`.
pub(crate) fn has_label(labels: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        Some((key, value)) => labels.get(key).is_some_and(|label| label == value),
        None => labels.contains_key(wanted),
    }
}

/// Whether a port of the host is among the published ones.
pub(crate) fn has_port(ports: &PortSpec, wanted: &str) -> bool {
    let number = wanted.parse::<u16>().ok();
    let host = ports.host().zip(number);
    host.is_some_and(|(host, number)| (host.first()..=host.last()).contains(&number))
}

fn state(state: PortState) -> String {
    match state {
        PortState::Up => state.to_string(),
        _ => table::alert(state),
    }
}

/// A count of drops, in colour where there are any.
pub(crate) fn drops(drops: u64) -> String {
    if drops == 0 { human::count(0) } else { table::warning(human::count(drops)) }
}

/// The namespace; that of `run` is `run:PID`, since its path says nothing to people.
pub(crate) fn netns(netns: &str) -> String {
    let of_thread = netns.strip_prefix("/proc/").and_then(|rest| rest.split_once("/task/"));
    match of_thread {
        Some((pid, thread)) if thread.ends_with("/ns/net") => format!("run:{pid}"),
        _ => netns.to_owned(),
    }
}

/// A publication, and whether it is open.
fn published(port: &Port, ports: &PortSpec) -> String {
    let is_open = !port.publish_pending.iter().any(|one| one.ports == *ports);
    if is_open { ports.to_string() } else { table::alert(format_args!("{ports} (pending)")) }
}

/// The first publication, pending ones before others, and the number of the rest.
fn published_short(port: &Port) -> String {
    let pending = port.publish_pending.first().map(|one| one.ports);
    let Some(first) = pending.or_else(|| port.publish.first().copied()) else {
        return table::list::<String>([]);
    };
    let text = first.to_string();
    let text = text.strip_suffix("/tcp").unwrap_or(&text);
    let more = match port.publish.len().saturating_sub(1) {
        0 => String::new(),
        more => format!(" +{more} more"),
    };
    if pending.is_some() {
        return table::alert(format_args!("{text} pending")) + &more;
    }
    format!("{text}{more}")
}

#[cfg(test)]
mod tests;
