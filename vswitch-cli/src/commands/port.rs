//! `vswitch port`: what a port may do, and changing it while it works.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::port_settings::{self, PortSettingsArgs};
use crate::{output, value};

/// Show and change what a port may do
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PortArgs {
    #[command(subcommand)]
    command: PortCommand,
}

const EXAMPLES: &str = "\
Changes take effect at once and are kept. The bridge's name stands for the host's own port.

Examples:
  vswitch port show web
  sudo vswitch port set web --access 10
  sudo vswitch port set router --trunk 10,20-29 --native 10
  sudo vswitch port set web --guard off
  sudo vswitch port set tenant --isolation isolated
  sudo vswitch port set br0 --trunk 10 --native untagged     the host reaches VLAN 10, too";

#[derive(Debug, Subcommand)]
enum PortCommand {
    /// Show what a port may do
    Show {
        /// Name of the attachment, or of the bridge for the host's port
        #[arg(value_parser = value::name)]
        name: String,
    },
    /// Change what a port may do, while it works; what is not named stays
    Set {
        /// Name of the attachment, or of the bridge for the host's port
        #[arg(value_parser = value::name)]
        name: String,
        #[command(flatten)]
        settings: PortSettingsArgs,
    },
}

impl PortArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let settings = match self.command {
            PortCommand::Show { name } => client.wait(client.port_settings(&name))?,
            PortCommand::Set { name, settings } => {
                let change = settings.change()?;
                if change.is_empty() {
                    return Err(Failure::usage(format!("nothing to change of {name}"))
                        .with_hint("see `vswitch port set --help` for what there is"));
                }
                client.wait(client.change_port_settings(&name, &change))?
            }
        };
        output::show(global.format, &settings, port_settings::render)?;
        Ok(ExitCode::SUCCESS)
    }
}
