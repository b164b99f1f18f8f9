//! `vswitch rename`: another name for an attachment.

use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use vswitch_api::port::NameChange;

use crate::client::Named;
use crate::error::Outcome;
use crate::global::Global;
use crate::output::{self, Format};
use crate::{complete, value};

/// Give an attached container another name
///
/// At once, on all of its networks. Addresses, connections and published ports stay; static entries and
/// the name in DNS follow. A command of `run` keeps the host name and the /etc/hosts that it began with.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RenameArgs {
    /// Name of the attachment
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::attachments))]
    name: String,
    /// Its new name, which is not taken
    #[arg(value_parser = value::attachment)]
    new: String,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch rename calm-otter web";

impl RenameArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let change = NameChange { name: self.new.clone() };
        let request = client.rename(&self.name, &change);
        let details = client.wait_for(Named::Attachment, &self.name, request)?;
        match global.format {
            Format::Json => output::json(&details)?,
            Format::Table => output::text(&format!("{} is now {}\n", self.name, self.new))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}
