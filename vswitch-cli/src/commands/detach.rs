//! `vswitch detach`: detach a container.

use std::process::ExitCode;

use clap::Args;

use crate::error::Outcome;
use crate::global::Global;
use crate::{output, value};

/// Detach a container; removes its interface and frees its addresses
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DetachArgs {
    /// Name of the attachment
    #[arg(value_parser = value::name)]
    name: String,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch detach web";

impl DetachArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        client.wait(client.detach(&self.name))?;
        output::done(global.format, &format!("{} is detached", self.name))?;
        Ok(ExitCode::SUCCESS)
    }
}
