//! `vswitch completions`: completion scripts for shells.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use crate::error::Outcome;
use crate::output;

/// Print the completion script of a shell
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
  vswitch completions fish > ~/.config/fish/completions/vswitch.fish";

impl CompletionsArgs {
    pub(crate) fn execute(self, mut cli: clap::Command) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut cli, "vswitch", &mut script);
        output::bytes(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
