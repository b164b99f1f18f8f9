//! `down` leaves the host as it was.

use std::time::Duration;

use nix::sys::signal::Signal;

use testkit::{FAR4, FAR6, Flow, HOST4, Process, Remote, Snapshot, wait_for};

use crate::harness::Host;

/// Up, use it in every way, and compare after `end`.
#[track_caller]
fn used_and_ended(mut host: Host, end: impl FnOnce(&mut Host)) {
    let before = Snapshot::take(host.netns());
    host.up(&[]);
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    a.ping(a.gateway6());
    host.ok(&["run", "--name", "r", "--", "true"]);
    host.ok(&["detach", "b"]);
    let during = Snapshot::take(host.netns());
    assert!(!during.with("link: ").iter().all(|line| !line.contains("br0")), "{during:?}");
    end(&mut host);
    before.assert_same(&Snapshot::take(host.netns()));
    assert!(a.links().is_empty(), "{:?}", a.links());
    assert!(!host.path("sock").exists(), "the socket is left");
}

#[test]
fn after_down() {
    used_and_ended(Host::new(), Host::down);
}

#[test]
fn after_sigterm() {
    used_and_ended(Host::new(), |host| host.stop_by(Signal::SIGTERM));
}

#[test]
fn after_sigint() {
    used_and_ended(Host::new(), |host| host.stop_by(Signal::SIGINT));
}

#[test]
fn after_a_crash_up_and_down() {
    used_and_ended(Host::new(), |host| {
        host.kill();
        host.up(&[]);
        host.down();
    });
}

/// Every kind of publication, connections of every kind that stand, and a publication that was taken back: rules,
/// sysctls and devices are those of before.
#[test]
fn after_down_with_the_way_out_in_use() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    // Somebody else's rules stay as they are.
    host.netns().ok(&["nft", "add table inet firewall; add chain inet firewall input"]);
    let before = Snapshot::take(host.netns());
    host.up(&["--uplink", "auto"]);
    let args = ["-p", "8080:80", "-p", "127.0.0.1:9000:80", "-p", "[::1]:9001:80", "-p", "80"];
    let web = host.container_with("web", &args);
    host.ok(&["publish", "web", "40000-40999:40000-40999/udp"]);
    host.ok(&["publish", "web", "192.0.2.1:3868:3868/sctp"]);
    host.ok(&["publish", "web", "8081:80", "--allow-from", "198.51.100.0/24"]);
    host.ok(&["publish", "web", "8082:80"]);
    host.ok(&["unpublish", "web", "8082:80"]);
    let client = host.container("client");
    let loopback6 = "::1".parse().expect("an address");
    {
        let _service = web.serve("tcp", web.v4(), 80);
        for port in [8080, 8081] {
            assert!(remote.far().can_ask("tcp", HOST4, port), "from outside at {port}");
        }
        let loopback4 = "127.0.0.1".parse().expect("an address");
        assert!(host.netns().can_ask("tcp", loopback4, 9000), "from the host");
        assert!(client.can_ask("tcp", HOST4, 8080), "from a neighbour");
    }
    let _service = web.serve("tcp", web.v6(), 80);
    assert!(host.netns().can_ask("tcp", loopback6, 9001), "from the host by the proxy");
    let flows = [FAR4, FAR6].map(|far| Flow::start(&client, remote.far(), far));
    for far in [FAR4, FAR6] {
        client.ping(far);
        let _service = remote.far().serve("udp", far, 7000);
        client.ask("udp", far, 7000);
    }
    let during = Snapshot::take(host.netns());
    assert!(!during.with("table netdev vswitch-br0").is_empty(), "{:?}", during.with("nft: table"));
    host.down();
    before.assert_same(&Snapshot::take(host.netns()));
    drop(flows);
}

/// The switch changes what it must, and not a line more.
#[test]
fn while_it_runs_only_br0_is_new() {
    let mut host = Host::new();
    let before = Snapshot::take(host.netns());
    host.up(&[]);
    let _a = host.container("a");
    let during = Snapshot::take(host.netns());
    let foreign: Vec<_> =
        during.added(&before).into_iter().filter(|l| !l.contains("br0")).collect();
    // Routes of the kernel's own making name the gateway, not always the device.
    let foreign: Vec<&str> =
        foreign.into_iter().filter(|line| !line.starts_with("route")).collect();
    // The lines of a table do not all name it; the tables do.
    let (rules, foreign): (Vec<&str>, Vec<&str>) =
        foreign.into_iter().partition(|line| line.starts_with("nft: "));
    let strange = |line: &&&str| line.contains("table ") && !line.contains("vswitch-br0");
    assert!(rules.iter().all(|line| !strange(&line)), "{rules:#?}");
    let ports = "ip_local_reserved_ports";
    let foreign: Vec<_> = foreign.iter().filter(|line| !line.contains(ports)).collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
    assert!(before.added(&during).is_empty(), "gone: {:#?}", before.added(&during));
}

/// The containers still talk; the log says, once, how the host gets back in.
#[test]
fn a_bridge_that_somebody_deleted() {
    let mut host = Host::with_switch_args(&["--workers", "2", "--uplink", "none"]);
    let (a, b) = (host.container("a"), host.container("b"));
    host.netns().ok(&["ip", "link", "del", "br0"]);
    wait_for("the log says so", Duration::from_secs(5), || host.log().contains("was deleted"));
    a.ping(b.v4());
    let log = host.log();
    let line: Vec<_> = log.lines().filter(|line| line.contains("was deleted")).collect();
    assert_eq!(line.len(), 1, "{log}");
    for part in ["ERROR", "br0", "vswitch down", "vswitch up"] {
        assert!(line[0].contains(part), "{}", line[0]);
    }
    host.down();
    host.up(&[]);
    assert_eq!(host.ls().len(), 2, "{}", host.log());
    a.ping(a.gateway());
}

#[test]
fn down_without_a_daemon_says_so() {
    let host = Host::new();
    let socket = host.path("sock").display().to_string();
    host.fails(&["down"], &[1], &socket);
}

/// A switch that was killed while its containers talked to the outside: `down` alone clears all that is left.
#[track_caller]
fn killed_and_down(args: &[&str]) {
    let mut host = Host::new();
    let before = Snapshot::take(host.netns());
    host.up(args);
    let _web = host.container_with("web", &["-p", "8080:80", "-p", "40000-40999:40000-40999/udp"]);
    host.kill();
    let said = host.ok(&["down"]);
    for part in ["nftables table netdev vswitch-br0", "reserved ports", "40000-40999"] {
        assert!(said.contains(part), "no {part} in: {said}");
    }
    before.assert_same(&Snapshot::take(host.netns()));
    assert!(!host.path("sock").exists(), "the socket is left");
    // There is nothing left to clear, and the attachments are kept.
    let socket = host.path("sock").display().to_string();
    host.fails(&["down"], &[1], &socket);
    host.up(args);
    assert_eq!(host.ls().len(), 1);
    host.down();
    before.assert_same(&Snapshot::take(host.netns()));
}

#[test]
fn after_a_crash_and_down() {
    killed_and_down(&["--uplink", "auto"]);
}

#[test]
fn after_a_crash_and_down_with_the_kernels_nat() {
    killed_and_down(&["--uplink", "kernel"]);
}

#[test]
fn down_leaves_a_daemon_with_another_socket_alone() {
    let host = Host::with_switch();
    let state = host.state_dir().display().to_string();
    let mut other = host.netns().command(&[&host.program()]);
    other.arg("--socket").arg(host.path("other")).args(["down", "--state-dir", &state]);
    let output = Process::spawn(&mut other).finish(Duration::from_secs(10));
    assert_eq!(output.code(), 1);
    let owner = format!("process {}", host.daemon_pid());
    assert!(output.stderr.contains(&owner), "{output}");
    assert!(host.netns().ok(&["nft", "list", "ruleset"]).contains("vswitch-br0"));
    assert!(host.status().bridge == "br0");
}

/// The tables of a former bridge would take the frames of the next one.
#[test]
fn another_bridge_after_a_crash() {
    let mut host = Host::new();
    host.up(&[]);
    host.kill();
    wait_for("the kernel takes the bridge away", Duration::from_secs(5), || {
        !host.netns().ok(&["ip", "-o", "link"]).contains("br0")
    });
    let tables = || host.netns().ok(&["nft", "list", "tables"]);
    assert!(tables().contains("vswitch-br0"), "this kernel keeps no tables: {}", tables());
    // Another state directory does not know whose they are.
    let mut next = host.beside("br1");
    next.up(&[]);
    assert!(next.log().contains("nft delete table netdev vswitch-br0"), "{}", next.log());
    let doctor = next.vswitch(&["doctor"]).stdout;
    assert!(doctor.contains("`nft delete table netdev vswitch-br0`"), "{doctor}");
    assert!(!doctor.contains("vswitch-br1"), "{doctor}");
    next.down();
    let state = host.state_dir().display().to_string();
    next.up(&["--state-dir", &state]);
    assert!(!tables().contains("vswitch-br0"), "{}", tables());
    next.ok(&["down"]);
    assert!(!tables().contains("vswitch"), "{}", tables());
}
