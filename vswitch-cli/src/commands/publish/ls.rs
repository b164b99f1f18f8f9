//! `vswitch publish ls`: the published ports of all containers.

use serde::Serialize;
use vswitch_api::error::ErrorCode;
use vswitch_api::port::Port;
use vswitch_api::publish::{PortSpec, Prefix, Publication};
use vswitch_client::ClientError;

use crate::commands::ls::has_port;
use crate::error::Outcome;
use crate::global::Global;
use crate::list::{Field, FilterKey, ListArgs, Row, contains};
use crate::table;

pub(super) const EXAMPLES: &str = "\
Filters are name (a part of it), network, port (of the host), protocol and state (open or pending). A
publication is pending while the host refuses its port; -o wide says why.

Examples:
  vswitch publish ls
  vswitch publish ls --filter state=pending -o wide
  vswitch publish ls -o json | jq -r '.[].ports'";

/// A published port; the keys are stable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Published {
    /// Name of the attachment.
    name: String,
    /// Its network.
    network: String,
    /// The ports.
    ports: PortSpec,
    /// Sources that may connect; absent if all may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow_from: Vec<Prefix>,
    /// `open` or `pending`.
    state: &'static str,
    /// The reason why it is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// Lists the publications of all attachments.
pub(super) fn execute(list: ListArgs, global: &Global) -> Outcome<()> {
    let plan = list.plan(global.format)?;
    let client = global.client()?;
    let mut rows = Vec::new();
    for port in client.wait(client.ports())?.iter().filter(|port| !port.publish.is_empty()) {
        let full_name = format!("{}@{}", port.name, port.network);
        match client.wait(client.publications(&full_name)) {
            Ok(all) => rows.extend(all.into_iter().map(|one| Published::new(port, one))),
            // Detached meanwhile.
            Err(ClientError::Api(error)) if error.code == ErrorCode::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    plan.show(rows)
}

impl Published {
    fn new(port: &Port, publication: Publication) -> Self {
        let pending = port.publish_pending.iter().find(|one| one.ports == publication.ports);
        Self {
            name: port.name.clone(),
            network: port.network.clone(),
            ports: publication.ports,
            allow_from: publication.allow_from,
            state: if pending.is_some() { "pending" } else { "open" },
            reason: pending.map(|one| one.reason.clone()),
        }
    }

    fn shown_state(&self) -> String {
        if self.reason.is_some() { table::alert(self.state) } else { self.state.to_owned() }
    }
}

impl Row for Published {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NAME", |row| row.name.clone()),
        Field::text("NETWORK", |row: &Self| row.network.clone()).wide(),
        Field::text("PORTS", |row| row.ports.to_string()),
        Field::text("STATE", Published::shown_state),
        Field::text("FROM", |row| match row.allow_from.as_slice() {
            [] => "all".to_owned(),
            prefixes => table::list(prefixes),
        }),
        Field::text("REASON", |row: &Self| table::list(&row.reason)).wide(),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("name", |row, value| contains(&row.name, value)),
        ("network", |row, value| row.network == value),
        ("port", |row, value| has_port(&row.ports, value)),
        ("protocol", |row, value| row.ports.protocol().to_string() == value),
        ("state", |row, value| row.state == value),
    ];

    fn name(&self) -> String {
        self.ports.to_string()
    }

    fn sort_key(&self) -> String {
        format!("{} {}", self.name, self.ports)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, painted};

    #[test]
    fn a_row_a_publication() {
        let row = |name: &str, ports: &str, from: &[&str], reason: Option<&str>| Published {
            name: name.into(),
            network: "br0".into(),
            ports: ports.parse().unwrap(),
            allow_from: from.iter().map(|prefix| prefix.parse().unwrap()).collect(),
            state: if reason.is_some() { "pending" } else { "open" },
            reason: reason.map(str::to_owned),
        };
        let rows = vec![
            row("web", "8443:443", &["10.0.0.0/8"], None),
            row("web", "8080:80", &[], None),
            row("dns", "53:53/udp", &[], Some("port 53/udp is taken")),
        ];
        let plan = ListArgs::default().plan::<Published>(Format::Table).unwrap();
        let shown = painted(&plan.render(&plan.select(rows)), false);
        assert_eq!(
            shown,
            "\
NAME  PORTS         STATE    FROM
dns   53:53/udp     pending  all
web   8080:80/tcp   open     all
web   8443:443/tcp  open     10.0.0.0/8
"
        );
    }
}
