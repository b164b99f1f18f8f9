//! `vswitch run`: runs a command in a new network namespace that is attached meanwhile.

use std::ffi::OsString;
use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use vswitch::isolate::{self, IsolateError, Mode, Sandbox};
use vswitch_api::error::ErrorCode;
use vswitch_api::port::{AttachRequest, NetnsRef, Port};
use vswitch_api::port_settings::SettingsChange;
use vswitch_api::publish::Publication;
use vswitch_client::ClientError;

use crate::client::Client;
use crate::commands::attach::AddressArgs;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::output;
use crate::port_settings::PortSettingsArgs;
use crate::publish::{self, PublishArgs};
use crate::value::{self, NetworkMode};

/// Run a command in a network namespace of its own, attached to the switch
///
/// The command sees the caller's files, with an /etc/hosts and an /etc/resolv.conf of its own.
/// Terminal, signals and exit code pass through; the attachment ends with the command.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "vswitch run [OPTIONS] --name <NAME> -- <CMD>...")]
pub(crate) struct RunArgs {
    /// Name of the attachment; needed on a network of the switch
    #[arg(long, value_name = "NAME", value_parser = value::attachment)]
    name: Option<String>,
    /// Network of the switch [default: the first one], or another kind of network
    #[arg(long, value_name = "NETWORK|host|container:NAME|none")]
    #[arg(value_parser = value::network_mode)]
    network: Option<NetworkMode>,
    #[command(flatten)]
    address: AddressArgs,
    #[command(flatten)]
    publish: PublishArgs,
    #[command(flatten)]
    settings: PortSettingsArgs,
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
  sudo vswitch run --name a -- bash
  sudo vswitch run --name web --ip 10.99.0.80 -- python3 -m http.server 80
  sudo vswitch run --name web -p 8080:80 -- python3 -m http.server 80
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
            Some(NetworkMode::Host) => Mode::Host,
            Some(NetworkMode::None) => Mode::New,
            Some(NetworkMode::Container(name)) => return self.joined(&global.client()?, &name),
        };
        self.enter(Sandbox::new(mode)?)
    }

    /// Runs the command on a network of the switch.
    fn attached(
        mut self,
        global: &Global,
        network: Option<String>,
        settings: SettingsChange,
    ) -> Outcome {
        let name = self.name.take().ok_or_else(|| {
            Failure::usage("--name is needed on a network of the switch, such as --name a")
        })?;
        let client = global.client()?;
        // Fail before the namespace is made if no switch answers.
        client.wait(client.daemon_pid())?;
        let sandbox = Sandbox::new(Mode::New)?;
        let netns = sandbox.netns_path().ok_or_else(no_namespace)?;
        let address = std::mem::take(&mut self.address);
        let request = AttachRequest {
            settings,
            publish: std::mem::take(&mut self.publish).publications(),
            ..address.request(name, NetnsRef::Path(netns.to_owned()), network)
        };
        let picks = request.publish.iter().any(|one| one.ports.host().is_none());
        let detail = client.wait(client.attach(&request))?;
        if picks {
            say_ports(&detail.publications);
        }
        let outcome = sandbox
            .set_hosts(&hosts(&detail.port))
            .map_err(Failure::from)
            .and_then(|()| self.enter(sandbox));
        detach(&client, &detail.port.name);
        outcome
    }

    /// Runs the command in the namespace of another attachment.
    fn joined(self, client: &Client, name: &str) -> Outcome {
        let details = client.wait(client.port(name))?;
        let detail = details.first().ok_or_else(no_namespace)?;
        let sandbox = Sandbox::new(Mode::Join(detail.netns_path.clone()))?;
        sandbox.set_hosts(&hosts(&detail.port))?;
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

/// Entries of /etc/hosts for an attachment.
fn hosts(port: &Port) -> Vec<(IpAddr, Vec<String>)> {
    let names = vec![port.name.clone(), format!("{}.{}", port.name, port.network)];
    let ipv4 = port.ipv4.iter().copied().map(IpAddr::from);
    let ipv6 = port.ipv6.iter().copied().map(IpAddr::from);
    ipv4.chain(ipv6).map(|address| (address, names.clone())).collect()
}

/// Prints the picked ports of the host to stderr.
fn say_ports(published: &[Publication]) {
    for publication in published {
        output::print_error(&format!("published {}\n", publish::line(publication)));
    }
}

/// Detaches after the command. The switch may have seen the namespace's end first (`NotFound`). A failure
/// here must not hide the command's exit code.
fn detach(client: &Client, name: &str) {
    match client.wait(client.detach(name)) {
        Ok(()) => {}
        Err(ClientError::Api(error)) if error.code == ErrorCode::NotFound => {}
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
