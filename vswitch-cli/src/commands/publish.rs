//! `vswitch publish`: publish a port of an attached container at runtime.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::publish::{PortSpec, Prefix, Publication};

use crate::error::Outcome;
use crate::global::Global;
use crate::{output, publish, value};

/// Publish a port of an attached container
///
/// Takes effect at once and survives a restart. The container sees the client's address.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PublishArgs {
    /// Name of the attachment
    #[arg(value_parser = value::name)]
    name: String,
    /// The ports, as in `run -p`: without a host port one is picked and printed
    #[arg(value_name = "[ADDR:]HOST[-HOST]:CONT[-CONT][/tcp|udp|sctp]")]
    ports: PortSpec,
    /// Sources that may connect [default: all]
    #[arg(long, value_name = "ADDRESS|SUBNET", value_delimiter = ',')]
    allow_from: Vec<Prefix>,
}

const EXAMPLES: &str = "\
Published ports bypass the host's own firewall: --allow-from limits the sources.

Examples:
  sudo vswitch publish web 8080:80
  sudo vswitch publish web 80                              a free port of the host
  sudo vswitch publish dns 192.0.2.1:53:53/udp             at one address of the host
  sudo vswitch publish web '[::]:8080:80'                  at its IPv6 addresses only
  sudo vswitch publish game 27000-27100:27000-27100/udp
  sudo vswitch publish db 5432:5432 --allow-from 10.0.0.0/8,2001:db8::/32

Undo it with `vswitch unpublish`; `vswitch inspect` lists publications.";

impl PublishArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let wanted = Publication { ports: self.ports, allow_from: self.allow_from };
        let client = global.client()?;
        let published = client.wait(client.publish(&self.name, &wanted))?;
        let said = |published: &Publication| {
            format!("{} publishes {}\n", self.name, publish::line(published))
        };
        output::show(global.format, &published, said)?;
        Ok(ExitCode::SUCCESS)
    }
}
