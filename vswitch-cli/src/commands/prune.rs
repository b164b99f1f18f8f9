//! `vswitch prune`: detach what nobody can reach any more.

use std::process::ExitCode;

use clap::Args;
use vswitch_api::port::Pruned;

use crate::error::Outcome;
use crate::global::Global;
use crate::output;

/// Detach containers whose namespace is gone for everybody
///
/// A namespace that ends is detached by itself. This is for one that lives on without a process or a name,
/// since an open file or a forgotten mount keeps it. Running containers, networks and stored state stay.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PruneArgs {}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch prune";

impl PruneArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        output::show(global.format, &client.wait(client.prune())?, said)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn said(pruned: &Pruned) -> String {
    if pruned.detached.is_empty() {
        return "nothing to prune: every namespace has a process or a name\n".to_owned();
    }
    pruned.detached.iter().map(|name| format!("{name} is detached\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_detached() {
        let pruned =
            |names: &[&str]| Pruned { detached: names.iter().map(|&n| n.into()).collect() };
        assert_eq!(said(&pruned(&["a", "b"])), "a is detached\nb is detached\n");
        assert!(said(&pruned(&[])).starts_with("nothing to prune"));
    }
}
