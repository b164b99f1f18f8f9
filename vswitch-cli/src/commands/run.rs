//! `vswitch run`: runs a command in a new network namespace that is attached meanwhile.

mod names;
mod networks;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use vswitch::isolate::{self, IsolateError, Mode, Sandbox};
use vswitch_api::error::ErrorCode;
use vswitch_api::port::{AttachRequest, NetnsRef, PortState};
use vswitch_api::port_settings::SettingsChange;
use vswitch_api::publish::Publication;
use vswitch_client::ClientError;

use crate::client::{Client, Named};
use crate::commands::attach;
use crate::endpoint::EndpointArgs;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::network_mode::{NetworkMode, OtherNetwork, network_mode};
use crate::port_settings::PortSettingsArgs;
use crate::publish::{self, PublishArgs};
use crate::{complete, output, value};
use names::NameArgs;
use networks::Plan;

/// Run a command in a network namespace of its own, attached to the switch
///
/// The command sees the caller's files, with a host name, an /etc/hosts and an /etc/resolv.conf of its own.
/// Terminal, signals and exit code pass through; the attachment ends with the command, and the command with this
/// process, even if that is killed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(override_usage = "vswitch run [OPTIONS] -- <CMD>...")]
pub(crate) struct RunArgs {
    /// Name of the attachment, and of the host inside [default: one is picked]
    #[arg(long, value_name = "NAME", value_parser = value::attachment)]
    name: Option<String>,
    /// Networks of the switch [default: the first one], or another kind of network
    #[arg(long, alias = "net", value_name = "NETWORK|host|container:NAME|none")]
    #[arg(value_parser = network_mode)]
    #[arg(add = ArgValueCompleter::new(complete::network_modes))]
    network: Vec<NetworkMode>,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// A label, which is stored and shown
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::key_value)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    publish: PublishArgs,
    #[command(flatten)]
    settings: PortSettingsArgs,
    #[command(flatten)]
    names: NameArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    #[arg(add = ArgValueCompleter::new(complete::programs))]
    command: Vec<OsString>,
}

const EXAMPLES: &str = "\
Kinds of network:
  NETWORK           a network of the switch; several by several --network
  name=NETWORK,...  the same, with ip=, ip6=, add-ip=, mac-address=, ifname=, alias= or gw-priority= on it
  host              that of the host, as without vswitch
  container:NAME    that of another attached container
  none              nothing but the loopback device

Of several networks, the options beside --network are of the first; published ports belong to the one with the default route.

The exit code is the command's; 128 + N if signal N ended it; 127 if there is no such command.

Examples:
  sudo vswitch run -- bash
  sudo vswitch run --name a -- bash
  sudo vswitch run --name web --ip 10.99.0.80 -- python3 -m http.server 80
  sudo vswitch run --name web -p 8080:80 -- python3 -m http.server 80
  sudo vswitch run --name a --hostname a.example.org --add-host db:10.99.0.7 -- bash
  sudo vswitch run --name a --dns 192.0.2.53 --dns-search example.org -- curl http://www/
  sudo vswitch run --name web --network front --network name=back,alias=api,ip=10.5.0.7 -- bash
  sudo vswitch run --network container:web -- tcpdump -ni eth0
  sudo vswitch run --network none -- make test";

impl RunArgs {
    pub(crate) fn execute(mut self, global: &Global) -> Outcome {
        let settings = std::mem::take(&mut self.settings).change()?;
        let networks = std::mem::take(&mut self.network);
        let other = match networks::plan(networks, std::mem::take(&mut self.endpoint))? {
            Plan::Attach { first, others } => {
                return self.attached(global, first, others, settings);
            }
            Plan::Other(other) => other,
        };
        let needs_network = [
            ("labels need", !self.label.is_empty()),
            ("--publish needs", !self.publish.is_empty()),
            ("port settings need", !settings.is_empty()),
        ];
        if let Some((what, _)) = needs_network.into_iter().find(|(_, is_given)| *is_given) {
            let wrong = format!("{what} a network of the switch, not {other}");
            return Err(Failure::usage(wrong));
        }
        let mode = match other {
            OtherNetwork::Host if !self.names.is_empty() => {
                return Err(Failure::usage(
                    "names inside need a network namespace of their own, not host",
                ));
            }
            OtherNetwork::Host => Mode::Host,
            OtherNetwork::None => Mode::New,
            OtherNetwork::Container(name) => return self.joined(&global.client()?, &name),
        };
        let mut sandbox = Sandbox::new(mode)?;
        let (names, name) = (std::mem::take(&mut self.names), self.name.take());
        names.apply(&mut sandbox, name.as_deref(), &[])?;
        self.enter(sandbox)
    }

    /// Runs the command on networks of the switch.
    fn attached(
        mut self,
        global: &Global,
        (network, endpoint): (Option<String>, EndpointArgs),
        others: Vec<(String, EndpointArgs)>,
        settings: SettingsChange,
    ) -> Outcome {
        let name = self.name.take();
        let is_picked = name.is_none();
        let client = global.client()?;
        // Fail before the namespace is made if no switch answers.
        client.wait(client.daemon_pid())?;
        let mut sandbox = Sandbox::new(Mode::New)?;
        let netns = sandbox.netns_path().ok_or_else(no_namespace)?;
        let publish = std::mem::take(&mut self.publish).publications();
        let picks = publish.iter().any(|one| one.ports.host().is_none());
        // On several networks, the one with the default route publishes, which is known later.
        let (at_once, later) =
            if others.is_empty() { (publish, vec![]) } else { (vec![], publish) };
        let request = AttachRequest {
            settings,
            publish: at_once,
            labels: std::mem::take(&mut self.label).into_iter().collect(),
            ..endpoint.attach(NetnsRef::Path(netns.to_owned()), network)
        };
        let detail = attach::attach(&client, name, request)?;
        let name = detail.port.name.clone();
        if is_picked {
            output::print_error(&format!("attached as {name}\n"));
        }
        let outcome = networks::connect(&client, &name, others, &later).and_then(|details| {
            if picks {
                details.iter().for_each(|detail| say_ports(&detail.publications));
            }
            std::mem::take(&mut self.names).apply(&mut sandbox, Some(&name), &details)?;
            self.enter(sandbox)
        });
        detach(&client, &name);
        outcome
    }

    /// Runs the command in the namespace of another attachment.
    fn joined(mut self, client: &Client, name: &str) -> Outcome {
        let mut details = client.wait_for(Named::Attachment, name, client.port(name))?;
        details.sort_by_key(|detail| !detail.is_default_route);
        let detail = details.first().ok_or_else(no_namespace)?;
        if let Some(fault) = &detail.port.fault {
            output::print_error(&format!("warning: {name} is out of order: {fault}\n"));
        }
        if detail.port.state == PortState::Waiting {
            let message = format!("{name} waits for its container, which does not run");
            return Err(Failure::new(message).with_hint("start the container first"));
        }
        let mut sandbox = Sandbox::new(Mode::Join(detail.netns_path.clone()))?;
        let names = std::mem::take(&mut self.names);
        // Without the network that `name` may have.
        names.apply(&mut sandbox, Some(&detail.port.name), &details)?;
        self.enter(sandbox)
    }

    fn enter(self, mut sandbox: Sandbox) -> Outcome {
        sandbox.set_watched();
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
/// (`NotFound`), or does so (`Unavailable`). A failure here must not hide the command's exit code.
fn detach(client: &Client, name: &str) {
    match client.wait(client.detach(name)) {
        Ok(()) => {}
        Err(ClientError::Api(error))
            if matches!(error.code, ErrorCode::NotFound | ErrorCode::Unavailable) => {}
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
