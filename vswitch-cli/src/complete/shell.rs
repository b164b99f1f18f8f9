//! The shells: their scripts, and the answer to them.

use std::io::{self, Write};

use clap_complete::CompleteEnv;
use clap_complete::env::{EnvCompleter, Fish, Zsh};

use super::VARIABLE;

/// Bash cuts words at `:` and `=`, which ports and options have, so it has a script of ours.
const BASH: &str = include_str!("vswitch.bash");

/// zsh reads the script as the function `_vswitch` with the first completion, which it must answer, too.
const ZSH_FIRST: &str =
    "[[ $funcstack[1] == _vswitch ]] && _clap_dynamic_completer_vswitch \"$@\"\n";

/// A shell with completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Writes the script that a shell reads once. It runs this program, found by PATH, for each completion.
pub(crate) fn script(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    const NAME: &str = "vswitch";
    match shell {
        Shell::Bash => out.write_all(BASH.as_bytes()),
        Shell::Fish => Fish.write_registration(VARIABLE, NAME, NAME, NAME, out),
        Shell::Zsh => {
            Zsh.write_registration(VARIABLE, NAME, NAME, NAME, out)?;
            out.write_all(ZSH_FIRST.as_bytes())
        }
    }
}

/// Answers a shell that asks for completions, and ends the program then.
pub(crate) fn serve(cli: impl Fn() -> clap::Command) {
    CompleteEnv::with_factory(cli).var(VARIABLE).complete();
}
