//! One page: sections of clap_mangen, and those that it lacks.
//!
//! The synopsis has the values of options. Examples stay as they are written: roff would fill their lines.
//! Environment, files and exit status are the same for all commands.

use std::io;

use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;

/// Sections that every page has.
const COMMON: &str = r#".SH ENVIRONMENT
.TP
\fBVSWITCH_SOCKET\fR
Socket of the daemon, where \fB\-\-socket\fR does not name it. Empty is the same as unset. The option wins
over the variable, and the variable over a configuration file.
.TP
\fBNO_COLOR\fR
Not empty: no colours.
.TP
\fBRUST_LOG\fR
Filter of the log on stderr; wins over \fB\-v\fR.
.SH FILES
.TP
\fI/run/vswitch/vswitch.sock\fR
The API of the daemon.
.TP
\fI/var/lib/vswitch/state.json\fR
Desired state: networks, attachments, publications.
.TP
\fI/var/lib/vswitch/vswitch.log\fR
Log of a daemon that \fBvswitch up \-\-detach\fR started.
.SH EXIT STATUS
.TP
\fB0\fR
Done.
.TP
\fB1\fR
Failed.
.TP
\fB2\fR
Wrong usage.
"#;

/// What `run` adds to the exit status.
const RUN: &str = r#".TP
\fB127\fR, \fB126\fR
There is no such command, or it cannot be executed.
.TP
\fB128\fR + \fIN\fR
Signal \fIN\fR ended the command. Otherwise the status is the command's.
"#;

/// The name of the page: `vswitch-network-ls`.
pub(super) fn name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

/// The source of the page.
pub(super) fn render(command: &Command) -> io::Result<Vec<u8>> {
    let spoken = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let usage = synopsis(command, &spoken);
    let man = Man::new(command.clone().override_usage(usage).bin_name(spoken));
    let (mut page, name) = (Vec::new(), name(command));
    let source = concat!("vswitch ", env!("CARGO_PKG_VERSION"));
    man.title(name).source(source).manual("vswitch").render_all(command, &mut page)?;
    Ok(page)
}

/// The order of the sections.
trait RenderAll {
    fn render_all(&self, command: &Command, page: &mut Vec<u8>) -> io::Result<()>;
}

impl RenderAll for Man {
    fn render_all(&self, command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
        self.render_title(page)?;
        self.render_name_section(page)?;
        self.render_synopsis_section(page)?;
        self.render_description_section(page)?;
        let help = command.get_after_long_help().or_else(|| command.get_after_help());
        let help = help.map(ToString::to_string).unwrap_or_default();
        let (notes, examples) = split(&help);
        page.extend(literal(None, &notes).into_bytes());
        self.render_options_section(page)?;
        if command.has_subcommands() {
            self.render_subcommands_section(page)?;
        }
        page.extend(literal(Some("EXAMPLES"), &examples).into_bytes());
        page.extend(COMMON.as_bytes());
        if command.get_name() == "run" {
            page.extend(RUN.as_bytes());
        }
        page.extend(b".SH SEE ALSO\nvswitch(1)\n");
        Ok(())
    }
}

/// `vswitch attach [OPTION]...`: options with their values, required ones bare.
fn synopsis(command: &Command, spoken: &str) -> String {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let (global, own): (Vec<&Arg>, Vec<&Arg>) = shown.partition(|arg| arg.is_global_set());
    let (words, options): (Vec<&Arg>, Vec<&Arg>) = own.into_iter().partition(|a| a.is_positional());
    let mut parts: Vec<String> = options.into_iter().map(option).collect();
    if !global.is_empty() {
        parts.push("[GLOBAL OPTION]...".to_owned());
    }
    parts.extend(words.into_iter().map(word));
    if command.has_subcommands() {
        let is_required = command.is_subcommand_required_set();
        parts.push(if is_required { "COMMAND" } else { "[COMMAND]" }.to_owned());
    }
    format!("{spoken} {}", parts.join(" "))
}

fn option(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let flags: Vec<String> = short.into_iter().chain(long).collect();
    let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let value = match takes_value {
        true => format!(" {}", value(arg)),
        false => String::new(),
    };
    let more = if matches!(arg.get_action(), ArgAction::Append) { "..." } else { "" };
    let said = format!("{}{value}", flags.join("|"));
    if arg.is_required_set() { format!("{said}{more}") } else { format!("[{said}]{more}") }
}

fn word(arg: &Arg) -> String {
    let is_many = arg.get_num_args().is_some_and(|count| count.max_values() > 1);
    let more = if is_many { "..." } else { "" };
    let before = if arg.is_trailing_var_arg_set() { "-- " } else { "" };
    let said = format!("{before}{}{more}", value(arg));
    if arg.is_required_set() { said } else { format!("[{said}]") }
}

fn value(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
}

/// The text after the options of `--help`: notes, and examples from the line `Examples:` on up to a line of
/// text that is no example.
fn split(help: &str) -> (String, String) {
    let (mut notes, mut examples, mut in_examples) = (String::new(), String::new(), false);
    for line in help.lines() {
        if line == "Examples:" {
            in_examples = true;
            continue;
        }
        let to = if in_examples { &mut examples } else { &mut notes };
        to.push_str(line);
        to.push('\n');
    }
    (notes.trim().to_owned(), examples.trim_end().to_owned())
}

/// Lines as they are, in a section of their own or after the text before.
fn literal(section: Option<&str>, text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let head = section.map_or(".PP\n".to_owned(), |section| format!(".SH {section}\n"));
    let lines: String = text.lines().map(|line| escape(line) + "\n").collect();
    format!("{head}.nf\n{lines}.fi\n")
}

/// A line for roff: no control line, no escapes, and hyphens that can be copied.
fn escape(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if line.starts_with('.') { format!("\\&{line}") } else { line }
}
