use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

/// The end of `vswitch run ARGS` where no switch is.
fn run(args: &[&str]) -> Failure {
    let cli = Cli::try_parse_from([&["vswitch", "--socket", "/no/switch", "run"], args].concat())
        .unwrap();
    let Command::Run(run) = cli.command else { panic!("{args:?} is not `run`") };
    run.execute(&cli.global).unwrap_err()
}

#[test]
fn the_hosts_own_network_has_the_hosts_names() {
    for option in [["--hostname", "a"], ["--add-host", "a:10.0.0.1"], ["--dns", "192.0.2.1"]] {
        let failure = run(&[&["--network", "host"][..], &option, &["true"]].concat());
        assert_eq!(failure.exit(), 2);
        assert!(failure.to_string().ends_with("not host"), "{failure}");
    }
}

#[test]
fn other_networks_have_no_addresses_to_fix() {
    for network in ["host", "none", "container:web"] {
        let failure = run(&["--network", network, "--ip", "10.99.0.7", "true"]);
        assert_eq!(failure.exit(), 2);
        assert!(failure.to_string().ends_with(&format!("not {network}")), "{failure}");
        let failure = run(&["--network", network, "-p", "8080:80", "true"]);
        assert_eq!(failure.exit(), 2);
        assert!(failure.to_string().contains("--publish"), "{failure}");
    }
}

#[test]
fn nothing_runs_without_a_switch() {
    for args in
        [&["--name", "a", "false"][..], &["false"], &["--network", "container:web", "false"]]
    {
        let failure = run(args);
        assert_eq!(failure.exit(), 1);
        assert!(failure.to_string().starts_with("no switch answers at /no/switch"), "{failure}");
    }
}
