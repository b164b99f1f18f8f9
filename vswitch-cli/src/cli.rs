//! The command line: the list of commands. [`usage`] has the form of usage errors.

mod usage;

use std::ffi::OsStr;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::ArgValueCompleter;
use clap_complete::engine::CompletionCandidate;

use crate::commands;
use crate::error::Outcome;
use crate::global::Global;
pub(crate) use usage::usage_error;

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
  sudo vswitch run -- bash                       a shell in a network namespace of its own
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
    Prune(commands::prune::PruneArgs),
    Rename(commands::rename::RenameArgs),
    Ls(commands::ls::LsArgs),
    Inspect(commands::inspect::InspectArgs),
    Port(commands::port::PortArgs),
    Publish(commands::publish::PublishArgs),
    Unpublish(commands::unpublish::UnpublishArgs),
    Network(commands::network::NetworkArgs),
    Peers(commands::peers::PeersArgs),
    Registry(commands::registry::RegistryArgs),
    Dns(commands::dns::DnsArgs),
    Fdb(commands::fdb::FdbArgs),
    Conntrack(commands::conntrack::ConntrackArgs),
    CutThrough(commands::cut_through::CutThroughArgs),
    Stats(commands::stats::StatsArgs),
    Events(commands::events::EventsArgs),
    Logs(commands::logs::LogsArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

/// The command line as completion knows it: `man` offers words of commands.
pub(crate) fn completed() -> clap::Command {
    let words = ArgValueCompleter::new(command_words);
    Cli::command().mut_subcommand("man", |man| man.mut_arg("command", |arg| arg.add(words)))
}

fn command_words(current: &OsStr) -> Vec<CompletionCandidate> {
    let cli = Cli::command();
    let mut command = &cli;
    // The shell puts a `--` before the line, whose first words are `vswitch man`.
    for word in std::env::args_os().skip_while(|word| word != "--").skip(3) {
        command = command.find_subcommand(&word).unwrap_or(command);
    }
    let names = command.get_subcommands().map(clap::Command::get_name);
    let names = names.filter(|name| name.as_bytes().starts_with(current.as_encoded_bytes()));
    names.map(|name| CompletionCandidate::new(name.to_owned())).collect()
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
            Self::Prune(args) => args.execute(global),
            Self::Rename(args) => args.execute(global),
            Self::Ls(args) => args.execute(global),
            Self::Inspect(args) => args.execute(global),
            Self::Port(args) => args.execute(global),
            Self::Publish(args) => args.execute(global),
            Self::Unpublish(args) => args.execute(global),
            Self::Network(args) => args.execute(global),
            Self::Peers(args) => args.execute(global),
            Self::Registry(args) => args.execute(global),
            Self::Dns(args) => args.execute(global),
            Self::Fdb(args) => args.execute(global),
            Self::Conntrack(args) => args.execute(global),
            Self::CutThrough(args) => args.execute(global),
            Self::Stats(args) => args.execute(global),
            Self::Events(args) => args.execute(global),
            Self::Logs(args) => args.execute(global),
            Self::Completions(args) => args.execute(),
            Self::Man(args) => args.execute(Cli::command()),
        }
    }
}

#[cfg(test)]
mod tests;
