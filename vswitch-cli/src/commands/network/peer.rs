//! `vswitch network peer`: static peers of overlay networks.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;
use vswitch_api::overlay::PeerRequest;

use crate::client::Named;
use crate::error::Outcome;
use crate::global::Global;
use crate::value::{self, PeerAddress};
use crate::{complete, output, several};

/// Add, remove and list the static peers of an overlay network
///
/// A peer is a host that has the network without a registry: another switch, or the kernel's VXLAN device. It gets a copy
/// of each flood, and MAC addresses are learnt from its frames. Frames of others are dropped.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PeerArgs {
    #[command(subcommand)]
    command: PeerCommand,
}

const EXAMPLES: &str = "\
Each side names the other. Without a port it is the switch's own (--vxlan-port).

Examples:
  sudo vswitch network peer add blue 192.0.2.2
  sudo vswitch network peer add blue 192.0.2.3:8472 192.0.2.4
  sudo vswitch network peer add blue [2001:db8::2]:8472
  vswitch network peer ls blue
  sudo vswitch network peer rm blue 192.0.2.2

The kernel as the peer 192.0.2.2 of a network with VNI 42 on a switch at 192.0.2.1:
  ip link add vx42 type vxlan id 42 local 192.0.2.2 remote 192.0.2.1 dstport 4789
  ip addr add 10.50.0.2/16 dev vx42
  ip link set vx42 up";

#[derive(Debug, Subcommand)]
enum PeerCommand {
    /// Add peers
    Add(Peers),
    /// Remove peers
    #[command(alias = "remove")]
    Rm(Peers),
    /// List the peers of a network, with their ports
    #[command(alias = "list")]
    Ls {
        /// Name of the network
        #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::networks))]
        network: String,
    },
}

#[derive(Debug, Args)]
struct Peers {
    /// Name of the network
    #[arg(value_parser = value::name, add = ArgValueCompleter::new(complete::networks))]
    network: String,
    /// Addresses where the peers receive
    #[arg(required = true, value_name = "ADDR[:PORT]", value_parser = value::peer)]
    #[arg(add = ArgValueCompleter::new(complete::peers))]
    peers: Vec<PeerAddress>,
}

impl PeerArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        let client = global.client()?;
        match self.command {
            PeerCommand::Add(Peers { network, peers }) => {
                client.check(Named::Network, &network)?;
                several::each(peers, |peer| {
                    let added = client.wait(client.add_peer(&network, &request(peer)))?;
                    output::done(global.format, &format!("{added} is a peer of {network}"))
                })
            }
            PeerCommand::Rm(Peers { network, peers }) => {
                client.check(Named::Network, &network)?;
                several::each(peers, |peer| {
                    client.wait(client.remove_peer(&network, &request(peer)))?;
                    output::done(global.format, &format!("{peer} is no longer a peer of {network}"))
                })
            }
            PeerCommand::Ls { network } => {
                client.check(Named::Network, &network)?;
                let peers = client.wait(client.network_peers(&network))?;
                output::show(global.format, &peers, |peers| lines(peers))?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

fn request(PeerAddress { address, port }: PeerAddress) -> PeerRequest {
    PeerRequest { address, port }
}

fn lines(peers: &[SocketAddr]) -> String {
    peers.iter().map(|peer| format!("{peer}\n")).collect()
}
