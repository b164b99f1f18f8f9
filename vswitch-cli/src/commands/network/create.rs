//! `vswitch network create`, `rm` and `prune`.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use clap_complete::ArgValueCompleter;
use ipnet::IpNet;
use vswitch::config::IfName;
use vswitch_api::address::AddressRequest;
use vswitch_api::network::{Network, NetworkRemoval, NetworkRequest};
use vswitch_api::overlay::OverlayRequest;

use crate::client::{Client, Named};
use crate::error::Outcome;
use crate::global::Global;
use crate::list::{Filter, Filters, Row};
use crate::port_settings::PortSettingsArgs;
use crate::{complete, output, several, table, value};

/// Create a network
///
/// Networks do not reach each other, unless --reachable-from says so. All or nothing: a failed creation leaves the host as it was.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CreateArgs {
    /// Name of the network
    #[arg(value_parser = value::network)]
    name: String,
    /// A subnet; at most one of each family [default: free ones]
    #[arg(long, value_name = "SUBNET", value_parser = value::subnet)]
    subnet: Vec<IpNet>,
    /// The host's address in a subnet [default: its first one]
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<IpAddr>,
    /// Part of a subnet that addresses come from if nobody names them [default: all of it]
    #[arg(long, value_name = "SUBNET", value_parser = value::subnet)]
    ip_range: Vec<IpNet>,
    /// An address that no container gets unless it asks for it
    #[arg(long, value_name = "ADDRESS")]
    reserve: Vec<IpAddr>,
    /// Largest IP packet in bytes [default: that of the first network; of an overlay network what the underlay leaves]
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// No container of it reaches the world; its subnet may overlap others
    #[arg(long)]
    internal: bool,
    /// Its containers do not reach each other
    #[arg(long)]
    isolated_ports: bool,
    /// Move the data of TCP connections between its containers on this host from socket to socket [default: as
    /// `vswitch up` says]
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true")]
    cut_through: Option<bool>,
    /// A network whose containers may open connections to those of this one
    #[arg(long, value_name = "NETWORK", value_parser = value::network)]
    #[arg(add = ArgValueCompleter::new(complete::networks))]
    reachable_from: Vec<String>,
    /// Serve DHCPv4 and DHCPv6: each port gets its address
    #[arg(long)]
    dhcp: bool,
    /// Send router advertisements
    #[arg(long)]
    ra: bool,
    /// `none`, or the uplink of the switch [default: that of the switch]
    #[arg(long, value_name = "UPLINK", add = complete::words(&["none", "auto", "kernel"]))]
    uplink: Option<String>,
    /// Name of the host's device on it [default: br-NAME]
    #[arg(long, value_name = "IFNAME")]
    bridge: Option<IfName>,
    /// Span hosts by VXLAN: all that have the switch's --registry, or its static peers. The switch needs an --underlay
    #[arg(long)]
    overlay: bool,
    /// Number of the overlay network, the same on all hosts: 1 to 16777215 [default: the registry chooses one]
    #[arg(long, value_name = "N", requires = "overlay")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16_777_215))]
    vni: Option<u32>,
    /// Address of the host itself on this node, from which it reaches containers on other hosts [default: one of the
    /// registry; without one it reaches those of this host only]
    #[arg(long, value_name = "ADDRESS", requires = "overlay")]
    host_ip: Vec<IpAddr>,
    #[command(flatten)]
    settings: PortSettingsArgs,
    /// A label, which is stored and shown
    #[arg(long, value_name = "KEY=VALUE", value_parser = value::key_value)]
    label: Vec<(String, String)>,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch network create blue
  sudo vswitch network create --subnet 10.5.0.0/16 --gateway 10.5.0.254 --ip-range 10.5.1.0/24 green
  sudo vswitch network create --subnet 10.5.0.0/16 --reserve 10.5.0.9 green
  sudo vswitch network create --rate-out 100M slow
  sudo vswitch network create --internal --label tier=db --reachable-from blue backend
  sudo vswitch network create --overlay --subnet 10.50.0.0/16 wide              on all nodes of the registry
  sudo vswitch network create --overlay --vni 42 --subnet 10.50.0.0/16 --ip-range 10.50.1.0/24 wide
  sudo vswitch run --name web --network blue -- nginx -g 'daemon off;'

Undo it with `vswitch network rm NAME`.";

impl CreateArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let request = NetworkRequest {
            name: self.name,
            subnets: self.subnet,
            gateways: self.gateway,
            ip_ranges: self.ip_range,
            mtu: self.mtu,
            internal: self.internal,
            isolated_ports: self.isolated_ports,
            cut_through: self.cut_through,
            reachable_from: self.reachable_from,
            dhcp: self.dhcp,
            ra: self.ra,
            uplink: self.uplink,
            device: self.bridge.map(|device| device.to_string()),
            overlay: self
                .overlay
                .then_some(OverlayRequest { vni: self.vni, host_addresses: self.host_ip }),
            settings: self.settings.change()?,
            labels: self.label.into_iter().collect(),
        };
        let client = global.client()?;
        let created = client.wait(client.create_network(&request))?;
        if let Err(failure) = reserve(&client, &request.name, self.reserve) {
            client.wait(client.remove_network(&request.name, &NetworkRemoval::default()))?;
            return Err(failure);
        }
        output::show(global.format, &created, |created| said(&created.network))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn reserve(client: &Client, network: &str, addresses: Vec<IpAddr>) -> Outcome<()> {
    for address in addresses {
        client.wait(client.reserve_address(network, &AddressRequest::Address(address)))?;
    }
    Ok(())
}

fn said(network: &Network) -> String {
    let device = match &network.device {
        Some(device) => format!("the host is on it as {device}"),
        None => "the host is not on it, since its subnet overlaps others".to_owned(),
    };
    let overlay = match &network.overlay {
        Some(overlay) => format!("; VNI {}, MTU {}", overlay.vni, network.mtu),
        None => String::new(),
    };
    format!("{} has {}{overlay}; {device}\n", network.name, table::list(&network.subnets))
}

/// Remove networks
#[derive(Debug, Args)]
#[command(after_help = REMOVE_EXAMPLES)]
pub(crate) struct RemoveArgs {
    /// Names of the networks
    #[arg(required = true, value_name = "NAME", value_parser = value::name)]
    #[arg(add = ArgValueCompleter::new(complete::networks))]
    names: Vec<String>,
    /// Detach their attachments first
    #[arg(long, short)]
    force: bool,
}

const REMOVE_EXAMPLES: &str = "\
Examples:
  sudo vswitch network rm blue green
  sudo vswitch network rm --force backend";

impl RemoveArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        let removal = NetworkRemoval { force: self.force };
        several::each(self.names, |name| {
            let request = client.remove_network(&name, &removal);
            client.wait_for(Named::Network, &name, request)?;
            output::done(global.format, &format!("{name} is removed"))
        })
    }
}

/// Remove all networks without attachments, but the switch's own
#[derive(Debug, Args)]
#[command(after_help = PRUNE_EXAMPLES)]
pub(crate) struct PruneArgs {
    /// Remove only networks that match, as in `network ls --filter`
    #[arg(long, value_name = "KEY=VALUE", add = ArgValueCompleter::new(complete::filters))]
    filter: Vec<Filter>,
}

const PRUNE_EXAMPLES: &str = "\
Examples:
  sudo vswitch network prune
  sudo vswitch network prune --filter label=tier=test";

impl PruneArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let filters = Filters::<Network>::new(self.filter, Network::FILTERS)?;
        let client = global.client()?;
        let networks = client.wait(client.networks())?.into_iter();
        // The first network is the switch's own.
        let is_unused = |it: &Network| it.ports == 0 && filters.match_all(it);
        let unused: Vec<Network> = networks.skip(1).filter(is_unused).collect();
        if unused.is_empty() {
            output::done(
                global.format,
                "nothing to prune: there is no such network without containers",
            )?;
        }
        several::each(unused, |network| {
            client.wait(client.remove_network(&network.name, &NetworkRemoval::default()))?;
            output::done(global.format, &format!("{} is removed", network.name))
        })
    }
}
