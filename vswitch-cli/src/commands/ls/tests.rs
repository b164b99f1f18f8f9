use vswitch_api::port::PendingPublication;
use vswitch_api::stats::PortTraffic;

use super::*;
use crate::output::{Format, painted};

fn port(name: &str, publish: &[&str]) -> Port {
    Port {
        name: name.into(),
        network: "br0".into(),
        ifname: "eth0".into(),
        mac: "02:00:00:00:00:0a".parse().unwrap(),
        ipv4: vec!["10.99.0.2".parse().unwrap()],
        ipv6: vec!["fd00::2".parse().unwrap()],
        netns: "/proc/1567/task/1569/ns/net".into(),
        state: PortState::Up,
        fault: None,
        publish: publish.iter().map(|ports| ports.parse().unwrap()).collect(),
        publish_pending: Vec::new(),
        aliases: Vec::new(),
        labels: [("app".to_owned(), "shop".to_owned())].into(),
        traffic: PortTraffic { rx_frames: 12, rx_bytes: 1536, tx_frames: 15, tx_bytes: 20 },
        drops: 0,
    }
}

fn shown(list: ListArgs, rows: Vec<Port>) -> String {
    let plan = list.plan::<Port>(Format::Table).unwrap();
    painted(&plan.render(&plan.select(rows)), false)
}

#[test]
fn the_default_table_fits_a_terminal() {
    let mut blocked = port("c10", &["8080:80", "53:53/udp", "9000:9000"]);
    blocked.state = PortState::LoopBlocked;
    blocked.drops = 12_345;
    blocked.ipv4 = vec!["10.99.255.254".parse().unwrap()];
    let shown = shown(ListArgs::default(), vec![blocked, port("c2", &[])]);
    assert_eq!(
        shown,
        "\
NAME  STATE         IPV4                RX    TX  DROPS  PUBLISHED
c2    up            10.99.0.2      1.5 KiB  20 B      0  -
c10   loop-blocked  10.99.255.254  1.5 KiB  20 B  12.3k  8080:80 +2 more
"
    );
    assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
}

#[test]
fn the_wide_table_has_everything() {
    let mut web = port("web", &["8080:80", "53:53/udp"]);
    let reason = "taken".to_owned();
    web.publish_pending = vec![PendingPublication { ports: "53:53/udp".parse().unwrap(), reason }];
    let plan = ListArgs::default().plan::<Port>(Format::Table).unwrap();
    assert!(plan.render(&[web.clone()]).contains("53:53/udp pending"));
    let mut command = clap::Command::new("ls");
    command = ListArgs::augment_args(command);
    let matches = command.try_get_matches_from(["ls", "-o", "wide"]).unwrap();
    let wide = <ListArgs as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
    let shown = shown(wide, vec![web]);
    for word in ["br0", "fd00::2", "02:00:00:00:00:0a", "eth0", "run:1567", "app=shop"] {
        assert!(shown.contains(word), "no {word} in {shown}");
    }
    assert!(shown.contains("8080:80/tcp, 53:53/udp (pending)"), "{shown}");
}

#[test]
fn filters_of_ports() {
    let holds = |key: &str, value: &str| {
        let (_, is_match) = Port::FILTERS.iter().find(|(name, _)| *name == key).unwrap();
        is_match(&port("web-1", &["8000-8010:80-90"]), value)
    };
    assert!(holds("name", "WEB") && !holds("name", "db"));
    assert!(holds("label", "app") && holds("label", "app=shop") && !holds("label", "app=x"));
    assert!(holds("state", "up") && !holds("state", "loop-blocked"));
    assert!(holds("address", "10.99.0.2") && holds("address", "fd00::2"));
    assert!(holds("port", "8005") && !holds("port", "8011") && !holds("port", "x"));
}

#[test]
fn a_namespace_of_run_has_a_short_name() {
    assert_eq!(netns("/proc/1567/task/1569/ns/net"), "run:1567");
    for other in ["/proc/1567/ns/net", "pid:42", "a", "/run/netns/a"] {
        assert_eq!(netns(other), other);
    }
}

/// Their full names are words that commands take.
#[test]
fn rows_of_one_container_are_told_apart() {
    let blue = Port { network: "blue".into(), ..port("web", &[]) };
    let rows = || vec![port("web", &[]), blue.clone(), port("c2", &[])];
    let table = shown(ListArgs::default(), rows());
    let names: Vec<_> = table.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["NAME", "c2", "web@blue", "web@br0"]);
    let list = |words: &[&str]| {
        let command = ListArgs::augment_args(clap::Command::new("ls"));
        let matches = command.try_get_matches_from([&["ls"], words].concat()).unwrap();
        <ListArgs as clap::FromArgMatches>::from_arg_matches(&matches).unwrap()
    };
    assert_eq!(shown(list(&["-q"]), rows()), "c2\nweb\n");
    assert_eq!(shown(list(&["-o", "columns=name"]), rows()), "NAME\nc2\nweb\nweb\n");
}
