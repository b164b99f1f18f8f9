//! `vswitch network connect` and `disconnect`.

use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use vswitch_api::network::EndpointRequest;
use vswitch_api::port::Configure;

use crate::client::Named;
use crate::commands::attach;
use crate::endpoint::EndpointArgs;
use crate::error::Outcome;
use crate::global::Global;
use crate::{complete, output, value};

/// Connect a running container to a further network
///
/// It gets a further interface. The network with the highest --gw-priority gives the default route; of
/// equals, one that reaches the world before an internal one, then the first by name.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ConnectArgs {
    /// Name of the network
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::networks))]
    network: String,
    /// Name of the attachment
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::attachments))]
    name: String,
    /// What is configured in the namespace: static addresses and routes, or none, for an endpoint that
    /// configures itself [default: static]
    #[arg(long, value_name = "static|none")]
    configure: Option<Configure>,
    #[command(flatten)]
    endpoint: EndpointArgs,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch network connect blue web
  sudo vswitch network connect --ip 10.5.0.7 --alias api blue web
  sudo vswitch network connect --gw-priority 1 blue web
  sudo vswitch network connect --mac 02:00:00:00:00:0a --ifname lan0 blue web

Undo it with `vswitch network disconnect NETWORK NAME`.";

impl ConnectArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let configure = self.configure.unwrap_or_default();
        let request = EndpointRequest { configure, ..self.endpoint.connect(self.name) };
        let client = global.client()?;
        client.check(Named::Network, &self.network)?;
        let connected = client.connect_endpoint(&self.network, &request);
        let port = client.wait_for(Named::Attachment, &request.name, connected)?;
        output::show(global.format, &port, attach::render)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Disconnect a container from a network
///
/// Another of its networks gives the default route then, and has its published ports.
#[derive(Debug, Args)]
#[command(after_help = DISCONNECT_EXAMPLES)]
pub(crate) struct DisconnectArgs {
    /// Name of the network
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::networks))]
    network: String,
    /// Name of the attachment
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::attachments))]
    name: String,
}

const DISCONNECT_EXAMPLES: &str = "\
Examples:
  sudo vswitch network disconnect blue web";

impl DisconnectArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        client.check(Named::Network, &self.network)?;
        let disconnected = client.disconnect_endpoint(&self.network, &self.name);
        client.wait_for(Named::Attachment, &self.name, disconnected)?;
        let said = format!("{} is no longer connected to {}", self.name, self.network);
        output::done(global.format, &said)?;
        Ok(ExitCode::SUCCESS)
    }
}
