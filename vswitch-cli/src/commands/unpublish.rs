//! `vswitch unpublish`: end a publication.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::publish::{PortSpec, PublicationKey};

use crate::error::Outcome;
use crate::global::Global;
use crate::{output, value};

/// End the publication of a port
///
/// Deletes its connections and frees the host port.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UnpublishArgs {
    /// Name of the attachment
    #[arg(value_parser = value::name)]
    name: String,
    /// The ports, as they were published or as `vswitch inspect` shows them
    #[arg(value_name = "[ADDR:]HOST[-HOST]:CONT[-CONT][/tcp|udp|sctp]")]
    ports: PortSpec,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch unpublish web 8080:80
  sudo vswitch unpublish web 80          whatever ports were picked for the container's port 80
  sudo vswitch unpublish dns 192.0.2.1:53:53/udp";

impl UnpublishArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let key = PublicationKey { ports: self.ports };
        let client = global.client()?;
        client.wait(client.unpublish(&self.name, &key))?;
        output::done(global.format, &format!("{} no longer publishes {}", self.name, self.ports))?;
        Ok(ExitCode::SUCCESS)
    }
}
