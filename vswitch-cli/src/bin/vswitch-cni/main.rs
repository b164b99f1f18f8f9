//! `vswitch-cni`: the CNI plugin of vswitch (docs/cni.md), a client of the control API.
//!
//! A runtime starts it for each operation, with parameters in environment variables and the network configuration
//! on the standard input; the answer is JSON on the standard output. The order of a call: parameters,
//! configuration, then requests to the switch.
#![forbid(unsafe_code)]

mod add;
mod arguments;
mod check;
mod config;
mod environment;
mod error;
mod ipam;
mod limits;
mod names;
mod remove;
mod result;
mod switch;
mod usage;
mod version;

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use serde_json::Value;

use config::Config;
use environment::{Attachment, Operation};
use error::{CniError, Code, Outcome};
use limits::CONFIG_BYTES_MAX;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let command = variable("CNI_COMMAND");
    let is_person = command.is_none() && std::io::stdin().is_terminal();
    if is_person || !arguments.is_empty() {
        return usage::show(&arguments);
    }
    let (answer, code) = match call(command.as_deref()) {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err((error, version)) => (Some(error.json(&version)), ExitCode::FAILURE),
    };
    // A runtime that is gone needs no answer.
    let printed = answer.map(|answer| writeln!(std::io::stdout().lock(), "{answer}"));
    match printed {
        Some(Err(_)) => ExitCode::FAILURE,
        _ => code,
    }
}

/// Runs an operation. An error has the version in which it is told.
fn call(command: Option<&str>) -> Result<Option<Value>, (CniError, String)> {
    let newest = |error| (error, version::NEWEST.to_owned());
    let command = command.ok_or_else(|| {
        let fault = CniError::new(Code::InvalidEnvironment, "CNI_COMMAND is absent");
        newest(fault.with_remedy("container runtimes call vswitch-cni; see docs/cni.md"))
    })?;
    let operation = Operation::parse(command).map_err(newest)?;
    let text = input().map_err(newest)?;
    let version = config::version_of(&text);
    if operation == Operation::Version {
        return Ok(Some(version::answer(version.as_deref())));
    }
    run(operation, text)
        .map_err(|error| (error, version.unwrap_or_else(|| version::NEWEST.to_owned())))
}

fn run(operation: Operation, text: String) -> Outcome<Option<Value>> {
    let config = Config::parse(text)?;
    let attachment = || Attachment::read(operation, &variable);
    match operation {
        Operation::Add => add::run(&config, &attachment()?, &variable).map(Some),
        Operation::Del => remove::del(&config, &attachment()?, &variable).map(|()| None),
        Operation::Check => check::check(&config, &attachment()?, &variable).map(|()| None),
        Operation::Status => check::status(&config, &variable).map(|()| None),
        Operation::Gc => remove::gc(&config, &variable).map(|()| None),
        Operation::Version => Ok(None),
    }
}

fn input() -> Outcome<String> {
    let mut text = String::new();
    // One byte more than may be.
    let mut bytes = std::io::stdin().lock().take(CONFIG_BYTES_MAX as u64 + 1);
    let failed = |problem: String| CniError::new(Code::Io, problem);
    bytes
        .read_to_string(&mut text)
        .map_err(|error| failed(format!("cannot read the standard input: {error}")))?;
    if text.len() > CONFIG_BYTES_MAX {
        let fault = format!("the network configuration is longer than {CONFIG_BYTES_MAX} bytes");
        return Err(failed(fault));
    }
    Ok(text)
}

/// An environment variable; an empty one is absent.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
