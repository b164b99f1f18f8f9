//! The `vswitch` command.
//!
//! `vswitch up` runs the daemon, by one function of the library; every other command is a client of
//! its API.
//!
//! | module | content |
//! |---|---|
//! | [`cli`], [`global`] | the list of commands; options of every command |
//! | [`complete`] | completion of names and values |
//! | [`value`] | text becomes typed values, or a precise error |
//! | [`endpoint`], [`network_mode`] | options of an endpoint; values of `run --network` |
//! | [`commands`] | one file a command |
//! | [`client`] | the API client, blocking |
//! | [`list`] | which rows of a list, in which order and form |
//! | [`output`], [`table`], [`human`] | output to stdout and stderr |
//! | [`similar`], [`fresh_name`] | the name that was meant; a name for an attachment without one |
//! | [`error`], [`several`] | failures, hints, exit codes; commands that take several names |
//! | [`limits`] | waits and sizes |
#![forbid(unsafe_code)]

mod cli;
mod client;
mod commands;
mod complete;
mod endpoint;
mod engine;
mod error;
mod fresh_name;
mod global;
mod human;
mod limits;
mod list;
mod network_mode;
mod output;
mod port_settings;
mod publish;
mod resolv_conf;
mod several;
mod similar;
mod table;
mod value;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;
use vswitch::isolate;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == isolate::WATCHDOG_OPTION) {
        let Err(error) = isolate::watchdog(&arguments.collect::<Vec<_>>()) else {
            return ExitCode::SUCCESS;
        };
        output::print_error(&format!("error: {error}\n"));
        return ExitCode::from(error::EXIT_USAGE);
    }
    complete::serve(cli::completed);
    let mut cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    log_to_stderr(&cli);
    let done = cli.global.read_environment().and_then(|()| cli.command.execute(&cli.global));
    done.unwrap_or_else(|failure| {
        if let Some(report) = failure.told() {
            output::print_error(&report);
        }
        ExitCode::from(failure.exit())
    })
}

/// Shows clap's error; also help and version.
fn refuse(error: &clap::Error) -> ExitCode {
    match cli::usage_error(error, std::env::args()) {
        Some(line) => {
            output::print_error(&line);
            ExitCode::from(error::EXIT_USAGE)
        }
        None => error.exit(),
    }
}

/// The daemon logs from `info` on, other commands from `warn` on.
fn log_to_stderr(cli: &cli::Cli) {
    let quiet = match cli.command {
        // A client or an upstream server could fill the log with what hickory warns of.
        cli::Command::Up(_) => "info,hickory_net=error,hickory_proto=error",
        _ => "warn",
    };
    let level = match cli.global.verbose {
        0 => quiet,
        1 => "info,vswitch=debug",
        _ => "debug,vswitch=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(output::stderr_has_colours())
        // It would panic when stderr cannot be written, for example on a full disk.
        .log_internal_errors(false);
    match cli.command {
        cli::Command::Up(_) => log.init(),
        _ => log.without_time().with_target(false).init(),
    }
}
