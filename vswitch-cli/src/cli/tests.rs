use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::*;
use crate::output::Format;

fn usage(args: &[&str]) -> Option<String> {
    let words = std::iter::once(&"vswitch").chain(args).map(ToString::to_string);
    usage_error(&parse(args).unwrap_err(), words)
}

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from([&["vswitch"], args].concat())
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_has_examples() {
    for command in Cli::command().get_subcommands() {
        let help = command.clone().render_help().to_string();
        assert!(help.contains("Examples:"), "{}: {help}", command.get_name());
    }
}

#[test]
fn global_options_go_anywhere() {
    for args in
        [&["--socket", "/s", "--format", "json", "ls"][..], &["ls", "--socket=/s", "--format=json"]]
    {
        let cli = parse(args).unwrap();
        assert_eq!((cli.global.socket(), cli.global.format), ("/s".into(), Format::Json));
    }
}

#[test]
fn what_follows_the_command_of_run_is_its_own() {
    for args in [
        &["run", "--name", "a", "--", "ping", "-c1", "--name", "b"][..],
        &["run", "--name", "a", "ping", "-c1", "--name", "b"],
    ] {
        assert!(parse(args).is_ok(), "{args:?}");
    }
    assert_eq!(
        parse(&["run", "--name", "a"]).unwrap_err().kind(),
        ErrorKind::MissingRequiredArgument
    );
}

#[test]
fn wrong_values_are_said_in_one_line() {
    let said = |args: &[&str]| usage(args).unwrap();
    let attach = ["attach", "--netns", "a", "--name", "a", "--mac"];
    let mac = said(&[&attach[..], &["01:00:5e:00:00:01"]].concat());
    assert!(
        mac.starts_with("error: invalid value '01:00:5e:00:00:01' for '--mac <MAC>': "),
        "{mac}"
    );
    assert_eq!(mac.lines().count(), 1, "{mac}");
    let idle = said(&["up", "--idle", "never"]);
    assert_eq!(
        idle,
        "error: invalid value 'never' for '--idle <POLICY>' [possible values: adaptive, spin, sleep]\n"
    );
    let name = said(&["run", "--name", "a b", "true"]);
    assert!(name.contains("' ' cannot be in a name"), "{name}");
    assert_eq!(said(&["up", "--workers", "0"]).lines().count(), 1);
}

#[test]
fn other_usage_errors_keep_claps_advice() {
    let said = |args: &[&str]| usage(args).unwrap();
    assert_eq!(
        said(&["attach", "--name", "a"]),
        "\
error: the following required arguments were not provided: <--netns <PID|PATH|NAME>|--container <NAME|ID>>
Usage: vswitch attach --name <NAME> <--netns <PID|PATH|NAME>|--container <NAME|ID>>
For more information, try '--help'.
"
    );
    let typo = said(&["insect"]);
    assert!(typo.contains("\n  tip: ") && typo.contains("'inspect'"), "{typo}");
    assert_eq!(usage(&["--help"]), None);
    assert_eq!(usage(&["--version"]), None);
    assert_eq!(usage(&[]), None);
}

#[test]
fn a_wrong_option_gets_one_of_the_same_command() {
    let tip = |args: &[&str]| {
        let said = usage(args).unwrap();
        said.lines().find_map(|line| line.split("tip: ").nth(1).map(str::to_owned))
    };
    let similar = |option: &str| Some(format!("a similar option exists: '{option}'"));
    assert_eq!(tip(&["ls", "--fliter", "name=x"]), similar("--filter"));
    assert_eq!(tip(&["attach", "--net-ns", "1"]), similar("--netns"));
    // Options of other commands, hidden ones, and words that are no value are not suggested.
    assert_eq!(tip(&["ls", "--netns", "1"]), None);
    assert_eq!(tip(&["up", "--background"]), similar("--backend"));
    assert_eq!(tip(&["up", "--in-backgroun"]), None);
    assert_eq!(tip(&["detach", "--xyz"]), None);
    assert_eq!(tip(&["network", "ls", "--qiet"]), similar("--quiet"));
}

#[test]
fn every_name_is_completed() {
    // Options and words whose values are names that the daemon knows.
    for (path, id) in [
        (&["detach"][..], "names"),
        (&["inspect"], "names"),
        (&["publish"], "name"),
        (&["unpublish"], "ports"),
        (&["rename"], "name"),
        (&["run"], "network"),
        (&["attach"], "netns"),
        (&["attach"], "network"),
        (&["conntrack", "ls"], "container"),
        (&["fdb", "ls"], "port"),
        (&["port", "set"], "name"),
        (&["network", "inspect"], "names"),
        (&["network", "prune"], "filter"),
        (&["dns", "query"], "name"),
        (&["fdb", "del"], "mac"),
        (&["run"], "command"),
        (&["stats"], "name"),
    ] {
        let mut command = Cli::command();
        command.build();
        let found = path.iter().try_fold(&command, |at, word| at.find_subcommand(word)).unwrap();
        let arg = found.get_arguments().find(|arg| arg.get_id() == id).unwrap();
        let completer = arg.get::<clap_complete::ArgValueCompleter>();
        assert!(completer.is_some(), "{path:?} {id}");
    }
}

#[test]
fn global_options_go_before_a_subcommand_and_those_of_a_list_behind() {
    for command in ["fdb", "conntrack", "publish", "network"] {
        assert!(parse(&[command, "--format", "json", "-v", "ls", "-q"]).is_ok(), "{command}");
    }
    assert!(parse(&["fdb", "--port", "a"]).is_ok() && parse(&["fdb", "ls", "--port", "a"]).is_ok());
    for wrong in
        [&["fdb", "--port", "a", "ls"][..], &["conntrack", "-q", "ls"], &["publish", "web", "ls"]]
    {
        let cli = parse(&[&["--socket", "/no/switch"], wrong].concat()).unwrap();
        assert_eq!(cli.command.execute(&cli.global).unwrap_err().exit(), 2, "{wrong:?}");
    }
}
