//! `vswitch up`: the daemon, in the foreground or in the background.

mod background;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use fastpath::limits::WORKERS_MAX;
use fastpath::{BackendChoice, IdlePolicy};
use ipnet::{Ipv4Net, Ipv6Net};

use crate::cli::Global;
use crate::error::{Failure, Outcome};
use crate::value;

/// Start the switch
///
/// Runs in the foreground and logs to stderr, until `vswitch down` or Ctrl-C; with --detach in the
/// background. At its end the host is as it was before.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UpArgs {
    /// Name of the first network and of the host's device on it [default: br0]
    #[arg(long, value_name = "NAME", value_parser = value::ifname)]
    bridge: Option<String>,
    /// IPv4 subnet; the host has its first address [default: 10.99.0.0/16]
    #[arg(long, value_name = "SUBNET", value_parser = value::subnet)]
    subnet: Option<Ipv4Net>,
    /// IPv6 subnet [default: a random fd../64, kept in the state directory]
    #[arg(long, value_name = "SUBNET", value_parser = value::subnet6)]
    subnet6: Option<Ipv6Net>,
    /// The way out: none is an internal network [default: none]
    #[arg(long, value_name = "UPLINK", value_parser = PossibleValuesParser::new(["none"]))]
    uplink: Option<String>,
    /// Threads that move frames [default: 1]
    #[arg(long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=WORKERS_MAX as u64))]
    workers: Option<u64>,
    /// What a worker does when nothing comes [default: adaptive]
    #[arg(long, value_name = "POLICY", value_parser = idle_policy())]
    idle: Option<IdlePolicy>,
    /// How frames are read and written [default: auto]
    #[arg(long, value_name = "BACKEND", value_parser = backend())]
    backend: Option<BackendChoice>,
    /// Largest IP packet in bytes [default: 1500]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1280..=65535))]
    mtu: Option<u32>,
    /// Seconds until a learnt MAC address is forgotten [default: 300]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    ageing: Option<u64>,
    /// A TOML file with the same settings; options of the command line win
    #[arg(long, value_name = "FILE", value_parser = value::path)]
    config: Option<PathBuf>,
    /// Where the switch keeps what it must know after a restart [default: /var/lib/vswitch]
    #[arg(long, value_name = "DIR", value_parser = value::path)]
    state_dir: Option<PathBuf>,
    /// Run in the background; return when the switch is ready
    #[arg(long)]
    detach: bool,
    /// This process is the one in the background
    #[arg(long, hide = true, requires = "detach")]
    in_background: bool,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch up --bridge br0 --detach
  sudo vswitch up --subnet 10.7.0.0/24 --subnet6 fd07::/64 --mtu 9000
  sudo vswitch up --workers 2 --idle spin           two processors that do nothing else
  sudo vswitch up --config /etc/vswitch.toml

A second switch on the same machine:
  sudo vswitch --socket /run/lab.sock up --bridge lab0 --subnet 10.98.0.0/16 \\
      --state-dir /var/lib/vswitch-lab --detach";

fn idle_policy() -> impl TypedValueParser<Value = IdlePolicy> {
    PossibleValuesParser::new(["adaptive", "spin", "sleep"]).try_map(|word| word.parse())
}

fn backend() -> impl TypedValueParser<Value = BackendChoice> {
    PossibleValuesParser::new(["auto", "io_uring", "epoll"]).try_map(|word| word.parse())
}

impl UpArgs {
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        todo!()
    }
}
