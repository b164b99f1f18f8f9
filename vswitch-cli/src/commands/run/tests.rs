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
fn a_network_of_the_switch_needs_a_name() {
    for args in [&["true"][..], &["--network", "br0", "true"]] {
        let failure = run(args);
        assert_eq!(failure.exit(), 2);
        assert!(failure.to_string().contains("--name"), "{failure}");
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
    for args in [&["--name", "a", "false"][..], &["--network", "container:web", "false"]] {
        let failure = run(args);
        assert_eq!(failure.exit(), 1);
        assert!(failure.to_string().starts_with("no switch answers at /no/switch"), "{failure}");
    }
}

#[test]
fn the_hosts_file_knows_the_container() {
    let port: Port = serde_json::from_value(serde_json::json!({
        "name": "a", "network": "br0", "ifname": "eth0", "mac": "02:00:00:00:00:0a",
        "ipv4": ["10.99.0.2"], "ipv6": ["fd00::2"], "netns": "pid:42", "state": "up",
        "publish": [], "publish_pending": [],
        "rx_frames": 0, "tx_frames": 0, "rx_bytes": 0, "tx_bytes": 0, "drops": 0,
    }))
    .unwrap();
    let names = vec!["a".to_owned(), "a.br0".to_owned()];
    assert_eq!(
        hosts(&port),
        [("10.99.0.2".parse().unwrap(), names.clone()), ("fd00::2".parse().unwrap(), names)]
    );
}
