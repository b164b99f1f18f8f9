//! Lists: forms, filters, order, and what fits a terminal.

use std::process::{Command, Stdio};

use serde_json::Value;
use testkit::{COMMAND_TIMEOUT, Process};

use crate::harness::Host;

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn ls_fits_a_terminal_and_the_rest_is_wide() {
    let host = Host::with_switch();
    let _web = host.container_with("web", &["-p", "8080:80", "-p", "8443:443", "-p", "53:53/udp"]);
    let narrow = host.ok(&["ls"]);
    let heading: Vec<_> = lines(&narrow)[0].split_whitespace().collect();
    assert_eq!(heading, ["NAME", "STATE", "IPV4", "RX", "TX", "DROPS", "PUBLISHED"]);
    assert!(narrow.contains("8080:80 +2 more"), "{narrow}");
    assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
    assert!(!narrow.contains('\u{1b}'), "colours where no terminal is: {narrow:?}");
    let wide = host.ok(&["ls", "-o", "wide"]);
    assert!(wide.contains("MAC") && wide.contains("53:53/udp") && wide.contains("br0"), "{wide}");
}

#[test]
fn names_are_in_natural_order_and_can_be_filtered_and_sorted() {
    let host = Host::with_switch();
    let _all: Vec<_> = ["c10", "c2", "web"]
        .into_iter()
        .map(|name| host.container_with(name, &["--label", &format!("kind={name}")]))
        .collect();
    assert_eq!(host.ok(&["ls", "-q"]), "c2\nc10\nweb\n");
    assert_eq!(host.ok(&["ls", "-q", "--filter", "name=c"]), "c2\nc10\n");
    assert_eq!(host.ok(&["ls", "-o", "name", "--filter", "label=kind=web"]), "web\n");
    assert_eq!(host.ok(&["ls", "-q", "--filter", "label=kind", "--sort=-name"]), "web\nc10\nc2\n");
    assert_eq!(host.ok(&["ls", "-q", "--filter", "network=nowhere"]), "");
    let columns = host.ok(&["ls", "-o", "columns=ipv4,name", "--filter", "name=web"]);
    let row: Vec<_> = lines(&columns)[1].split_whitespace().collect();
    assert_eq!(row, [&host.inspect("web").port.ipv4[0].to_string(), "web"]);
    let json: Value = serde_json::from_str(&host.ok(&["ls", "-o", "json"])).expect("JSON");
    let names: Vec<_> = json.as_array().expect("rows").iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["c2", "c10", "web"]);
    host.fails(&["ls", "--filter", "nmae=x"], &[2], "did you mean name?");
    host.fails(&["ls", "--sort", "ipv5"], &[2], "ipv5");
    host.fails(&["ls", "-o", "yaml"], &[2], "yaml");
}

#[test]
fn networks_and_the_forwarding_database_have_the_same_switches() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    assert_eq!(host.ok(&["network", "ls", "-q"]), "br0\n");
    assert!(host.ok(&["network", "ls", "-o", "wide"]).contains("GATEWAYS"));
    let of_a = host.ok(&["fdb", "--port", "a", "-q"]);
    assert_eq!(of_a.trim(), a.detail().port.mac.to_string());
    let mac = b.detail().port.mac.to_string();
    let row = host.ok(&["fdb", "ls", "--mac", &mac, "-o", "columns=port,kind"]);
    assert_eq!(lines(&row), ["PORT  KIND", "b     learnt"]);
    assert_eq!(host.ok(&["fdb", "--filter", "kind=static", "-q"]), "");
    host.fails(&["fdb", "--port", "aa"], &[1], "aa");
}

#[test]
fn stats_of_one_port() {
    let host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    let shown = host.ok(&["stats", "a"]);
    assert!(shown.starts_with("PORT") && shown.contains("\na "), "{shown}");
    assert!(!shown.contains("WORKER") && !shown.contains("\nb "), "{shown}");
    let ports = host.json(&["stats", "a"])["ports"].clone();
    assert_eq!(ports.as_array().map(Vec::len), Some(1), "{ports}");
    assert_eq!(host.ok(&["stats", "-q"]).lines().next(), Some("br0"));
    let rates = host.ok(&["stats", "a", "--watch", "1", "--count", "1"]);
    assert!(rates.contains("bit/s") && !rates.contains(" b/s"), "{rates}");
    host.fails(&["stats", "webb"], &[1], "webb");
}

#[test]
fn published_ports_of_all() {
    let host = Host::with_switch();
    let _web = host.container_with("web", &["-p", "8080:80"]);
    let _dns = host.container("dns");
    host.ok(&["publish", "dns", "53:53/udp", "5353:5353/udp", "--allow-from", "10.0.0.0/8"]);
    assert_eq!(
        host.ok(&["publish", "ls"]),
        "\
NAME  PORTS          STATE  FROM
dns   53:53/udp      open   10.0.0.0/8
dns   5353:5353/udp  open   10.0.0.0/8
web   8080:80/tcp    open   all
"
    );
    let rows = host.json(&["publish", "ls", "--filter", "port=8080"]);
    assert_eq!((&rows[0]["name"], &rows[0]["state"]), (&"web".into(), &"open".into()));
    let ended = host.ok(&["unpublish", "dns", "53:53/udp", "5353/udp"]);
    let said = "dns no longer publishes 53:53/udp\ndns no longer publishes 5353:5353/udp\n";
    assert_eq!(ended, said);
    // A failure stops nothing.
    host.fails(&["publish", "web", "8080:81", "8081:81"], &[1], "8080:81/tcp");
    assert_eq!(host.ok(&["publish", "ls", "-q"]), "8080:80/tcp\n8081:81/tcp\n");
}

#[test]
fn conntrack_says_who_translates_and_refuses_unknown_containers() {
    let host = Host::with_switch_args(&["--uplink", "kernel"]);
    let _a = host.container("alpha");
    let listed = host.vswitch(&["conntrack", "ls"]);
    assert!(listed.status.success(), "{listed}");
    let watched = host.vswitch(&["conntrack", "watch", "--count", "1"]);
    for output in [listed, watched] {
        assert!(output.stderr.contains("--uplink kernel"), "{output}");
        assert!(output.stderr.contains("conntrack -L"), "{output}");
    }
    let report = host.fails(&["conntrack", "ls", "--container", "alhpa"], &[1], "alhpa");
    assert!(report.contains("did you mean alpha?"), "{report}");
    host.fails(&["conntrack", "--network", "br9"], &[1], "br9");
}

#[test]
fn a_default_is_shown_with_its_value_and_a_run_with_its_process() {
    let host = Host::with_switch();
    let _a = host.container_with("a", &["--storm-unknown", "50", "--rate-in", "10M"]);
    for shown in [host.ok(&["inspect", "a"]), host.ok(&["port", "show", "a"])] {
        for line in ["1000 frames/s (default)", "50 frames/s\n", "10 Mbit/s", "off (default)"] {
            assert!(shown.contains(line), "no {line} in {shown}");
        }
    }
    let of_host = host.ok(&["port", "show", "br0"]);
    assert!(!of_host.contains("1000"), "{of_host}");
    let program = host.program();
    let socket = host.path("sock").display().to_string();
    let inside = [&*program, "--socket", &socket, "ls", "-o", "columns=netns"];
    let args = [&["run", "--name", "r", "--"][..], &inside].concat();
    let shown = host.ok(&args);
    let netns: Vec<_> = shown.lines().filter(|line| line.starts_with("run:")).collect();
    assert_eq!(netns.len(), 1, "{shown}");
    assert!(netns[0]["run:".len()..].parse::<u32>().is_ok(), "{shown}");
}

/// Runs `vswitch ARGS` on a terminal of its own, which `script` makes.
fn on_a_terminal(host: &Host, environment: &[(&str, &str)], args: &[&str]) -> String {
    let run = format!("{:?}", host.command(args)).replace('"', "'");
    let mut command = Command::new("script");
    command
        .args(["-qec", &run, "/dev/null"])
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied());
    let output = Process::spawn(command.stdin(Stdio::null())).finish(COMMAND_TIMEOUT);
    assert_eq!(output.code(), 0, "{output}");
    output.stdout
}

#[test]
fn a_terminal_has_colours_and_is_drawn_anew() {
    const YELLOW: &str = "\u{1b}[33m";
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let a = host.container("a");
    a.try_ping("192.0.2.77".parse().expect("an address"), 1);
    assert!(host.ls()[0].drops > 0, "{:?}", host.ls());
    let coloured = on_a_terminal(&host, &[], &["ls"]);
    assert!(coloured.contains(YELLOW), "{coloured:?}");
    let plain = on_a_terminal(&host, &[("NO_COLOR", "1")], &["ls"]);
    assert!(!plain.contains(YELLOW) && plain.contains("DROPS"), "{plain:?}");
    let watched = on_a_terminal(&host, &[], &["stats", "--watch", "1", "--count", "2"]);
    assert_eq!(watched.matches("\u{1b}[H\u{1b}[2J").count(), 2, "{watched:?}");
}

/// A container on two networks: a row for each, whose name commands take.
#[test]
fn a_row_names_its_network_where_the_name_does_not_do() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "blue"]);
    let _all = ["web", "db"].map(|name| host.container(name));
    host.ok(&["network", "connect", "blue", "web"]);
    let first = |command: &[&str]| {
        let shown = host.ok(command);
        let words = shown.lines().filter_map(|line| line.split_whitespace().next());
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(first(&["ls"]), ["NAME", "db", "web@blue", "web@br0"]);
    assert_eq!(first(&["stats", "web"])[..3], ["PORT", "web@blue", "web@br0"]);
    assert_eq!(first(&["stats", "web@blue"])[..2], ["PORT", "web"]);
    assert_eq!(host.ok(&["ls", "-q"]), "db\nweb\n");
    assert!(host.ok(&["port", "show", "web@blue"]).contains("guard"));
    host.fails(&["stats", "web@green"], &[1], "web@green");
    let of_blue = host.ok(&["fdb", "--port", "web@blue", "-o", "columns=network,port"]);
    assert_eq!(of_blue, "NETWORK  PORT\nblue     web\n");
    host.ok(&["conntrack", "ls", "--container", "web@blue"]);
    host.fails(&["conntrack", "ls", "--container", "web@green"], &[1], "green");
    let joined = host.ok(&["run", "--network", "container:web@blue", "--", "uname", "-n"]);
    assert_eq!(joined, "web\n");
    assert_eq!(host.ok(&["network", "ls", "-q", "--filter", "uplink=nic0"]), "blue\nbr0\n");
    assert_eq!(host.ok(&["network", "ls", "-q", "--filter", "uplink=none"]), "");
}

#[test]
fn nothing_is_printed_before_the_switch_answers() {
    let host = Host::new();
    for command in [&["conntrack", "watch"][..], &["events"], &["stats", "--watch", "1"]] {
        let output = host.vswitch(command);
        assert!(output.code() == 1 && output.stdout.is_empty(), "{output}");
    }
}
