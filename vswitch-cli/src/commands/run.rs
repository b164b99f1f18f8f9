//! `vswitch run`: runs a command in a new network namespace that is attached meanwhile.

mod names;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use vswitch::isolate::{self, IsolateError, Mode, Sandbox};
use vswitch_api::error::ErrorCode;
use vswitch_api::port::{AttachRequest, NetnsRef};
use vswitch_api::port_settings::SettingsChange;
use vswitch_api::publish::Publication;
use vswitch_client::ClientError;

use crate::client::{Client, Named};
use crate::commands::attach::{self, AddressArgs};
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::port_settings::PortSettingsArgs;
use crate::publish::{self, PublishArgs};
use crate::value::{self, NetworkMode};
use crate::{complete, output};
use names::NameArgs;

/// Run a command in a network namespace of its own, attached to the switch
///
/// The command sees the caller's files, with a host name, an /etc/hosts and an /etc/resolv.conf of its own.
/// Terminal, signals and exit code pass through; the attachment ends with the command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "vswitch run [OPTIONS] -- <CMD>...")]
pub(crate) struct RunArgs {
    /// Name of the attachment, and of the host inside [default: one is picked]
    #[arg(long, value_name = "NAME", value_parser = value::attachment)]
    name: Option<String>,
    /// Network of the switch [default: the first one], or another kind of network
    #[arg(long, value_name = "NETWORK|host|container:NAME|none")]
    #[arg(value_parser = value::network_mode)]
    #[arg(add = ArgValueCompleter::new(complete::network_modes))]
    network: Option<NetworkMode>,
    #[command(flatten)]
    address: AddressArgs,
    #[command(flatten)]
    publish: PublishArgs,
    #[command(flatten)]
    settings: PortSettingsArgs,
    #[command(flatten)]
    names: NameArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Kinds of network:
  NETWORK           a network of the switch
  host              that of the host, as without vswitch
  container:NAME    that of another attached container
  none              nothing but the loopback device

The exit code is the command's; 128 + N if signal N ended it; 127 if there is no such command.

Examples:
  sudo vswitch run -- bash
  sudo vswitch run --name a -- bash
  sudo vswitch run --name web --ip 10.99.0.80 -- python3 -m http.server 80
  sudo vswitch run --name web -p 8080:80 -- python3 -m http.server 80
  sudo vswitch run --name a --hostname a.example.org --add-host db:10.99.0.7 -- bash
  sudo vswitch run --name a --dns 192.0.2.53 --dns-search example.org -- curl http://www/
  sudo vswitch run --network container:web -- tcpdump -ni eth0
  sudo vswitch run --network none -- make test";

impl RunArgs {
    pub(crate) fn execute(mut self, global: &Global) -> Outcome {
        let settings = std::mem::take(&mut self.settings).change()?;
        let mode = match self.network.clone() {
            None => return self.attached(global, None, settings),
            Some(NetworkMode::Network(network)) => {
                return self.attached(global, Some(network), settings);
            }
            Some(other) if !self.address.is_empty() => {
                return Err(Failure::usage(format!(
                    "addresses and names need a network of the switch, not {other}"
                )));
            }
            Some(other) if !self.publish.is_empty() => {
                return Err(Failure::usage(format!(
                    "--publish needs a network of the switch, not {other}"
                )));
            }
            Some(other) if !settings.is_empty() => {
                return Err(Failure::usage(format!(
                    "port settings need a network of the switch, not {other}"
                )));
            }
            Some(NetworkMode::Host) if !self.names.is_empty() => {
                return Err(Failure::usage(
                    "names inside need a network namespace of their own, not host",
                ));
            }
            Some(NetworkMode::Host) => Mode::Host,
            Some(NetworkMode::None) => Mode::New,
            Some(NetworkMode::Container(name)) => return self.joined(&global.client()?, &name),
        };
        let mut sandbox = Sandbox::new(mode)?;
        let (names, name) = (std::mem::take(&mut self.names), self.name.take());
        names.apply(&mut sandbox, name.as_deref(), &[])?;
        self.enter(sandbox)
    }

    /// Runs the command on a network of the switch.
    fn attached(
        mut self,
        global: &Global,
        network: Option<String>,
        settings: SettingsChange,
    ) -> Outcome {
        let name = self.name.take();
        let is_picked = name.is_none();
        let client = global.client()?;
        // Fail before the namespace is made if no switch answers.
        client.wait(client.daemon_pid())?;
        let mut sandbox = Sandbox::new(Mode::New)?;
        let netns = sandbox.netns_path().ok_or_else(no_namespace)?;
        let address = std::mem::take(&mut self.address);
        let request = AttachRequest {
            settings,
            publish: std::mem::take(&mut self.publish).publications(),
            ..address.request(NetnsRef::Path(netns.to_owned()), network)
        };
        let picks = request.publish.iter().any(|one| one.ports.host().is_none());
        let detail = attach::attach(&client, name, request)?;
        if is_picked {
            output::print_error(&format!("attached as {}\n", detail.port.name));
        }
        if picks {
            say_ports(&detail.publications);
        }
        let (names, name) = (std::mem::take(&mut self.names), detail.port.name.clone());
        let named = names.apply(&mut sandbox, Some(&name), std::slice::from_ref(&detail));
        let outcome = named.and_then(|()| self.enter(sandbox));
        detach(&client, &name);
        outcome
    }

    /// Runs the command in the namespace of another attachment.
    fn joined(mut self, client: &Client, name: &str) -> Outcome {
        let details = client.wait_for(Named::Attachment, name, client.port(name))?;
        let detail = details.first().ok_or_else(no_namespace)?;
        let mut sandbox = Sandbox::new(Mode::Join(detail.netns_path.clone()))?;
        let names = std::mem::take(&mut self.names);
        names.apply(&mut sandbox, Some(name), &details)?;
        self.enter(sandbox)
    }

    fn enter(self, sandbox: Sandbox) -> Outcome {
        // clap requires a command.
        let (program, args) =
            self.command.split_first().ok_or_else(|| Failure::usage("no command"))?;
        let status = sandbox.run(program, args)?;
        Ok(ExitCode::from(isolate::exit_code(status)))
    }
}

/// Prints the picked ports of the host to stderr.
fn say_ports(published: &[Publication]) {
    for publication in published {
        output::print_error(&format!("published {}\n", publish::line(publication)));
    }
}

/// Detaches after the command. The switch may have seen the namespace's end first: it has detached it
/// (`NotFound`), or does so (`Conflict`). A failure here must not hide the command's exit code.
fn detach(client: &Client, name: &str) {
    match client.wait(client.detach(name)) {
        Ok(()) => {}
        Err(ClientError::Api(error))
            if matches!(error.code, ErrorCode::NotFound | ErrorCode::Conflict) => {}
        Err(error) => {
            tracing::warn!(name, %error, "not detached; the switch detaches it by itself")
        }
    }
}

fn no_namespace() -> Failure {
    Failure::new("the sandbox has no network namespace")
}

impl From<IsolateError> for Failure {
    fn from(error: IsolateError) -> Self {
        Self::Told { exit: error.exit_code(), message: error.to_string(), hint: None }
    }
}

#[cfg(test)]
mod tests;
