//! `vswitch man`: manual pages, from the same text as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::error::{Failure, Outcome};
use crate::{output, value};

/// Print the manual page, or write one for every command
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// Write vswitch.1, vswitch-up.1, ... into this directory, created if absent
    #[arg(long, value_name = "DIR", value_parser = value::path)]
    dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  vswitch man | man -l -
  sudo vswitch man --dir /usr/local/share/man/man1";

impl ManArgs {
    pub(crate) fn execute(self, cli: clap::Command) -> Outcome {
        let command = cli.disable_help_subcommand(true);
        match self.dir {
            Some(dir) => {
                std::fs::create_dir_all(&dir)
                    .and_then(|()| clap_mangen::generate_to(command, &dir))
                    .map_err(|error| {
                        Failure::new(format!("cannot write pages to {}: {error}", dir.display()))
                    })?;
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command).render(&mut page)?;
                output::bytes(&page)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
