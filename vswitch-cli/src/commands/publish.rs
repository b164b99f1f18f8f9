//! `vswitch publish`: publish ports of an attached container at runtime, and list those of all.

mod ls;

#[cfg(test)]
pub(crate) use ls::Published;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use vswitch_api::publish::{PortSpec, Prefix, Publication};

use crate::client::Named;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::list::ListArgs;
use crate::{complete, output, publish, several, value};

/// Publish ports of an attached container
///
/// Takes effect at once and survives a restart. The container sees the client's address.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct PublishArgs {
    #[command(subcommand)]
    command: Option<PublishCommand>,
    /// Name of the attachment
    #[arg(value_parser = value::name, required = true)]
    #[arg(add = ArgValueCompleter::new(complete::attachments))]
    name: Option<String>,
    /// The ports, as in `run -p`: without a host port one is picked and printed
    #[arg(value_name = "[ADDR:]HOST[-HOST]:CONT[-CONT][/tcp|udp|sctp]", required = true)]
    ports: Vec<PortSpec>,
    /// Sources that may connect [default: all]
    #[arg(long, value_name = "ADDRESS|SUBNET", value_delimiter = ',')]
    allow_from: Vec<Prefix>,
}

const EXAMPLES: &str = "\
Published ports bypass the host's own firewall: --allow-from limits the sources.

Examples:
  sudo vswitch publish web 8080:80
  sudo vswitch publish web 8080:80 8443:443
  sudo vswitch publish web 80                              a free port of the host
  sudo vswitch publish dns 192.0.2.1:53:53/udp             at one address of the host
  sudo vswitch publish web '[::]:8080:80'                  at its IPv6 addresses only
  sudo vswitch publish game 27000-27100:27000-27100/udp
  sudo vswitch publish db 5432:5432 --allow-from 10.0.0.0/8,2001:db8::/32
  vswitch publish ls                                       all published ports

Undo it with `vswitch unpublish`.";

#[derive(Debug, Subcommand)]
enum PublishCommand {
    /// List the published ports of all containers
    #[command(alias = "list", after_help = ls::EXAMPLES)]
    Ls {
        #[command(flatten)]
        list: ListArgs,
    },
}

impl PublishArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        if let Some(PublishCommand::Ls { list }) = self.command {
            if self.name.is_some() || !self.allow_from.is_empty() {
                return Err(Failure::usage("`vswitch publish ls` has no name before `ls`"));
            }
            ls::execute(list, global)?;
            return Ok(ExitCode::SUCCESS);
        }
        // clap requires a name.
        let name =
            self.name.ok_or_else(|| Failure::usage("the name of an attachment is needed"))?;
        let client = global.client()?;
        several::each(self.ports, |ports| {
            let wanted = Publication { ports, allow_from: self.allow_from.clone() };
            let request = client.publish(&name, &wanted);
            let published = client.wait_for(Named::Attachment, &name, request)?;
            let said = |published: &Publication| {
                format!("{name} publishes {}\n", publish::line(published))
            };
            output::show(global.format, &published, said)
        })
    }
}
