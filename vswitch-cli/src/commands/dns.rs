//! `vswitch dns`: names of containers.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use vswitch_api::dns::{DnsAnswer, DnsName, DnsQuery, DnsRecord};

use crate::client::Named;
use crate::error::Outcome;
use crate::global::Global;
use crate::list::{Field, FilterKey, ListArgs, Row, contains};
use crate::table::Column::{Number, Text};
use crate::{complete, output, table, value};

/// Show the names that containers can look up
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DnsArgs {
    #[command(subcommand)]
    command: DnsCommand,
}

const EXAMPLES: &str = "\
Filters of `dns ls` are name (a part of it), network, container and address.

Examples:
  vswitch dns ls
  vswitch dns ls --filter container=web
  vswitch dns query db --as web                   the answer that the container web gets
  vswitch dns query 10.99.0.2 --as web            the name of an address
  vswitch dns query example.com --as web --type MX";

#[derive(Debug, Subcommand)]
enum DnsCommand {
    /// List names and aliases
    #[command(alias = "list")]
    Ls {
        /// Those of one network only
        #[arg(long, value_name = "NETWORK", value_parser = value::name)]
        #[arg(add = ArgValueCompleter::new(complete::networks))]
        network: Option<String>,
        #[command(flatten)]
        list: ListArgs,
    },
    /// Answer a question as a container would ask it
    Query {
        /// The name, or an address for its name
        #[arg(add = ArgValueCompleter::new(complete::dns_names))]
        name: String,
        /// Name of the attachment that asks
        #[arg(long = "as", value_name = "NAME", value_parser = value::name)]
        #[arg(add = ArgValueCompleter::new(complete::attachments))]
        container: String,
        /// Type of the records [default: A; PTR for an address]
        #[arg(long = "type", value_name = "TYPE")]
        #[arg(add = complete::words(&["A", "AAAA", "PTR", "CNAME", "MX", "NS", "SOA", "SRV", "TXT"]))]
        record_type: Option<String>,
    },
}

impl DnsArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        match self.command {
            DnsCommand::Ls { network, list } => {
                let plan = list.plan(global.format)?;
                let client = global.client()?;
                if let Some(network) = &network {
                    client.check(Named::Network, network)?;
                }
                let mut names = client.wait(client.dns_names())?;
                names.retain(|row| network.as_ref().is_none_or(|network| row.network == *network));
                plan.show(names)?;
            }
            DnsCommand::Query { name, container, record_type } => {
                let client = global.client()?;
                let query = DnsQuery { name, container, record_type };
                let request = client.dns_query(&query);
                let answer = client.wait_for(Named::Attachment, &query.container, request)?;
                output::show(global.format, &answer, render)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Row for DnsName {
    const FIELDS: &'static [Field<Self>] = &[
        Field::text("NAME", |row| row.name.clone()),
        Field::text("NETWORK", |row| row.network.clone()),
        Field::text("ADDRESSES", |row| table::list(&row.addresses)),
        Field::text("CONTAINERS", |row| table::list(&row.containers)),
    ];

    const FILTERS: &'static [FilterKey<Self>] = &[
        ("name", |row, value| contains(&row.name, value)),
        ("network", |row, value| row.network == value),
        ("container", |row, value| row.containers.iter().any(|name| name == value)),
        ("address", |row, value| row.addresses.iter().any(|it| it.to_string() == value)),
    ];

    fn name(&self) -> String {
        self.name.clone()
    }

    fn sort_key(&self) -> String {
        format!("{} {}", self.name, self.network)
    }
}

/// The records, or the code of an answer that has none.
fn render(answer: &DnsAnswer) -> String {
    if answer.answers.is_empty() {
        return match answer.code.as_str() {
            "NOERROR" => "NOERROR, no record of that type\n".to_owned(),
            code => format!("{code}\n"),
        };
    }
    let columns = [Text("NAME"), Number("TTL"), Text("TYPE"), Text("DATA")];
    table::table(
        columns,
        answer.answers.iter().map(|DnsRecord { name, ttl_s, record_type, data }| {
            [name.clone(), ttl_s.to_string(), record_type.clone(), data.clone()]
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    #[test]
    fn names_are_listed() {
        let names = [DnsName {
            network: "br0".into(),
            name: "db".into(),
            containers: vec!["db1".into(), "db2".into()],
            addresses: vec![[10, 99, 0, 2].into(), [10, 99, 0, 3].into()],
        }];
        assert_eq!(
            ListArgs::default().plan::<DnsName>(Format::Table).unwrap().render(&names),
            "\
NAME  NETWORK  ADDRESSES             CONTAINERS
db    br0      10.99.0.2, 10.99.0.3  db1, db2
"
        );
    }

    #[test]
    fn an_answer_is_its_records_or_its_code() {
        let record = DnsRecord {
            name: "db.".into(),
            ttl_s: 5,
            record_type: "A".into(),
            data: "10.99.0.2".into(),
        };
        let mut answer = DnsAnswer {
            code: "NOERROR".into(),
            authoritative: true,
            answers: vec![record],
            authorities: Vec::new(),
        };
        assert_eq!(render(&answer), "NAME  TTL  TYPE  DATA\ndb.     5  A     10.99.0.2\n");
        answer.answers.clear();
        assert_eq!(render(&answer), "NOERROR, no record of that type\n");
        answer.code = "NXDOMAIN".into();
        assert_eq!(render(&answer), "NXDOMAIN\n");
    }
}
