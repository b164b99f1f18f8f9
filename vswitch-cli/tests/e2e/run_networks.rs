//! `vswitch run` on several networks, and Docker's names for the switch's own.

use testkit::Output;
use vswitch_api::network::NetworkDetail;

use crate::harness::Host;

#[track_caller]
fn shell(host: &Host, args: &[&str], script: &str) -> Output {
    host.vswitch(&[&["run"], args, &["--", "sh", "-c", script]].concat())
}

#[test]
fn a_command_is_on_several_networks_from_its_first_instant() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--subnet", "10.5.0.0/24", "blue"]);
    host.ok(&["network", "create", "--subnet", "10.6.0.0/24", "--internal", "back"]);
    let script = "ip -4 -o address show scope global | awk '{print $2, $4}'; \
        ip route show default | awk '{print $5}'; cat /etc/hosts; head -n3 /etc/resolv.conf";
    let networks = [
        "--network",
        "name=back,ip=10.6.0.7,alias=db,mac-address=02:00:00:00:00:07",
        "--network",
        "name=blue,gw-priority=1,ip=10.5.0.9,ifname=lan0",
        "--network",
        "bridge",
    ];
    let shown = shell(&host, &[&["--name", "web"], &networks[..]].concat(), script).ok();
    for line in ["eth0 10.6.0.7/24", "lan0 10.5.0.9/24", "10.6.0.7\tweb web.back", "lan0"] {
        assert!(shown.lines().any(|it| it == line), "no {line:?} in {shown}");
    }
    let server = shown.lines().find(|line| line.starts_with("nameserver")).expect("a server");
    assert_eq!(server, "nameserver 10.5.0.1", "the network of the default route comes first");
    assert_eq!(shown.lines().filter(|line| line.contains("web.")).count(), 6, "{shown}");
    assert!(host.ls().is_empty(), "the attachments end with the command");
}

#[test]
fn the_network_with_the_default_route_publishes() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--internal", "back"]);
    let inspect = format!(
        "{} --socket {} publish ls -o columns=NAME,NETWORK,PORTS",
        host.program(),
        host.path("sock").display()
    );
    let args = ["--name", "web", "--network", "back", "--network", "br0", "-p", "8080:80"];
    let shown = shell(&host, &args, &format!("cd /; {inspect}")).ok();
    assert!(shown.contains("br0") && shown.contains("8080:80"), "{shown}");
    host.fails(&["run", "--network", "back", "-p", "8080:80", "--", "true"], &[1], "back");
    assert!(host.ls().is_empty());
}

#[test]
fn a_network_that_cannot_be_joined_runs_nothing() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--subnet", "10.5.0.0/24", "blue"]);
    let touched = host.path("touched");
    let command = ["--", "touch", touched.to_str().expect("UTF-8")];
    for (networks, code, named) in [
        (&["blue", "red"][..], 1, "red"),
        (&["blue", "blue"], 1, "blue"),
        (&["br0", "name=blue,ip=10.9.9.9"], 2, "10.9.9.9"),
        (&["blue", "host"], 2, "host"),
        (&["name=blue,colour=red"], 2, "colour=red"),
    ] {
        let networks = networks.iter().flat_map(|network| ["--network", network]);
        let args: Vec<_> = ["run", "--name", "web"].into_iter().chain(networks).collect();
        host.fails(&[&args[..], &command].concat(), &[code], named);
        assert!(host.ls().is_empty(), "{args:?} leaves an attachment");
    }
    assert!(!touched.exists());
    let report = host.fails(&["run", "--network", "bleu", "--", "true"], &[1], "bleu");
    assert!(report.contains("did you mean blue?"), "{report}");
}

#[test]
fn the_switchs_own_network_goes_by_dockers_names() {
    let host = Host::with_switch();
    let _a = host.container_with("a", &["--network", "bridge"]);
    let _b = host.container_with("b", &["--network", "default"]);
    assert!(host.ls().iter().all(|port| port.network == "br0"));
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "disconnect", "bridge", "a"]);
    host.ok(&["network", "connect", "blue", "b"]);
    host.ok(&["network", "disconnect", "bridge", "b"]);
    host.ok(&["network", "connect", "bridge", "b"]);
    host.ok(&["publish", "b@bridge", "8080:80"]);
    let shown: NetworkDetail =
        serde_json::from_value(host.json(&["network", "inspect", "bridge"])).expect("a network");
    assert_eq!((shown.network.name.as_str(), shown.members.len()), ("br0", 1));
    host.fails(&["network", "rm", "bridge"], &[1], "br0");
    host.fails(&["network", "create", "bridge"], &[2], "bridge");
}

/// Docker's options beside `--ip-range`, `--filter` and several names.
#[test]
fn networks_are_filtered_pruned_and_shown_together() {
    let host = Host::with_switch();
    host.ok(&["network", "create", "--internal", "--label", "tier=db", "alpha"]);
    host.ok(&["network", "create", "--label", "tier=web", "beta"]);
    host.ok(&["network", "create", "--subnet", "10.7.0.0/29", "--reserve", "10.7.0.2", "tiny"]);
    let next = host.container_with("t", &["--network", "tiny"]);
    assert_eq!(next.v4().to_string(), "10.7.0.3", "a reserved address is nobody's");
    host.ok(&["detach", "t"]);
    let _b = host.container_with("b", &["--network", "beta"]);
    let names = |filter: &str| host.ok(&["network", "ls", "-q", "--filter", filter]);
    assert_eq!(names("dangling=true"), "alpha\nbr0\ntiny\n");
    assert_eq!(names("dangling=false"), "beta\n");
    assert_eq!(names("internal=true"), "alpha\n");
    let both = host.ok(&["network", "inspect", "alpha", "tiny"]);
    assert_eq!(both.split("\n\n").count(), 2, "{both}");
    assert!(both.contains("reserved        10.7.0.2\n"), "{both}");
    let code = host.vswitch(&["network", "inspect", "alphe", "tiny"]);
    assert!(code.code() == 1 && code.stdout.contains("tiny"), "{code}");
    host.fails(
        &["network", "create", "--subnet", "10.8.0.0/24", "--reserve", "10.9.0.1", "gone"],
        &[1, 2],
        "10.9.0.1",
    );
    assert_eq!(names("name=gone"), "", "a failed creation leaves a network");
    assert_eq!(host.ok(&["network", "prune", "--filter", "label=tier=db"]), "alpha is removed\n");
    host.fails(&["network", "prune", "--filter", "colour=red"], &[2], "colour");
    assert_eq!(host.ok(&["network", "prune"]), "tiny is removed\n");
    assert_eq!(names("name=b"), "beta\nbr0\n");
}
