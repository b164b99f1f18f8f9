//! `vswitch-bench`: the switch beside docker0 and other switches, end to end.
//!
//! Contenders ([`contender`]) take turns in rounds, so that a machine that drifts treats all alike.
//! In a turn a contender is brought up in namespaces of its own, workloads ([`workload`]) run between
//! two of its ports, and everything is taken away again, also after an error or an interrupt. What
//! was measured goes into a result file, tables and plots, beside the targets ([`targets`]).
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::print_stdout, reason = "a command prints its tables")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;
use serde_json::{Map, Value};

use crate::cli::{Cli, Command, Measure};
use crate::result::Outcome;
use crate::run::Run;

mod agent;
mod cgroup;
mod cli;
mod contender;
mod foreign;
mod limits;
mod machine;
mod metric;
mod pages;
mod plan;
mod plot;
mod progress;
mod registry;
mod result;
mod run;
mod sandboxes;
mod search;
mod shell;
mod stats;
mod table;
mod targets;
mod turns;
mod usage;
mod workload;

/// Exit code of a command line that makes no sense.
const USAGE: u8 = 2;

/// As a shell says of a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Some(Command::Table { file, markdown }) => show(file, *markdown),
        Some(Command::Plot { file, folder }) => draw(file, folder),
        Some(Command::Pages { docs }) => pages::update(docs),
        Some(Command::Agent(agent)) => agent.run(),
        None => match choose(&cli.measure) {
            Ok((contenders, workloads)) => measure(&cli.measure, contenders, workloads),
            Err(message) => {
                eprintln!("error: {message}");
                return ExitCode::from(USAGE);
            }
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            if shell::is_interrupted() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

type Contenders = Vec<Box<dyn contender::Contender>>;
type Workloads = Vec<Box<dyn workload::Workload>>;

fn choose(args: &Measure) -> Result<(Contenders, Workloads), String> {
    let program = std::env::current_exe().map_err(|error| format!("this program: {error}"))?;
    let beside = program.parent().unwrap_or(Path::new("/"));
    Ok((args.contenders(beside)?, args.workloads()?))
}

fn measure(args: &Measure, contenders: Contenders, workloads: Workloads) -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("measuring needs root, for namespaces and TAPs: use sudo");
    }
    shell::catch_signals()?;
    let program = std::env::current_exe().context("this program")?;
    let machine = machine::describe();
    let output = args.output.clone().unwrap_or_else(|| default_output(&program, &machine));
    let groups = cgroup::Groups::set_up(!args.no_cgroups);
    let mut settings = record(args);
    settings.insert("cgroups".to_owned(), groups.about.as_str().into());
    let outcome = Outcome::new(&contenders, &workloads, machine, settings);
    let congestion_control = machine::congestion_control(&args.congestion_control)?;
    let outcome = Run { args, program: &program, contenders, workloads, outcome }.measure()?;
    drop((congestion_control, groups));
    println!("{}", table::text(&outcome));
    outcome.save(&output)?;
    result::write(&output.with_extension("md"), &table::markdown(&outcome))?;
    let plots = plot::all(&outcome, &output.with_extension("plots"))?;
    println!("result: {} (.md, .plots/ with {} plots beside it)", output.display(), plots.len());
    let measured = outcome.contenders.iter().any(|entry| !entry.values.is_empty());
    anyhow::ensure!(measured, "nothing could be measured");
    Ok(())
}

/// What the figures depend on beside the machine.
fn record(args: &Measure) -> Map<String, Value> {
    let pairs: [(&str, Value); 6] = [
        ("rounds", args.rounds().into()),
        ("seconds", args.seconds.into()),
        ("idle_seconds", args.idle_seconds().into()),
        ("quick", args.quick.into()),
        ("congestion_control", args.congestion_control.as_str().into()),
        ("udp_loss_max", limits::UDP_LOSS_MAX.into()),
    ];
    pairs.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// `target/bench/compare-TIME.json`, for a program in `target/release`.
fn default_output(program: &Path, machine: &Map<String, Value>) -> PathBuf {
    let target = program.ancestors().nth(2).unwrap_or(Path::new("."));
    let date = machine.get("date").and_then(Value::as_str).unwrap_or("unknown");
    let digits: String = date.chars().filter(char::is_ascii_alphanumeric).collect();
    target.join("bench").join(format!("compare-{digits}.json"))
}

fn show(file: &Path, markdown: bool) -> Result<()> {
    let outcome = Outcome::load(file)?;
    let text = if markdown { table::markdown(&outcome) } else { table::text(&outcome) };
    println!("{}", text.trim_end());
    Ok(())
}

fn draw(file: &Path, folder: &Path) -> Result<()> {
    for plot in plot::all(&Outcome::load(file)?, folder)? {
        println!("{}", plot.display());
    }
    Ok(())
}
