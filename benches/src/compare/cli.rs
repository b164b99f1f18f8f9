//! The command line: text becomes typed values here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::agent::Agent;
use crate::contender::{
    Build, Contender, DOCKER0, KERNEL_BRIDGE, OVS_TSO, VSWITCH, VSWITCH_CUT_THROUGH,
};
use crate::limits::FEW_ROUNDS;
use crate::registry;
use crate::workload::Workload;

/// Cut-through.
const CUT_THROUGH_ARGS: [&str; 3] = ["--idle", "adaptive", "--cut-through"];

const EXAMPLES: &str = "\
Examples:
  vswitch-bench                                    all contenders and usual workloads, five rounds
  vswitch-bench --quick                            the main ones once, below three minutes
  vswitch-bench --only tcp1,rtt-tcp --contenders docker0,vswitch --rounds 3
  vswitch-bench --only busy1,busy2 --contenders docker0,vswitch
  vswitch-bench --only scale --contenders kernel-bridge,vswitch
  vswitch-bench --only cut-through --contenders docker0,vswitch,vswitch-cut-through
  vswitch-bench --only attack-mac,attack-udp --contenders vswitch
  vswitch-bench --contenders kernel-bridge --variant old=/tmp/old/vswitch \\
                --variant spin='--idle spin'       builds and settings side by side
  vswitch-bench table target/bench/compare-20261124-101500.json
  vswitch-bench plot target/bench/compare-20261124-101500.json docs/plots

Needs root, for namespaces and TAPs, and the packages of `scripts/deps.sh bench`.
JSON keys, workloads and how they measure: docs/benchmarks.md.";

/// What takes part in a quick run.
pub(crate) const QUICK_CONTENDERS: [&str; 4] = [DOCKER0, KERNEL_BRIDGE, OVS_TSO, VSWITCH];

/// Measures vswitch beside docker0 and other switches: real iperf3, sockperf, nginx and wrk between
/// two containers and over an uplink, in rounds that alternate.
#[derive(Debug, Parser)]
#[command(name = "vswitch-bench", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) measure: Measure,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Prints the tables of a result file
    Table {
        file: PathBuf,
        /// As Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Draws the plots of a result file
    Plot { file: PathBuf, folder: PathBuf },
    /// Makes the tables of docs/performance again from docs/measured
    Pages { docs: PathBuf },
    #[command(hide = true, subcommand)]
    Agent(Agent),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Measure {
    /// One round of the main workloads on the main contenders
    #[arg(long)]
    pub(crate) quick: bool,
    /// Workloads (an unknown name lists them)
    #[arg(long, value_name = "WORKLOAD,..", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// Contenders (an unknown name lists them)
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) contenders: Vec<String>,
    /// Rounds that alternate between the contenders [default: 5, or 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: Option<u32>,
    /// Length of each load
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// How long an idle switch is watched [default: 10, or 4 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) idle_seconds: Option<u64>,
    /// The vswitch to measure [default: the one beside this program]
    #[arg(long, value_name = "PATH", env = "VSWITCH_BIN")]
    pub(crate) vswitch: Option<PathBuf>,
    /// A vswitch instead of the usual ones: a program, options of `vswitch up`, or both, by spaces
    #[arg(long, value_name = "NAME=[PATH] [ARGS]", value_parser = Variant::parse)]
    pub(crate) variant: Vec<Variant>,
    /// TCP congestion control of all
    #[arg(long, default_value = "cubic", value_name = "NAME")]
    pub(crate) congestion_control: String,
    /// Without control groups, in which containers, the switch and hogs run else
    #[arg(long)]
    pub(crate) no_cgroups: bool,
    /// Result file; tables and plots go beside it [default: target/bench/compare-TIME.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `NAME=[PATH] [ARGS]`; a first word with a slash in it is a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variant {
    name: String,
    program: Option<PathBuf>,
    args: Vec<String>,
}

impl Variant {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').ok_or("no = in it: NAME=[PATH] [ARGS]")?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(format!("not a name: {name:?}"));
        }
        let mut words: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
        let is_program = words.first().is_some_and(|word| word.contains('/'));
        let program = is_program.then(|| PathBuf::from(words.remove(0)));
        Ok(Self { name: name.to_owned(), program, args: words })
    }
}

impl Measure {
    /// The switches of ours. `beside` is the folder of this program.
    pub(crate) fn builds(&self, beside: &Path) -> Vec<Arc<Build>> {
        let usual = self.vswitch.clone().unwrap_or_else(|| beside.join("vswitch"));
        let usual = usual.canonicalize().unwrap_or(usual);
        let build = |name: &str, program: Option<&PathBuf>, args: &[&str], rounds_max| {
            let program = program.map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
            Arc::new(Build {
                name: name.to_owned(),
                program: program.unwrap_or_else(|| usual.clone()),
                args: args.iter().map(|word| (*word).to_owned()).collect(),
                is_main: rounds_max == usize::MAX,
                rounds_max,
            })
        };
        if self.variant.is_empty() {
            return vec![
                build(VSWITCH, None, &["--idle", "adaptive"], usize::MAX),
                build("vswitch-spin", None, &["--idle", "spin"], FEW_ROUNDS),
                build("vswitch-epoll", None, &["--backend", "epoll"], FEW_ROUNDS),
                build(VSWITCH_CUT_THROUGH, None, &CUT_THROUGH_ARGS, 0),
            ];
        }
        let variants = self.variant.iter().map(|Variant { name, program, args }| {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            build(name, program.as_ref(), &args, usize::MAX)
        });
        variants.collect()
    }

    /// Who takes part: those that were named, or all that do so unnamed, and each variant. An unknown name is an error.
    pub(crate) fn contenders(&self, beside: &Path) -> Result<Vec<Box<dyn Contender>>, String> {
        let all = registry::contenders(&self.builds(beside));
        let names: Vec<String> = all.iter().map(|c| c.name().to_owned()).collect();
        let mut wanted = self.contenders.clone();
        if wanted.is_empty() && self.quick {
            wanted = QUICK_CONTENDERS.map(str::to_owned).to_vec();
            wanted.retain(|name| name != VSWITCH || self.variant.is_empty());
        }
        chosen("contender", &names, &wanted)?;
        let is_variant = |name: &str| self.variant.iter().any(|variant| variant.name == name);
        let mut all = all;
        if wanted.is_empty() {
            all.retain(|c| c.rounds_max() > 0);
        } else {
            all.retain(|c| is_variant(c.name()) || wanted.iter().any(|name| name == c.name()));
        }
        Ok(all)
    }

    /// What is measured. An unknown name is an error.
    pub(crate) fn workloads(&self) -> Result<Vec<Box<dyn Workload>>, String> {
        let mut all = registry::workloads();
        let mut names: Vec<String> = Vec::new();
        for name in all.iter().flat_map(|w| [w.needs().family, w.key()]) {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names.push(registry::CUT_THROUGH.to_owned());
        let mut wanted = self.only.clone();
        if wanted.is_empty() && self.quick {
            wanted = registry::QUICK.map(str::to_owned).to_vec();
        }
        chosen("workload", &names, &wanted)?;
        if wanted.iter().any(|name| name == registry::CUT_THROUGH) {
            wanted.extend(registry::CUT_THROUGH_ROWS.map(str::to_owned));
        }
        all.retain(|w| match wanted.is_empty() {
            true => !w.needs().by_name_only,
            false => wanted.iter().any(|name| name == w.key() || name == w.needs().family),
        });
        Ok(all)
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds.map_or(if self.quick { 1 } else { 5 }, |rounds| rounds as usize)
    }

    pub(crate) fn idle_seconds(&self) -> u64 {
        self.idle_seconds.unwrap_or(if self.quick { 4 } else { 10 })
    }
}

fn chosen(what: &str, names: &[String], wanted: &[String]) -> Result<(), String> {
    match wanted.iter().find(|name| !names.contains(name)) {
        Some(name) => Err(format!("no {what} {name:?}; there are {}", names.join(", "))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
