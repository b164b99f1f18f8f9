use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

/// Configuration of `vswitch up ARGS`.
fn configured(args: &[&str]) -> Outcome<Config> {
    let cli = Cli::try_parse_from([&["vswitch"], args].concat()).unwrap();
    let Command::Up(up) = cli.command else { panic!("{args:?} is not `up`") };
    up.configure(&cli.global)
}

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(configured(&["up"]), Ok(Config::new(Settings::default())));
}

/// `packaging/vswitch.toml`: as it is, and with each setting that it shows.
#[test]
fn the_packaged_file_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vswitch.toml").display().to_string();
    let text = include_str!("../../../../packaging/vswitch.toml");
    std::fs::write(&file, text).unwrap();
    assert_eq!(configured(&["up", "--config", &file]), configured(&["up"]));
    let settings: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| line.contains(" = "))
        .collect();
    assert!(settings.len() > 10, "{settings:?}");
    std::fs::write(&file, settings.join("\n")).unwrap();
    configured(&["up", "--config", &file]).unwrap();
}

#[test]
fn options_win_over_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    std::fs::write(
        &file,
        "bridge = \"lab0\"\nmtu = 9000\ndhcp = true\nsocket = \"/run/lab.sock\"\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let config =
        configured(&["up", "--config", file, "--mtu", "1400", "--idle", "spin", "--ra"]).unwrap();
    assert_eq!(config.bridge.as_str(), "lab0");
    assert_eq!((config.mtu.get(), config.idle), (1400, IdlePolicy::Spin));
    assert!(config.dhcp && config.ra, "one of the file, one of the options");
    assert_eq!(config.socket_path(), Path::new("/run/lab.sock"));
    let config = configured(&["--socket", "/run/other.sock", "up", "--config", file]).unwrap();
    assert_eq!(config.socket_path(), Path::new("/run/other.sock"));
}

#[test]
fn a_wrong_file_is_an_error_of_usage() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    let path = file.to_str().unwrap();
    assert_eq!(configured(&["up", "--config", path]).unwrap_err().exit(), 1);
    std::fs::write(&file, "color = 1\n").unwrap();
    let failure = configured(&["up", "--config", path]).unwrap_err();
    assert_eq!(failure.exit(), 2);
    assert!(failure.to_string().contains("color"), "{failure}");
}

#[test]
fn the_summary_says_what_is_next() {
    let status: Status = serde_json::from_value(serde_json::json!({
        "version": "0.1.0", "pid": 42, "backend": "io_uring", "backend_reason": "it works",
        "workers": 1, "cpus": [], "scheduling": "normal", "scheduling_reason": "asked", "idle": "adaptive", "idle_state": "spinning", "idle_reason": "no traffic yet", "uplinks": [], "bridge": "br0", "networks": 1,
        "ports": 0, "uptime_s": 0, "state_dir": "/var/lib/vswitch",
    }))
    .unwrap();
    let network: NetworkDetail = serde_json::from_value(serde_json::json!({
        "name": "br0", "subnets": ["10.99.0.0/16", "fd00::/64"],
        "gateways": ["10.99.0.1", "fd00::1"], "mtu": 1500, "uplinks": [],
        "ports": 0, "gateway_mac": "02:00:00:00:00:01", "ageing_s": 300, "multicast": "snoop",
        "fdb_entries_max": 4096, "fdb_entries": 0, "members": [],
    }))
    .unwrap();
    let config = Config::new(Settings::default());
    assert_eq!(
        summary(&status, &network, &config, Path::new("/var/lib/vswitch/vswitch.log")),
        "\
br0 is up, process 42
  IPv4     10.99.0.1/16
  IPv6     fd00::1/64
  backend  io_uring (it works)
  log      /var/lib/vswitch/vswitch.log

Next:
  vswitch run -- bash    a shell in a network namespace attached to br0
  vswitch ls             attached containers
  vswitch down           stop the switch and restore the host
"
    );
    let config = Config { socket: "/run/lab.sock".parse().unwrap(), ..config };
    let shown = summary(&status, &network, &config, Path::new("/log"));
    assert!(shown.contains("  vswitch --socket /run/lab.sock ls "), "{shown}");
}

#[test]
fn dns_servers_add_up_and_exclude_no_dns() {
    let dns = |args: &[&str]| configured(args).unwrap().dns.to_string();
    assert_eq!(dns(&["up"]), "host");
    assert_eq!(dns(&["up", "--no-dns"]), "off");
    let both = ["up", "--dns-upstream", "192.0.2.1", "--dns-upstream", "192.0.2.2:5353"];
    assert_eq!(dns(&both), "192.0.2.1,192.0.2.2:5353");
    let contradiction = ["vswitch", "up", "--no-dns", "--dns-upstream", "192.0.2.1"];
    assert!(Cli::try_parse_from(contradiction).is_err());
    assert!(Cli::try_parse_from(["vswitch", "up", "--dns-upstream", "resolver"]).is_err());
}

#[test]
fn a_registry_is_an_option_and_its_password_stays_in_it() {
    let up = ["up", "--underlay", "192.0.2.1", "--registry"];
    let config = configured(&[&up[..], &["etcd://n:secret@192.0.2.9"]].concat()).unwrap();
    let url = config.registry.unwrap();
    assert_eq!(
        (url.to_string().as_str(), url.user.as_deref()),
        ("etcd://192.0.2.9:2379/vswitch", Some("n"))
    );
    for bad in ["etcd://n:secret@192.0.2.9:0", "n:secret@192.0.2.9", "consul://secret@192.0.2.9"] {
        let failure = configured(&[&up[..], &[bad]].concat()).unwrap_err();
        let report = failure.report().unwrap();
        assert!(failure.exit() == 2 && !report.contains("secret"), "{report}");
        assert!(report.contains("bad registry URL"), "{report}");
    }
    let failure = configured(&["up", "--registry", "etcd://n:secret@192.0.2.9"]).unwrap_err();
    let report = failure.report().unwrap();
    assert!(report.contains("--underlay") && !report.contains("secret"), "{report}");
    assert_eq!(failure.exit(), 2);
}
