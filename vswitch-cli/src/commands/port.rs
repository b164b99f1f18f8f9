//! `vswitch port`: show and change port settings.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::port_settings::{self, PortSettingsArgs};
use crate::{output, value};

/// Show and change port settings
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PortArgs {
    #[command(subcommand)]
    command: PortCommand,
}

const EXAMPLES: &str = "\
Changes take effect at once and survive a restart. The bridge's name stands for the host's own port.

Examples:
  vswitch port show web
  sudo vswitch port set web --access 10
  sudo vswitch port set router --trunk 10,20-29 --native 10
  sudo vswitch port set web --guard off
  sudo vswitch port set tenant --isolation isolated
  sudo vswitch port set br0 --trunk 10 --native untagged     the host reaches VLAN 10, too";

#[derive(Debug, Subcommand)]
enum PortCommand {
    /// Show the settings of a port
    Show {
        /// Name of the attachment, or of the bridge for the host's port
        #[arg(value_parser = value::name)]
        name: String,
    },
    /// Change settings of a port at runtime; the others stay
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
                    return Err(Failure::usage(format!("no setting to change for {name}"))
                        .with_hint("see `vswitch port set --help` for the settings"));
                }
                client.wait(client.change_port_settings(&name, &change))?
            }
        };
        output::show(global.format, &settings, port_settings::render)?;
        Ok(ExitCode::SUCCESS)
    }
}
