//! All output to stdout and stderr.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Failure, Outcome};

/// Form of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    // Doc comments here would make `--help` long.
    // For people.
    #[default]
    Table,
    // For programs: the keys are stable.
    Json,
}

/// Shows a response of the API: as JSON, or as `table` renders it.
pub(crate) fn show<T: Serialize>(
    format: Format,
    answer: &T,
    table: impl FnOnce(&T) -> String,
) -> Outcome<()> {
    match format {
        Format::Table => text(&table(answer)),
        Format::Json => json(answer),
    }
}

/// Prints `what` for people; programs read the exit code.
pub(crate) fn done(format: Format, what: &str) -> Outcome<()> {
    match format {
        Format::Table => text(&format!("{what}\n")),
        Format::Json => Ok(()),
    }
}

/// Writes text that ends with a newline.
pub(crate) fn text(text: &str) -> Outcome<()> {
    bytes(text.as_bytes())
}

/// Writes bytes.
pub(crate) fn bytes(bytes: &[u8]) -> Outcome<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

/// Writes JSON for programs, indented so that people can read it as well.
pub(crate) fn json<T: Serialize>(value: &T) -> Outcome<()> {
    text(&(encode(serde_json::to_string_pretty(value))? + "\n"))
}

/// Writes JSON in one line, for output that goes on.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Outcome<()> {
    text(&(encode(serde_json::to_string(value))? + "\n"))
}

fn encode(encoded: serde_json::Result<String>) -> Outcome<String> {
    encoded.map_err(|error| Failure::new(format!("cannot encode the answer: {error}")))
}

/// Writes to stderr; a closed stderr is ignored.
pub(crate) fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// True if stderr is a terminal and `NO_COLOR` is not set (no-color.org).
pub(crate) fn stderr_has_colours() -> bool {
    use std::io::IsTerminal;
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
