use clap::CommandFactory;

use super::*;
use crate::cli::Cli;

fn page(path: &[&str]) -> String {
    let mut cli = Cli::command().disable_help_subcommand(true);
    cli.build();
    let command = path.iter().try_fold(&cli, |at, word| at.find_subcommand(word)).unwrap();
    String::from_utf8(page::render(command).unwrap()).unwrap().replace("\\-", "-")
}

#[test]
fn a_page_has_all_sections() {
    let page = page(&["attach"]);
    let title = concat!(".TH vswitch-attach 1  \"vswitch ", env!("CARGO_PKG_VERSION"), "\"");
    assert!(page.contains(title), "{page}");
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "EXAMPLES",
        "ENVIRONMENT",
        "FILES",
        "\"EXIT STATUS\"",
        "SEE ALSO",
    ] {
        let section = section.trim_matches('"');
        assert!(page.contains(&format!(".SH {section}")), "no {section}: {page}");
    }
    assert!(page.contains("VSWITCH_SOCKET") && page.contains("/run/vswitch/vswitch.sock"));
}

#[test]
fn the_synopsis_has_values() {
    let page = page(&["attach"]);
    assert!(page.contains("--netns PID|PATH|NAME"), "{page}");
    assert!(page.contains("[--ip ADDRESS]"), "{page}");
    assert!(page.contains("[--label KEY=VALUE]..."), "{page}");
    let ls = self::page(&["network", "ls"]);
    assert!(ls.contains("[-o|--output FORM]") && ls.contains("[-q|--quiet]"), "{ls}");
    assert!(self::page(&["run"]).contains("-- CMD..."));
    assert!(self::page(&["detach"]).contains("[NAME...]"));
}

#[test]
fn examples_stay_as_written() {
    let page = page(&["ls"]);
    let examples = page.split(".SH EXAMPLES\n.nf\n").nth(1).unwrap().split(".fi").next().unwrap();
    assert!(examples.contains("\n  vswitch ls --sort -drops\n"), "{examples}");
    assert!(page.contains("Filters are name"), "notes are there, too: {page}");
}

#[test]
fn a_wrong_command_is_refused_with_the_nearest() {
    let mut cli = Cli::command();
    cli.build();
    let report = unknown(&cli, "atach").report().unwrap();
    assert!(report.contains("no command vswitch atach") && report.contains("mean attach?"));
}
