//! All output to stdout and stderr.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::error::{Failure, Outcome};
use crate::table::{ALERT, END, WARNING};

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

/// Writes text that ends with a newline; coloured cells only on a terminal.
pub(crate) fn text(text: &str) -> Outcome<()> {
    bytes(painted(text, has_colours(&io::stdout())).as_bytes())
}

/// The text with its marks as colours (SGR of ECMA-48), or without them.
pub(crate) fn painted(text: &str, has_colours: bool) -> String {
    let colour = |mark: char| match mark {
        ALERT => Some("\x1b[31m"),
        WARNING => Some("\x1b[33m"),
        END => Some("\x1b[0m"),
        _ => None,
    };
    let mut painted = String::with_capacity(text.len());
    for c in text.chars() {
        match colour(c) {
            None => painted.push(c),
            Some(code) if has_colours => painted.push_str(code),
            Some(_) => {}
        }
    }
    painted
}

/// Writes text in place of all that the terminal shows; appends it where stdout is none.
pub(crate) fn redraw(shown: &str) -> Outcome<()> {
    const CLEAR: &[u8] = b"\x1b[H\x1b[2J";
    if io::stdout().is_terminal() {
        bytes(CLEAR)?;
    }
    text(shown)
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

/// True if stderr has colours.
pub(crate) fn stderr_has_colours() -> bool {
    has_colours(&io::stderr())
}

/// True if it is a terminal and `NO_COLOR` is not set (no-color.org).
fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn marks_become_colours_or_nothing() {
        let text = format!("a {} {}\n", table::alert("FAIL"), table::warning(3));
        assert_eq!(painted(&text, false), "a FAIL 3\n");
        assert_eq!(painted(&text, true), "a \x1b[31mFAIL\x1b[0m \x1b[33m3\x1b[0m\n");
    }
}
