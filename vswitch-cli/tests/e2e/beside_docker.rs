//! `--uplink kernel` beside Docker, whose `FORWARD` chain drops what it does not know: the rules of docs/nat.md.

use std::path::Path;

use testkit::{Docker, FAR4, HOST4, Remote};

use crate::harness::Host;

/// The rules that docs/nat.md tells people to add.
#[track_caller]
fn documented_rules() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nat.md");
    let text = std::fs::read_to_string(path).expect("docs/nat.md");
    let rules = text.lines().filter(|line| line.starts_with("iptables -I DOCKER-USER "));
    rules.map(str::to_owned).collect()
}

#[test]
fn the_kernels_way_needs_two_rules() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let _docker = Docker::start(host.netns());
    host.up(&["--uplink", "kernel"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    let _inside = a.serve("tcp", a.v4(), 80);
    let _outside = remote.far().serve("tcp", FAR4, 7000);
    assert!(!a.can_ask("tcp", FAR4, 7000), "Docker lets it pass: the rules are not needed");
    assert!(!remote.far().can_ask("tcp", HOST4, 8080));
    let rules = documented_rules();
    assert_eq!(rules.len(), 2, "{rules:?}");
    for rule in &rules {
        host.netns().ok(&rule.split(' ').collect::<Vec<_>>());
    }
    assert_eq!(a.ask("tcp", FAR4, 7000).0, HOST4);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
}

/// The switch's own way passes none of Docker's rules.
#[test]
fn the_switchs_own_way_needs_none() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let docker = Docker::start(host.netns());
    host.up_inside(&docker, &["--uplink", "auto"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    let _inside = a.serve("tcp", a.v4(), 80);
    let _outside = remote.far().serve("tcp", FAR4, 7000);
    assert_eq!(a.ask("tcp", FAR4, 7000).0, HOST4);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    let loopback = "127.0.0.1".parse().expect("an address");
    assert!(host.netns().can_ask("tcp", loopback, 8080), "from the host itself");
}
