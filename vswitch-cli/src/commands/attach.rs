//! `vswitch attach`: attach a network namespace.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueHint};
use clap_complete::ArgValueCompleter;
use vswitch_api::container::ContainerRef;
use vswitch_api::error::{ApiError, ErrorCode};
use vswitch_api::port::{AttachRequest, Configure, NetnsRef, PortDetail};
use vswitch_client::ClientError;

use crate::client::{Client, Named};
use crate::commands::inspect;
use crate::endpoint::EndpointArgs;
use crate::error::{Failure, Outcome};
use crate::global::Global;
use crate::limits::NAMES_TRIED_MAX;
use crate::port_settings::PortSettingsArgs;
use crate::publish::PublishArgs;
use crate::resolv_conf::Target;
use crate::{complete, engine, fresh_name, output, publish, resolv_conf, value};

/// Attach a running container, or any network namespace
///
/// All or nothing: a failed attach leaves the namespace as it was.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group(ArgGroup::new("namespace").args(["netns", "container"]).required(true)))]
pub(crate) struct AttachArgs {
    /// The namespace: of a process id, at a path, or a name of `ip netns`
    #[arg(long, value_name = "PID|PATH|NAME", value_parser = value::netns)]
    #[arg(add = ArgValueCompleter::new(complete::namespaces))]
    netns: Option<NetnsRef>,
    /// A running container of Docker or podman, by its name or the begin of its id; it is attached again
    /// whenever it starts, until `vswitch detach` or its removal
    #[arg(long, value_name = "NAME|ID", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::containers))]
    container: Option<String>,
    /// Socket of the container engine [default: that of DOCKER_HOST, else Docker's, else podman's]
    #[arg(long, value_name = "PATH|unix://PATH", value_parser = engine::socket, requires = "container")]
    #[arg(value_hint = ValueHint::FilePath)]
    engine: Option<PathBuf>,
    /// Name of the attachment, unique in its network [default: the container's, else one is picked]
    #[arg(long, value_name = "NAME", value_parser = value::attachment)]
    name: Option<String>,
    /// The network to join [default: the first one]
    #[arg(long, value_name = "NETWORK", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::networks))]
    network: Option<String>,
    /// What is configured in the namespace: static addresses and routes, or none, for an endpoint that
    /// configures itself [default: static]
    #[arg(long, value_name = "static|none", add = complete::words(&["static", "none"]))]
    configure: Option<Configure>,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// A label, which is stored and shown
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::key_value)]
    label: Vec<(String, String)>,
    #[command(flatten)]
    publish: PublishArgs,
    #[command(flatten)]
    settings: PortSettingsArgs,
    /// Write a resolv.conf that asks the switch for names, such as /etc/netns/NAME/resolv.conf
    #[arg(long, value_name = "FILE", value_parser = value::path, value_hint = ValueHint::FilePath)]
    resolv_conf: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch attach --netns 4711 --name web
  sudo vswitch attach --netns 4711                     under a name such as calm-otter
  sudo vswitch attach --netns /run/netns/a --name a --ip 10.99.0.7
  sudo vswitch attach --netns a --name a --mac 02:00:00:00:00:0a --ifname lan0
  sudo vswitch attach --netns a --name a --access 10
  sudo vswitch attach --netns a --name a --configure none   it asks by DHCP (vswitch up --dhcp --ra)
  sudo vswitch attach --netns a --name a -p 8080:80 -p 53:53/udp
  sudo vswitch attach --netns a --name a --resolv-conf /etc/netns/a/resolv.conf
  sudo vswitch attach --container web                  as web, as long as Docker has that container
  sudo vswitch attach --container 4f1d --name shop -p 8080:80
  sudo vswitch attach --container web --engine /run/podman/podman.sock

Undo it with `vswitch detach NAME`; a namespace that ends is detached by itself. A container that stops waits
(`vswitch ls`) with its addresses and published ports for its next start.";

impl AttachArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let netns = match (self.netns, self.container) {
            (Some(netns), _) => netns,
            (None, name) => {
                let engine = Some(self.engine.map_or_else(engine::of_environment, Ok)?);
                let name = name.unwrap_or_default();
                NetnsRef::Container(ContainerRef { name, engine })
            }
        };
        let request = AttachRequest {
            configure: self.configure.unwrap_or_default(),
            settings: self.settings.change()?,
            publish: self.publish.publications(),
            labels: self.label.into_iter().collect(),
            ..self.endpoint.attach(netns, self.network)
        };
        let resolv_conf = self.resolv_conf.as_deref().map(Target::open).transpose()?;
        let client = global.client()?;
        let port = attach(&client, self.name, request)?;
        if let Some(target) = resolv_conf {
            target.write(&resolv_conf::text(std::slice::from_ref(&port)))?;
        }
        output::show(global.format, &port, render)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Attaches under the name; without one, under a free one.
pub(crate) fn attach(
    client: &Client,
    name: Option<String>,
    mut request: AttachRequest,
) -> Outcome<PortDetail> {
    let network = request.network.clone().unwrap_or_default();
    // A container's own name is the daemon's to find out.
    let is_container = matches!(request.netns, NetnsRef::Container(_));
    if let Some(name) = name.or(is_container.then(String::new)) {
        request.name = name;
        return client.wait_for(Named::Network, &network, client.attach(&request));
    }
    let mut taken = client.names(Named::Port)?;
    for _ in 0..NAMES_TRIED_MAX {
        request.name = fresh_name::pick()?;
        if taken.contains(&request.name) {
            continue;
        }
        match client.wait(client.attach(&request)) {
            // Another client was faster; its attachment is perhaps not in the list yet, or no more.
            Err(ClientError::Api(error)) if is_taken(&error, &request.name) => {
                taken = client.names(Named::Port)?;
            }
            attached => return client.wait_for(Named::Network, &network, async { attached }),
        }
    }
    Err(Failure::new("no free name was found").with_hint("choose one with --name"))
}

/// Whether an attach failed since another attachment has the picked name.
fn is_taken(error: &ApiError, name: &str) -> bool {
    error.code == ErrorCode::Conflict && error.message.contains(name)
}

pub(crate) fn render(detail: &PortDetail) -> String {
    let port = &detail.port;
    let addresses = inspect::addresses(detail).map(|(address, _)| address.to_string());
    let verb = if detail.configure.is_static() { "has" } else { "is to configure" };
    let mut said = format!(
        "{} is attached to {}: {} {verb} {} ({})\n",
        port.name,
        port.network,
        port.ifname,
        addresses.collect::<Vec<_>>().join(" and "),
        port.mac
    );
    for publication in &detail.publications {
        said += &format!("{} publishes {}\n", port.name, publish::line(publication));
    }
    said
}
