//! Clients of the host on ::1, whom a proxy relays: the kernel accepts those that the container accepts, and no others.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{HOST4, HOST6, READY_MAX, Remote, freeze, thaw, wait_for};

use crate::harness::{Container, Host};

/// Connects to each of `ADDR/PORT...`, and prints a line: how that ended, and `late` after a second and a half.
const CONNECT: &str = "\
import socket, sys, time
for what in sys.argv[1:]:
    address, port = what.split('/')
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
    s.settimeout(8)
    began = time.monotonic()
    try:
        s.connect((address, int(port)))
        said = 'open'
    except OSError as error:
        said = type(error).__name__
    print(said, *(['late'] if time.monotonic() - began > 1.5 else []))
    s.close()
";

const REFUSED: &str = "ConnectionRefusedError";

fn connect(host: &Host, to: &[&str]) -> Vec<String> {
    let args = [&["python3", "-c", CONNECT], to].concat();
    host.netns().ok(&args).lines().map(str::to_owned).collect()
}

#[track_caller]
fn all(host: &Host, to: &[&str], wanted: &str) {
    assert_eq!(connect(host, to), vec![wanted; to.len()], "{to:?}\n{}", host.log());
}

/// The same with `--uplink kernel`, and for a container that has no IPv6 address.
#[test]
fn a_client_is_refused_or_connected_as_its_container_does() {
    for (mode, family) in [("auto", "both"), ("auto", "ipv4"), ("kernel", "both")] {
        let mut host = Host::new();
        let remote = Remote::new(host.net());
        host.up(&["--uplink", mode]);
        let further = match family {
            "both" => ["-p", "[::1]:9001:80"],
            _ => ["--family", family],
        };
        let web = host.container_with("web", &[&["-p", "8080:80"][..], &further].concat());
        let [at4, at6] = [HOST4, HOST6].map(|address| format!("{address}/8080"));
        let own = if family == "both" { &["::1/8080", "::1/9001"][..] } else { &["::1/8080"] };
        let others = ["127.0.0.1/8080", &at4, &at6];
        all(&host, &[own, &others].concat(), REFUSED);
        {
            // The container's IPv4 address only, as `python3 -m http.server` does.
            let _four = web.serve("tcp", web.v4(), 80);
            all(&host, &[own, &others[..2]].concat(), "open");
            let loopback: IpAddr = "::1".parse().expect("an address");
            assert_eq!(host.netns().ask("tcp", loopback, 8080).0, web.gateway(), "{mode}");
            assert!(!remote.far().can_ask("tcp", HOST6, 8080), "{mode}: from outside");
        }
        all(&host, own, REFUSED);
        if family == "both" {
            let _six = web.serve("tcp", web.v6(), 80);
            all(&host, &[own, &[&at6]].concat(), "open");
        }
        the_end(host, &web);
    }
}

/// Rules of the host that drop what connection tracking calls invalid, as many have: a client is refused at once all the same.
#[test]
fn a_firewall_that_drops_invalid_packets_lets_refusals_pass() {
    let mut host = Host::new();
    let _remote = Remote::new(host.net());
    host.up(&[]);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "[::1]:9001:80"]);
    let drop = |hook: &str| {
        format!(
            "chain {hook} {{ type filter hook {hook} priority 0; ct state invalid counter drop\n}}"
        )
    };
    let table = format!("table inet fw {{ {}\n{}\n}}", drop("input"), drop("output"));
    host.netns().ok(&["nft", &table]);
    all(&host, &["::1/8080", "::1/9001", "127.0.0.1/8080"], REFUSED);
    let _service = web.serve("tcp", web.v4(), 80);
    all(&host, &["::1/8080", "::1/9001", "127.0.0.1/8080"], "open");
}

/// A daemon that has stopped, one that is killed, and `down`: nobody waits.
fn the_end(mut host: Host, web: &Container) {
    let _service = web.serve("tcp", web.v4(), 80);
    freeze(host.daemon_pid());
    // By the client's second SYN.
    all(&host, &["::1/8080"], "open");
    thaw(host.daemon_pid());
    wait_for("it goes on", READY_MAX, || connect(&host, &["::1/8080"]) == ["open"]);
    host.kill();
    let rules = host.netns().ok(&["nft", "list", "tables"]);
    assert!(!rules.contains("/syn"), "{rules}");
    all(&host, &["::1/8080", "::1/9001"], REFUSED);
    host.up(&[]);
    wait_for("the next daemon", Duration::from_secs(5), || {
        connect(&host, &["::1/8080"]) == ["open"]
    });
    host.down();
    all(&host, &["::1/8080", "::1/9001"], REFUSED);
}
