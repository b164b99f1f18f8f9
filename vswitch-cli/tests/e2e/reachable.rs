//! `network create --reachable-from`: one network may open connections to another.

use std::time::Duration;

use testkit::{FAR4, Flow, Snapshot};

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(5);

fn on(host: &Host, name: &str, network: &str) -> Container {
    host.container_with(name, &["--network", network])
}

/// The answer of `dig` in a container.
fn look_up(from: &Container, name: &str) -> String {
    let server = format!("@{}", from.gateway());
    let dig = ["dig", &server, "+short", "+tries=1", "+timeout=4", name];
    from.exec(&dig).stdout.trim().to_owned()
}

/// A host whose network `web` may reach the internal `db`, with a container on each, and one on `br0`.
struct Lab {
    host: Host,
    web: Container,
    db: Container,
    other: Container,
}

impl Lab {
    fn new(args: &[&str]) -> Self {
        let mut host = Host::new();
        // Where the kernel routes, this is the host's own decision.
        host.netns().set_sysctl("net/ipv6/conf/all/forwarding", "1");
        host.up(args);
        host.ok(&["network", "create", "web"]);
        host.ok(&["network", "create", "--internal", "--reachable-from", "web", "db"]);
        let (web, db) = (on(&host, "w", "web"), on(&host, "d", "db"));
        let other = host.container("o");
        Self { host, web, db, other }
    }

    /// What may pass does, with its own addresses, and nothing else.
    fn check(&self) {
        let Self { web, db, other, .. } = self;
        for (to, from) in [(db.v4(), web.v4()), (db.v6(), web.v6())] {
            web.ping(to);
            for protocol in ["tcp", "udp"] {
                let _service = db.serve(protocol, to, 7000);
                let (seen, _) = web.ask(protocol, to, 7000);
                assert_eq!(seen, from, "{protocol}");
            }
            assert!(!db.try_ping(from, 1).status.success());
            assert!(!other.try_ping(to, 1).status.success());
        }
        assert_eq!(look_up(web, "d.db"), db.v4().to_string());
        assert_eq!(look_up(db, "w.web"), "");
        let _service = db.serve("tcp", db.v4(), 7000);
        assert!(!other.can_ask("tcp", db.v4(), 7000));
        let _own = web.serve("tcp", web.v4(), 7001);
        assert!(!db.can_ask("tcp", web.v4(), 7001));
    }
}

#[test]
fn one_network_reaches_another_and_not_the_other_way() {
    let mut lab = Lab::new(&[]);
    lab.check();
    let shown = lab.host.ok(&["network", "inspect", "db"]);
    assert!(shown.lines().any(|line| line.ends_with(" web") && line.starts_with("reachable from")));
    let listed = lab.host.ok(&["conntrack", "ls", "--container", "w"]);
    assert!(listed.contains(&lab.db.v4().to_string()), "{listed}");
    let flow = Flow::start(&lab.web, &lab.db, lab.db.v4());
    // A change elsewhere leaves connections alone.
    lab.host.ok(&["network", "create", "--reachable-from", "web", "cache"]);
    lab.host.ok(&["network", "rm", "cache"]);
    flow.arrives();
    lab.host.down();
    lab.host.up(&[]);
    lab.check();
    lab.host.balanced();
}

#[test]
fn both_ends_have_the_connection() {
    let Lab { host, web, db, other: _other } = Lab::new(&["--uplink", "none"]);
    let flow = Flow::start(&web, &db, db.v4());
    let rows = |filter: &[&str]| {
        let rows = host.json(&[&["conntrack", "ls"], filter].concat());
        rows.as_array().expect("rows").clone()
    };
    for filter in [
        &["--container", "d"][..],
        &["--network", "db"],
        &["--container", "d@db"],
        &["--container", "w"],
        &["--filter", "container=d"],
    ] {
        let rows = rows(filter);
        assert_eq!(rows.len(), 1, "{filter:?}: {rows:?}");
        assert_eq!(rows[0]["server"], serde_json::json!({"network": "db", "container": "d"}));
    }
    for filter in [&["--container", "o"][..], &["--container", "d", "--network", "web"]] {
        assert_eq!(rows(filter).len(), 0, "{filter:?}");
    }
    let shown = host.ok(&["conntrack", "ls", "-o", "columns=container,server,translated"]);
    let cells: Vec<_> = shown.lines().nth(1).expect("a row").split_whitespace().collect();
    assert_eq!(cells, ["w", "d@db", "-"]);
    let worker = host.stats().workers.remove(0);
    assert!(worker.routed > 10 && worker.translated == 0, "{worker:?}");
    flow.arrives();
    let flushed = host.ok(&["conntrack", "flush", "--container", "d"]);
    assert_eq!(flushed, "1 connection is deleted\n");
}

#[test]
fn names_are_seen_where_connections_may_be_opened() {
    let Lab { host, web, db, other } = Lab::new(&["--uplink", "none"]);
    let seen = db.v4().to_string();
    assert_eq!(look_up(&web, "D.DB"), seen);
    assert_eq!(look_up(&web, "d"), "", "by the bare name");
    assert_eq!(look_up(&other, "d.db"), "");
    host.ok(&["network", "rm", "--force", "web"]);
    host.ok(&["network", "create", "web"]);
    let next = on(&host, "n", "web");
    assert_eq!(look_up(&next, "d.db"), "", "another network of that name");
    host.ok(&["network", "create", "--reachable-from", "web", "late"]);
    let late = on(&host, "l", "late");
    assert_eq!(look_up(&next, "l.late"), late.v4().to_string());
    host.ok(&["detach", "l"]);
    assert_eq!(look_up(&next, "l.late"), "");
}

#[test]
fn without_an_uplink_and_with_two_workers() {
    Lab::new(&["--uplink", "none", "--workers", "2"]).check();
}

#[test]
fn where_the_kernel_routes() {
    let mut lab = Lab::new(&["--uplink", "kernel"]);
    lab.check();
    lab.host.kill();
    lab.host.up(&["--uplink", "kernel"]);
    lab.web.ping_soon(lab.db.v4(), SOON);
}

/// A network that is gone reaches nothing, nor does the next one of its name.
#[test]
fn who_is_removed_loses_the_way() {
    for args in [&[][..], &["--uplink", "kernel"]] {
        let lab = Lab::new(args);
        lab.web.ping(lab.db.v4());
        lab.host.ok(&["network", "rm", "--force", "web"]);
        lab.host.ok(&["network", "create", "web"]);
        let next = on(&lab.host, "n", "web");
        assert!(!next.try_ping(lab.db.v4(), 1).status.success());
        let shown = lab.host.json(&["network", "inspect", "db"]);
        assert_eq!(shown["reachable_from"], serde_json::json!([]));
    }
}

#[test]
fn what_cannot_be_reached_is_refused() {
    let (host, _remote, _a) = Host::with_remote();
    let same = ["--internal", "--subnet", "10.5.0.0/24", "--subnet", "fd05::/64"];
    host.ok(&[&["network", "create"], &same[..], &["one"]].concat());
    host.ok(&[&["network", "create"], &same[..], &["two"]].concat());
    let before = Snapshot::take(host.netns());
    let create = |args: &[&str], code: i32, value: &str| {
        host.fails(&[&["network", "create"], args, &["red"]].concat(), &[code], value);
    };
    create(&["--reachable-from", "nobody"], 1, "nobody");
    create(&["--reachable-from", "two"], 2, "two");
    create(&[&same[..], &["--reachable-from", "br0"]].concat(), 2, "red");
    before.assert_same(&Snapshot::take(host.netns()));
    // Both ways, and to the world as before.
    host.ok(&["network", "create", "--reachable-from", "br0", "blue"]);
    let b = on(&host, "b", "blue");
    b.ping_soon(FAR4, SOON);
}
