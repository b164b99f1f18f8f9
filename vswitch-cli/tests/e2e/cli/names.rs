//! Names of attachments: picked, several at once, changed, nearly right.

use std::fs::File;

use crate::harness::Host;

#[test]
fn a_name_is_picked_where_none_is_given() {
    let host = Host::with_switch();
    let (a, b) = (host.namespace("a"), host.namespace("b"));
    for netns in [&a, &b] {
        let said = host.ok(&["attach", "--netns", netns.name()]);
        let name = said.split_whitespace().next().expect("a name").to_owned();
        assert!(said.contains("is attached to br0") && name.contains('-'), "{said}");
        assert_eq!(host.inspect(&name).port.netns, netns.name());
    }
    assert_eq!(host.ls().len(), 2);
    let output = host.vswitch(&["run", "--", "uname", "-n"]);
    let name = output.stderr.strip_prefix("attached as ").expect("the name").trim();
    assert_eq!(output.stdout.trim(), name, "{output}");
}

#[test]
fn several_are_detached_at_once_and_a_failure_stops_nothing() {
    let host = Host::with_switch();
    let _all: Vec<_> = ["a", "b", "c", "d"].map(|name| host.container(name)).into();
    assert_eq!(host.ok(&["detach", "a", "b"]), "a is detached\nb is detached\n");
    host.fails(&["detach", "nobody", "c"], &[1], "nobody");
    assert_eq!(host.ok(&["ls", "-q"]), "d\n");
    host.fails(&["detach"], &[2], "NAME");
    host.fails(&["detach", "--all", "d"], &[2], "--all");
    assert_eq!(host.ok(&["detach", "--all"]), "d is detached\n");
    assert!(host.ls().is_empty());
    assert_eq!(host.ok(&["detach", "--all"]), "");
}

#[test]
fn a_rename_takes_everything_along() {
    let mut host = Host::with_switch();
    let a = host.container_with("a", &["-p", "8080:80"]);
    let b = host.container("b");
    let mac = "02:00:00:00:00:99";
    host.ok(&["fdb", "add", mac, "--port", "a"]);
    let before = a.detail().clone();
    assert_eq!(host.ok(&["rename", "a", "web"]), "a is now web\n");
    let after = host.inspect("web");
    assert_eq!((after.port.ipv4, after.port.mac), (before.port.ipv4, before.port.mac));
    assert_eq!(after.publications, before.publications);
    assert_eq!(host.ok(&["fdb", "--mac", mac, "-o", "columns=port"]), "PORT\nweb\n");
    let names = host.json(&["network", "inspect", "br0"])["names"].clone();
    let names: Vec<_> = names.as_array().expect("names").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["b", "web"]);
    b.ping(a.v4());
    // The publication is the new name's, and can be ended by it.
    assert_eq!(host.ok(&["unpublish", "web", "80"]), "web no longer publishes 8080:80/tcp\n");
    host.ok(&["publish", "b", "8080:80"]);
    // Refused: taken, the bridge's, unknown, no name. Nothing changes.
    host.fails(&["rename", "web", "b"], &[1], "b");
    host.fails(&["rename", "web", "br0"], &[1], "br0");
    host.fails(&["rename", "a", "c"], &[1], "a");
    host.fails(&["rename", "web", "x y"], &[2], "x y");
    assert_eq!(host.ok(&["ls", "-q"]), "b\nweb\n");
    // The name survives a crash.
    host.kill();
    host.up(&[]);
    assert_eq!(host.ok(&["ls", "-q"]), "b\nweb\n");
    b.ping(a.v4());
}

#[test]
fn prune_detaches_what_only_an_open_file_keeps() {
    let host = Host::with_switch();
    let _alive = host.container("alive");
    assert!(host.ok(&["prune"]).starts_with("nothing to prune"));
    let dead = host.container("dead");
    let kept = File::open(dead.path()).expect("the namespace");
    dead.into_netns().delete();
    assert_eq!(host.ok(&["ls", "-q"]), "alive\ndead\n", "an open file keeps the namespace");
    assert_eq!(host.ok(&["prune"]), "dead is detached\n");
    assert_eq!(host.ok(&["ls", "-q"]), "alive\n");
    drop(kept);
    assert_eq!(host.json(&["prune"])["detached"], serde_json::json!([]));
}

#[test]
fn an_unknown_name_is_answered_with_the_nearest() {
    let host = Host::with_switch();
    let _all: Vec<_> = ["web", "database"].map(|name| host.container(name)).into();
    for (command, meant) in [
        (&["inspect", "wbe"][..], "did you mean web?"),
        (&["detach", "databse"], "did you mean database?"),
        (&["publish", "wbe", "80"], "did you mean web?"),
        (&["port", "show", "datbase"], "did you mean database?"),
        (&["rename", "wbe", "x"], "did you mean web?"),
        (&["network", "inspect", "bro0"], "did you mean br0?"),
        (&["run", "--network", "container:wbe", "--", "true"], "did you mean web?"),
    ] {
        let report = host.fails(command, &[1], meant);
        assert!(report.contains("hint: did you mean"), "{report}");
    }
    let report = host.fails(&["inspect", "nobody"], &[1], "nobody");
    assert!(!report.contains("did you mean"), "{report}");
    let report = host.fails(&["ls", "--fliter", "name=a"], &[2], "--fliter");
    assert!(report.contains("'--filter'"), "{report}");
}
