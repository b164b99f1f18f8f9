//! The command line: the list of commands, and the form of usage errors.

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

use crate::commands;
use crate::error::Outcome;
use crate::global::Global;

/// A user-space virtual switch for containers
#[derive(Debug, Parser)]
#[command(name = "vswitch", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sudo vswitch up --bridge br0 --detach          start the switch
  sudo vswitch run --name a -- bash              a shell in a network namespace of its own
  sudo vswitch attach --netns 4711 --name web    attach a running process
  sudo vswitch ls                                attached containers, with addresses and traffic
  sudo vswitch down                              stop the switch and restore the host

Exit codes: 0 done, 1 failed, 2 usage.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(commands::up::UpArgs),
    Down(commands::down::DownArgs),
    Status(commands::status::StatusArgs),
    Doctor(commands::doctor::DoctorArgs),
    Run(commands::run::RunArgs),
    Attach(commands::attach::AttachArgs),
    Detach(commands::detach::DetachArgs),
    Ls(commands::ls::LsArgs),
    Inspect(commands::inspect::InspectArgs),
    Port(commands::port::PortArgs),
    Publish(commands::publish::PublishArgs),
    Unpublish(commands::unpublish::UnpublishArgs),
    Network(commands::network::NetworkArgs),
    Dns(commands::dns::DnsArgs),
    Fdb(commands::fdb::FdbArgs),
    Conntrack(commands::conntrack::ConntrackArgs),
    Stats(commands::stats::StatsArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

impl Command {
    /// Runs the command.
    pub(crate) fn execute(self, global: &Global) -> Outcome {
        match self {
            Self::Up(args) => args.execute(global),
            Self::Down(args) => args.execute(global),
            Self::Status(args) => args.execute(global),
            Self::Doctor(args) => args.execute(global),
            Self::Run(args) => args.execute(global),
            Self::Attach(args) => args.execute(global),
            Self::Detach(args) => args.execute(global),
            Self::Ls(args) => args.execute(global),
            Self::Inspect(args) => args.execute(global),
            Self::Port(args) => args.execute(global),
            Self::Publish(args) => args.execute(global),
            Self::Unpublish(args) => args.execute(global),
            Self::Network(args) => args.execute(global),
            Self::Dns(args) => args.execute(global),
            Self::Fdb(args) => args.execute(global),
            Self::Conntrack(args) => args.execute(global),
            Self::Stats(args) => args.execute(global),
            Self::Completions(args) => args.execute(Cli::command()),
            Self::Man(args) => args.execute(Cli::command()),
        }
    }
}

/// clap's error with its first paragraph in one line; `None` for help and version. Tips and usage follow
/// only where the command line has a wrong shape: a wrong value needs one line.
pub(crate) fn usage_error(error: &clap::Error) -> Option<String> {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n");
    let said = paragraphs.next()?.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    match error.kind() {
        _ if !said.starts_with("error: ") => None,
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => Some(said + "\n"),
        _ => {
            let rest: Vec<&str> = paragraphs.map(|paragraph| paragraph.trim_end()).collect();
            Some(format!("{said}\n{}\n", rest.join("\n")))
        }
    }
}

#[cfg(test)]
mod tests;
