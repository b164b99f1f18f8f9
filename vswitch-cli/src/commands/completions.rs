//! `vswitch completions`: completion scripts for shells.

use std::process::ExitCode;

use clap::Args;

use crate::complete::{self, Shell};
use crate::error::Outcome;
use crate::output;

/// Print the completion script of a shell
///
/// It completes commands, options, and the names that the daemon knows. Only root may ask the daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// Shell that reads the script
    #[arg(value_enum)]
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  vswitch completions bash | sudo tee /etc/bash_completion.d/vswitch
  vswitch completions zsh > ~/.zfunc/_vswitch
  vswitch completions fish > ~/.config/fish/completions/vswitch.fish
  source <(vswitch completions bash)                in this shell only";

impl CompletionsArgs {
    pub(crate) fn execute(self) -> Outcome {
        let mut script = Vec::new();
        complete::script(self.shell, &mut script)?;
        output::bytes(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
