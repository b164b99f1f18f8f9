//! `vswitch port`: show and change port settings.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::client::Named;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::port_settings::{self, Defaults, PortSettingsArgs};
use crate::{complete, output, value};

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
        #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::ports))]
        name: String,
    },
    /// Change settings of a port at runtime; the others stay
    Set {
        /// Name of the attachment, or of the bridge for the host's port
        #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::ports))]
        name: String,
        #[command(flatten)]
        settings: PortSettingsArgs,
    },
}

impl PortArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let (name, settings) = match self.command {
            PortCommand::Show { name } => {
                let request = client.port_settings(&name);
                let settings = client.wait_for(Named::Port, &name, request)?;
                (name, settings)
            }
            PortCommand::Set { name, settings } => {
                let change = settings.change()?;
                if change.is_empty() {
                    return Err(Failure::usage(format!("no setting to change for {name}"))
                        .with_hint("see `vswitch port set --help` for the settings"));
                }
                let request = client.change_port_settings(&name, &change);
                let settings = client.wait_for(Named::Port, &name, request)?;
                (name, settings)
            }
        };
        let is_host = client.names(Named::Network)?.contains(&name);
        let defaults = match is_host {
            true => Defaults::of_hosts(),
            false => Defaults::of_containers(&client.wait(client.limits())?),
        };
        output::show(global.format, &settings, |settings| {
            port_settings::render(settings, &defaults)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
