//! Builds of this switch that are measured: a program, and how it is started.
//!
//! One that was asked for cut-through of local TCP (`--cut-through`) and has it not is left out with the reason, and
//! not measured as if it had.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::shell;

/// Of `vswitch up`.
const CUT_THROUGH: &str = "--cut-through";

/// A program and how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Build {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// Options of `vswitch up`.
    pub(crate) args: Vec<String>,
    /// Whether it takes part in the loads over the uplink, and as a network of Docker's.
    pub(crate) is_main: bool,
    /// Rounds that it takes part in where the user names no contenders.
    pub(crate) rounds_max: usize,
}

impl Build {
    /// Fails where it is given an option that its program does not know.
    pub(super) fn ensure_known(&self) -> Result<()> {
        if !self.wants_cut_through() {
            return Ok(());
        }
        let help = shell::run(Command::new(&self.program).args(["up", "--help"]));
        let help = help.context("options of the switch")?;
        ensure!(has_option(&help), "{} knows no {CUT_THROUGH}", self.program.display());
        Ok(())
    }

    /// Fails where its daemon says by `status` that something is not on that it is to be measured with.
    pub(super) fn ensure_on(&self, status: &Value) -> Result<()> {
        let shown = &status["cut_through"];
        let state = shown["state"].as_str().unwrap_or("not in its status");
        let reason = shown["reason"].as_str().unwrap_or("no reason given");
        let is_met = !self.wants_cut_through() || state == "on";
        ensure!(is_met, "cut-through is {state}: {reason}");
        Ok(())
    }

    fn wants_cut_through(&self) -> bool {
        self.args.iter().any(|arg| arg.split('=').next() == Some(CUT_THROUGH))
    }
}

fn has_option(help: &str) -> bool {
    help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').any(|word| word == CUT_THROUGH)
}

#[cfg(test)]
mod tests;
