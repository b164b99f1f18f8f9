//! `vswitch man`: manual pages, from the same text as `--help`.

mod page;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command as Process, ExitCode, Stdio};

use clap::{Args, Command, ValueHint};

use crate::error::{Failure, Outcome};
use crate::{output, similar, value};

/// Show a manual page, or write one for every command
///
/// On a terminal the page is shown by man(1); elsewhere its source is printed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ManArgs {
    /// The command, such as `attach` or `network ls` [default: the page of all]
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
    /// Write vswitch.1, vswitch-up.1, ... into this directory, created if absent
    #[arg(long, value_name = "DIR", value_parser = value::path, conflicts_with = "command")]
    #[arg(value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  vswitch man attach
  vswitch man network ls
  vswitch man up | man -l -
  sudo vswitch man --dir /usr/local/share/man/man1";

impl ManArgs {
    pub(crate) fn execute(self, cli: Command) -> Outcome {
        let mut cli = cli.disable_help_subcommand(true);
        cli.build();
        if let Some(dir) = self.dir {
            let cannot = |error| format!("cannot write pages to {}: {error}", dir.display());
            let written = std::fs::create_dir_all(&dir).and_then(|()| write_all(&cli, &dir));
            written.map_err(|error| Failure::new(cannot(error)))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut command = &cli;
        for word in &self.command {
            command = command.find_subcommand(word).ok_or_else(|| unknown(command, word))?;
        }
        let page = page::render(command)?;
        if !(std::io::stdout().is_terminal() && shown(&page)) {
            output::bytes(&page)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes the pages of a command and of those below it.
fn write_all(command: &Command, dir: &Path) -> std::io::Result<()> {
    std::fs::write(dir.join(page::name(command) + ".1"), page::render(command)?)?;
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    below.into_iter().try_for_each(|below| write_all(below, dir))
}

/// Shows a page by man(1); says whether there is one.
fn shown(page: &[u8]) -> bool {
    let man = Process::new("man").args(["-l", "-"]).stdin(Stdio::piped()).spawn();
    let Ok(mut man) = man else { return false };
    if let Some(mut stdin) = man.stdin.take() {
        // A reader who leaves early is no error.
        let _ = stdin.write_all(page);
    }
    man.wait().is_ok_and(|status| status.success())
}

fn unknown(command: &Command, word: &str) -> Failure {
    let known = command.get_subcommands().map(Command::get_name);
    let failure = Failure::usage(format!("there is no command {} {word}", command.get_name()));
    match similar::nearest(word, known) {
        Some(nearest) => failure.with_hint(format!("did you mean {nearest}?")),
        None => failure.with_hint("see `vswitch --help` for the commands"),
    }
}

#[cfg(test)]
mod tests;
