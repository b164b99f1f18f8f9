//! `vswitch unpublish`: end a publication.

use clap::Args;
use clap_complete::ArgValueCompleter;
use vswitch_api::publish::{PortSpec, PublicationKey};

use crate::client::Named;
use crate::error::Outcome;
use crate::global::Global;
use crate::{complete, output, several, value};

/// End publications of a container
///
/// Deletes their connections and frees the host's ports.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UnpublishArgs {
    /// Name of the attachment
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::attachments))]
    name: String,
    /// The ports, as they were published or as `vswitch publish ls` shows them
    #[arg(value_name = "[ADDR:]HOST[-HOST]:CONT[-CONT][/tcp|udp|sctp]", required = true)]
    #[arg(add = ArgValueCompleter::new(complete::publications))]
    ports: Vec<PortSpec>,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch unpublish web 8080:80
  sudo vswitch unpublish web 8080:80 8443:443
  sudo vswitch unpublish web 80          whatever ports were picked for the container's port 80
  sudo vswitch unpublish dns 192.0.2.1:53:53/udp";

impl UnpublishArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let (client, name) = (global.client()?, &self.name);
        several::each(self.ports, |ports| {
            let key = PublicationKey { ports };
            let ended = client.wait_for(Named::Attachment, name, client.unpublish(name, &key))?;
            output::show(global.format, &ended, |ended| {
                ended
                    .iter()
                    .map(|one| format!("{name} no longer publishes {}\n", one.ports))
                    .collect()
            })
        })
    }
}
