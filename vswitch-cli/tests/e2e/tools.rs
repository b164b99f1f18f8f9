//! Tools: configuration file, doctor, completions, man pages.

use serde_json::Value;

use crate::harness::Host;

#[test]
fn a_configuration_file_and_options_that_win() {
    let mut host = Host::new();
    let file = host.path("vswitch.toml");
    let text = "subnet = \"10.55.0.0/24\"\nmtu = 4000\nidle = \"sleep\"\nageing_s = 77\n";
    std::fs::write(&file, text).expect("write");
    host.up(&["--config", file.to_str().expect("UTF-8"), "--mtu", "5000"]);
    let network = host.json(&["network", "inspect", "br0"]);
    assert_eq!(network["subnets"][0], "10.55.0.0/24");
    assert_eq!(network["mtu"], 5000);
    assert_eq!(network["ageing_s"], 77);
    assert_eq!(host.status().idle.name(), "sleep");
}

/// The example in docs/cli.md is what the daemon understands.
#[test]
fn the_documented_configuration_file() {
    let mut host = Host::new();
    let document = include_str!("../../../docs/cli.md");
    let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let file = host.path("vswitch.toml");
    std::fs::write(&file, example.expect("an example")).expect("write");
    host.up(&["--config", file.to_str().expect("UTF-8")]);
    assert_eq!(host.json(&["network", "ls"])[0]["subnets"][1], "fd00:99::/64");
}

#[test]
fn doctor() {
    let host = Host::with_switch();
    let checks = host.json(&["doctor"]);
    let names: Vec<_> = checks.as_array().expect("an array").iter().map(|c| &c["check"]).collect();
    for name in [
        "kernel",
        "io_uring",
        "tun",
        "capabilities",
        "ip_forward",
        "mtu",
        "nftables",
        "snat_ports",
        "neighbours",
        "daemon",
    ] {
        assert!(names.iter().any(|check| *check == name), "no {name} in {names:?}");
    }
    for check in checks.as_array().expect("an array") {
        assert!(check["status"] == "ok" || check["advice"].is_string(), "no advice: {check:#}");
    }
    let daemon = checks.as_array().and_then(|all| all.iter().find(|c| c["check"] == "daemon"));
    assert_eq!(daemon.map(|check| &check["status"]), Some(&Value::from("ok")), "{checks:#}");
    assert_eq!(host.netns().links(), ["nic0", "br0", "up-br0"], "the trial TAP is left");
}

#[test]
fn completions_and_man_pages() {
    let host = Host::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = host.ok(&["completions", shell]);
        assert!(script.contains("VSWITCH_COMPLETE") && script.contains("vswitch"), "{script}");
    }
    assert!(host.ok(&["man"]).contains(".TH vswitch 1"));
    assert!(host.ok(&["man", "network", "ls"]).contains(".TH vswitch-network-ls 1"));
    host.fails(&["man", "atach"], &[2], "did you mean attach?");
    let folder = host.path("man");
    host.ok(&["man", "--dir", folder.to_str().expect("UTF-8")]);
    for page in ["vswitch.1", "vswitch-up.1", "vswitch-network-ls.1"] {
        assert!(folder.join(page).exists(), "no {page}");
    }
}

#[test]
fn help_shows_examples() {
    let host = Host::new();
    for command in ["up", "attach", "run", "fdb", "doctor"] {
        let help = host.ok(&[command, "--help"]);
        assert!(help.contains("Examples:"), "{help}");
    }
}
