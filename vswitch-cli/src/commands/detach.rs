//! `vswitch detach`: detach containers.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::client::Named;
use crate::error::Outcome;
use crate::global::Global;
use crate::{complete, output, several, value};

/// Detach containers; removes their interfaces and frees their addresses
///
/// Each is done whatever becomes of the others. The exit code is that of the first failure.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DetachArgs {
    /// Names of attachments
    #[arg(value_parser = value::name, value_name = "NAME", required_unless_present = "all")]
    #[arg(add = ArgValueCompleter::new(complete::attachments))]
    names: Vec<String>,
    /// Detach all containers
    #[arg(long, conflicts_with = "names")]
    all: bool,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch detach web
  sudo vswitch detach web db cache
  sudo vswitch detach --all
  sudo vswitch detach $(sudo vswitch ls -q --filter label=app=shop)";

impl DetachArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let names = match self.all {
            true => client.names(Named::Attachment)?,
            false => self.names,
        };
        several::each(names, |name| {
            client.wait_for(Named::Attachment, &name, client.detach(&name))?;
            output::done(global.format, &format!("{name} is detached"))
        })
    }
}
