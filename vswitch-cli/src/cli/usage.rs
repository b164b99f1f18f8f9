//! The form of usage errors.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Cli;
use crate::similar;

/// clap's error with its first paragraph in one line; `None` for help and version. Tips and usage follow
/// only where the command line has a wrong shape: a wrong value needs one line.
pub(crate) fn usage_error(
    error: &clap::Error,
    words: impl Iterator<Item = String>,
) -> Option<String> {
    let text = error.to_string();
    let mut paragraphs = text.split("\n\n");
    let said = paragraphs.next()?.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let rest = paragraphs.map(str::trim_end);
    match error.kind() {
        _ if !said.starts_with("error: ") => None,
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => Some(said + "\n"),
        ErrorKind::UnknownArgument => {
            let tip = similar_option(error, words);
            let tip = tip.map(|option| format!("  tip: a similar option exists: '{option}'"));
            let rest = rest.filter(|paragraph| !paragraph.trim_start().starts_with("tip: "));
            let rest: Vec<String> = tip.into_iter().chain(rest.map(str::to_owned)).collect();
            Some(format!("{said}\n{}\n", rest.join("\n")))
        }
        _ => Some(format!("{said}\n{}\n", rest.collect::<Vec<_>>().join("\n"))),
    }
}

/// The option of the same command that was meant. clap would name hidden ones, too, and suggest to pass the
/// option as a value.
fn similar_option(error: &clap::Error, words: impl Iterator<Item = String>) -> Option<String> {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return None };
    let wrong = wrong.strip_prefix("--")?.split('=').next()?;
    let mut cli = Cli::command();
    cli.build();
    let mut command = &cli;
    for word in words.skip(1) {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    let options = command.get_arguments().filter(|option| !option.is_hide_set());
    let nearest = similar::nearest(wrong, options.filter_map(|option| option.get_long()))?;
    Some(format!("--{nearest}"))
}
