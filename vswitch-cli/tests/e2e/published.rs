//! Published ports: from outside, from the host itself, and from the neighbours.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{FAR4, FAR6, HOST4, HOST6, Process, Remote, Snapshot, wait_for};

use crate::harness::{Container, Host};

const ANY4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
const ANY6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED);

/// How long a change may take until the last frame of before is gone.
const CHANGED_MAX: Duration = Duration::from_secs(3);

#[track_caller]
fn publishing(args: &[&str]) -> (Host, Remote, Container) {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let web = host.container_with("web", args);
    (host, remote, web)
}

#[test]
fn clients_from_outside_keep_their_address() {
    let (host, remote, web) = publishing(&["-p", "8080:80", "-p", "5353:53/udp"]);
    for (any, host_address, far) in [(ANY4, HOST4, FAR4), (ANY6, HOST6, FAR6)] {
        for (protocol, inside, outside) in [("tcp", 80, 8080), ("udp", 53, 5353)] {
            let _service = web.serve(protocol, any, inside);
            assert_eq!(remote.far().ask(protocol, host_address, outside).0, far, "{protocol}");
        }
    }
    assert_eq!(host.ls()[0].publish[0].to_string(), "8080:80/tcp");
    assert_eq!(web.detail().publications.len(), 2);
    host.balanced();
}

#[test]
fn the_host_itself_reaches_them_by_each_of_its_addresses() {
    let (host, _remote, web) = publishing(&["-p", "8080:80"]);
    let gateways = [web.gateway(), web.gateway6()];
    let loopback4 = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    let loopback6 = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
    for (any, addresses) in
        [(ANY4, [HOST4, gateways[0], loopback4]), (ANY6, [HOST6, gateways[1], loopback6])]
    {
        let _service = web.serve("tcp", any, 80);
        for address in addresses {
            assert!(host.netns().can_ask("tcp", address, 8080), "the host at {address}");
        }
    }
}

#[test]
fn neighbours_reach_them_by_the_hosts_address() {
    let (host, _remote, web) = publishing(&["-p", "8080:80"]);
    let client = host.container("client");
    for (any, address) in [(ANY4, HOST4), (ANY6, HOST6)] {
        let _service = web.serve("tcp", any, 80);
        assert!(client.can_ask("tcp", address, 8080), "a neighbour at {address}");
        assert!(web.can_ask("tcp", address, 8080), "the container itself at {address}");
    }
    let _service = web.serve("tcp", ANY4, 80);
    assert!(client.can_ask("tcp", client.gateway(), 8080), "by the gateway");
    host.balanced();
}

#[test]
fn ports_are_published_and_withdrawn_while_all_works() {
    let (host, remote, web) = publishing(&[]);
    let _tcp = web.serve("tcp", ANY4, 80);
    let _udp = web.serve("udp", ANY4, 53);
    let far = remote.far();
    assert!(!far.can_ask("tcp", HOST4, 8080));
    let said = host.ok(&["publish", "web", "8080:80"]);
    assert_eq!(said, "web publishes 8080:80/tcp\n");
    host.ok(&["publish", "web", "5353:53/udp"]);
    assert!(far.can_ask("tcp", HOST4, 8080) && far.can_ask("udp", HOST4, 5353));
    host.ok(&["unpublish", "web", "8080:80"]);
    host.ok(&["unpublish", "web", "5353:53/udp"]);
    wait_for("both are closed", CHANGED_MAX, || {
        !far.can_ask("tcp", HOST4, 8080) && !far.can_ask("udp", HOST4, 5353)
    });
    // Withdrawn, they are the host's own.
    let _own = host.netns().serve("tcp", HOST4, 8080);
    assert_eq!(far.ask("tcp", HOST4, 8080).0, FAR4);
    host.fails(&["unpublish", "web", "8080:80"], &[1], "8080:80/tcp");
}

/// A UDP flow does not stick to a container that is gone.
#[test]
fn a_flow_goes_to_the_successor() {
    let (host, remote, web) = publishing(&["-p", "5353:53/udp"]);
    let service = web.serve("udp", ANY4, 53);
    let probe = "import socket, sys, time\n\
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n\
        s.bind(('', 4444)); s.settimeout(0.2)\n\
        while True:\n\
        \x20   s.sendto(b'?', ('192.0.2.1', 5353))\n\
        \x20   try: print(s.recv(100).decode(), flush=True)\n\
        \x20   except OSError: pass\n\
        \x20   time.sleep(0.05)\n";
    let prober = remote.far().spawn(&["python3", "-c", probe]);
    std::thread::sleep(Duration::from_secs(1));
    drop(service);
    host.ok(&["detach", "web"]);
    let next = host.container_with("next", &["-p", "5353:53/udp"]);
    let _service = next.serve("udp", ANY4, 53);
    let rows = || host.json(&["conntrack", "ls", "--container", "next"]);
    wait_for("the flow has moved", CHANGED_MAX, || {
        rows().as_array().is_some_and(|rows| rows.iter().any(|r| r["reply_frames"] != 0))
    });
    assert!(
        host.json(&["conntrack", "ls", "--filter", "container=web"]).as_array().unwrap().is_empty()
    );
    drop(prober);
}

#[test]
fn ports_that_nobody_named_are_picked_and_said() {
    let (host, remote, web) = publishing(&[]);
    let _service = web.serve("tcp", ANY4, 80);
    let published = host.json(&["publish", "web", "80"]);
    let ports = published["ports"].as_str().expect("ports").to_owned();
    let port: u16 = ports.split(':').next().and_then(|port| port.parse().ok()).expect("a port");
    assert!(port >= 32_768, "{ports}");
    assert!(remote.far().can_ask("tcp", HOST4, port));
    host.ok(&["unpublish", "web", "80"]);
    assert!(host.inspect("web").publications.is_empty());
}

#[test]
fn ranges_and_addresses() {
    let args = ["-p", "9000-9002:80-82", "-p", "192.0.2.7:8080:80"];
    let mut host = Host::new();
    host.netns().ok(&["ip", "addr", "add", "192.0.2.7/24", "dev", "nic0"]);
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let web = host.container_with("web", &args);
    let _first = web.serve("tcp", ANY4, 80);
    let _last = web.serve("tcp", ANY4, 82);
    let far = remote.far();
    assert!(far.can_ask("tcp", HOST4, 9000) && far.can_ask("tcp", HOST4, 9002));
    assert!(!far.can_ask("tcp", HOST4, 9003));
    let second: IpAddr = "192.0.2.7".parse().expect("an address");
    assert!(far.can_ask("tcp", second, 8080));
    assert!(!far.can_ask("tcp", HOST4, 8080), "published at one address only");
}

#[test]
fn at_the_loopback_only_or_one_family_only() {
    let args = ["-p", "127.0.0.1:9000:80", "-p", "[::1]:9001:80", "-p", "[::]:9002:80"];
    let args = [&args[..], &["-p", "0.0.0.0:25000:80", "-p", "53:53/udp"]].concat();
    let (host, remote, web) = publishing(&args);
    let _udp = web.serve("udp", web.v6(), 53);
    let _four = web.serve("tcp", web.v4(), 80);
    let _six = web.serve("tcp", web.v6(), 80);
    let (own, far) = (host.netns(), remote.far());
    let loopback = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert!(own.can_ask("tcp", loopback("127.0.0.1"), 9000));
    assert!(own.can_ask("tcp", loopback("::1"), 9001));
    assert!(own.can_ask("tcp", loopback("::1"), 9002));
    // Twice: the second client has a socket of its own.
    assert!(own.can_ask("udp", loopback("::1"), 53) && own.can_ask("udp", loopback("::1"), 53));
    assert!(far.can_ask("tcp", HOST6, 9002) && far.can_ask("tcp", HOST4, 25_000));
    for (address, port) in [(HOST4, 9000), (HOST6, 9001), (HOST4, 9002), (HOST6, 25_000)] {
        assert!(!far.can_ask("tcp", address, port), "{address} port {port}");
    }
}

#[test]
fn ten_thousand_ports_are_one_publication() {
    let (host, remote, web) = publishing(&["-p", "40000-49999:40000-49999/udp"]);
    let _service = web.serve("udp", ANY4, 49_999);
    assert!(remote.far().can_ask("udp", HOST4, 49_999));
    let rules = host.netns().ok(&["nft", "list", "ruleset"]);
    let lines = rules.lines().filter(|line| line.contains("40000-49999")).count();
    assert!((1..=4).contains(&lines), "{lines} lines for one range:\n{rules}");
}

#[test]
fn only_those_who_may_connect() {
    let (host, remote, web) = publishing(&[]);
    let _service = web.serve("tcp", ANY4, 80);
    host.ok(&["publish", "web", "8080:80", "--allow-from", "198.51.100.0/24"]);
    host.ok(&["publish", "web", "8081:80", "--allow-from", "203.0.113.0/24,2001:db8::/32"]);
    assert!(remote.far().can_ask("tcp", HOST4, 8080));
    assert!(!host.lan().can_ask("tcp", HOST4, 8080), "the router is none of them");
    assert!(!remote.far().can_ask("tcp", HOST4, 8081));
    let drops = host.stats().drops;
    assert!(drops.keys().any(|reason| reason.contains("not-allowed")), "{drops:?}");
}

#[test]
fn what_cannot_be_published_is_refused_with_the_reason() {
    let (host, _remote, _web) = publishing(&["-p", "8080:80"]);
    let _other = host.container("other");
    host.fails(&["publish", "other", "8080:80"], &[1], "web");
    host.fails(&["publish", "other", "8000-8010:80"], &[2], "8000-8010:80");
    host.fails(&["publish", "other", "80:80/icmp"], &[2], "icmp");
    host.fails(&["publish", "other", "::1:80:80"], &[2], "brackets");
    host.fails(&["publish", "other", "192.0.2.77:8081:80"], &[1, 2], "192.0.2.77");
    host.fails(&["publish", "nobody", "8081:80"], &[1], "nobody");
    let _holder: Process = host.netns().spawn(&["python3", "-m", "http.server", "8082"]);
    wait_for("somebody has the port", Duration::from_secs(10), || {
        host.netns().ok(&["ss", "-ltnH"]).contains(":8082")
    });
    let said = host.fails(&["publish", "other", "8082:80"], &[1], "8082");
    assert!(said.contains("python3"), "the holder has a name: {said}");
    // All or nothing: an attach that fails leaves nothing.
    let netns = host.namespace("third");
    let args =
        ["attach", "--netns", netns.name(), "--name", "third", "-p", "8083:80", "-p", "8082:80"];
    host.fails(&args, &[1], "8082");
    assert_eq!(host.ls().len(), 2);
    host.ok(&["publish", "other", "8083:80"]);
}

#[test]
fn publications_outlive_a_crash_and_leave_nothing_behind() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let before = Snapshot::take(host.netns());
    host.up(&["--uplink", "auto"]);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "40000-40999:40000-40999/udp"]);
    let _service = web.serve("tcp", ANY4, 80);
    assert!(remote.far().can_ask("tcp", HOST4, 8080));
    host.kill();
    host.up(&["--uplink", "auto"]);
    wait_for("it is published again", CHANGED_MAX, || remote.far().can_ask("tcp", HOST4, 8080));
    assert_eq!(host.inspect("web").publications.len(), 2);
    host.down();
    before.assert_same(&Snapshot::take(host.netns()));
}

/// Somebody reloads the host's firewall.
#[test]
fn a_flush_of_the_ruleset_does_not_close_them() {
    let (host, remote, web) = publishing(&["-p", "8080:80"]);
    let _service = web.serve("tcp", ANY4, 80);
    assert!(remote.far().can_ask("tcp", HOST4, 8080));
    host.netns().exec(&["nft", "flush", "ruleset"]);
    wait_for("it is still published", Duration::from_secs(6), || {
        remote.far().can_ask("tcp", HOST4, 8080)
    });
    web.ping(FAR4);
    web.ping(FAR6);
}

/// Rules as Docker and ufw have them: default drop in `input` and `forward`.
const FIREWALLS: &str = "
table ip docker {
  chain FORWARD { type filter hook forward priority filter; policy drop; }
  chain PREROUTING { type nat hook prerouting priority dstnat; fib daddr type local tcp dport 8080 dnat to 172.17.0.2:80; }
  chain POSTROUTING { type nat hook postrouting priority srcnat; ip saddr 172.17.0.0/16 masquerade; }
}
table inet ufw {
  chain input {
    type filter hook input priority filter; policy drop;
    iif lo accept
    ct state established,related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-advert } accept
  }
  chain forward { type filter hook forward priority filter; policy drop; }
}";

#[test]
fn firewalls_of_the_host_do_not_stand_in_the_way() {
    let (host, remote, web) = publishing(&["-p", "8080:80"]);
    host.netns().ok(&["nft", FIREWALLS]);
    let _service = web.serve("tcp", ANY4, 80);
    assert_eq!(remote.far().ask("tcp", HOST4, 8080).0, FAR4);
    for own in [HOST4, IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)] {
        assert!(host.netns().can_ask("tcp", own, 8080), "the host at {own}");
    }
    web.ping(FAR4);
    web.ping(FAR6);
    let _far = remote.far().serve("tcp", FAR4, 7000);
    assert_eq!(web.ask("tcp", FAR4, 7000).0, HOST4);
    // And they stand: what the switch does not take is dropped as before.
    let _own = host.netns().serve("tcp", HOST4, 7001);
    assert!(!remote.far().can_ask("tcp", HOST4, 7001));
}

#[test]
fn run_publishes_while_the_command_runs() {
    let (host, remote, _web) = publishing(&[]);
    let mut run = host.command(&[
        "run",
        "--name",
        "once",
        "-p",
        "8085:80",
        "--",
        "python3",
        "-m",
        "http.server",
        "80",
    ]);
    let process = Process::spawn(run.stdin(std::process::Stdio::null()));
    let fetch =
        "import urllib.request as r; print(r.urlopen('http://192.0.2.1:8085/', timeout=1).status)";
    let fetched = || {
        let output = remote.far().exec(&["python3", "-c", fetch]);
        output.stdout.trim() == "200"
    };
    wait_for("a page is fetched", Duration::from_secs(10), fetched);
    drop(process);
}
