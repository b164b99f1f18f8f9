//! The host's traffic stays the host's: ports that nobody published, and packets that name
//! the host, a container or nobody as their sender.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{Collector, FAR4, FAR6, HOST4, HOST6, Netns, Remote, wait_for};

use crate::harness::Host;

/// Begins a connection, and a datagram, from each of these senders, to a port of each protocol: `IFNAME MAC DST
/// PORT SRC...`.
const PRETEND: &str = "\
ifname, mac, dst, port = sys.argv[1:5]
port = int(port)
for src in sys.argv[5:]:
    for sport in (port, 1234):
        send_by(ifname, mac, ip(src, dst, TCP, tcp(src, sport, dst, port, SYN, 1)))
        send_by(ifname, mac, ip(src, dst, UDP, udp(src, sport, dst, port, b'forged')))
";

/// A datagram: `SRC DST PORT`.
const END: &str = "\
src, dst, port = sys.argv[1:]
send(ip(src, dst, UDP, udp(src, 5555, dst, int(port), b'end')))
";

/// Closed ones of both protocols, below the range, within it and above it; then those that somebody has.
const PORTS: [&str; 8] = [
    "tcp/9999",
    "tcp/20000",
    "tcp/25001",
    "tcp/40000",
    "udp/9999",
    "udp/25001",
    "tcp/7000",
    "udp/7000",
];

#[test]
fn ports_that_nobody_published_are_the_hosts_as_before() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    let own = host.netns();
    let services = [HOST4, HOST6].map(|own_address| {
        [own.serve("tcp", own_address, 7000), own.serve("udp", own_address, 7000)]
    });
    let probe = |address: IpAddr| remote.far().ask_each(address, &PORTS);
    let answers = |far: IpAddr| {
        let said = |what: &&str| match what.ends_with("/7000") {
            true => far.to_string(),
            false => "ConnectionRefusedError".to_owned(),
        };
        PORTS.iter().map(said).collect::<Vec<_>>()
    };
    for (address, far) in [(HOST4, FAR4), (HOST6, FAR6)] {
        assert_eq!(probe(address), answers(far), "before");
    }
    host.up(&["--uplink", "auto"]);
    let a = host.container_with("a", &["-p", "8080:80"]);
    // The container has ports of the range, too.
    for far in [FAR4, FAR6] {
        let _service = remote.far().serve("tcp", far, 7000);
        a.ask("tcp", far, 7000);
        let _service = remote.far().serve("udp", far, 7000);
        a.ask("udp", far, 7000);
    }
    for (address, far) in [(HOST4, FAR4), (HOST6, FAR6)] {
        assert_eq!(probe(address), answers(far), "with a switch");
    }
    drop(services);
    host.balanced();
}

/// Land attack, and others that name as their sender whom they cannot be: nothing of it reaches the container.
#[test]
fn senders_that_cannot_be_reach_nobody() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let a = host.container_with("a", &["-p", "8080:80", "-p", "8080:53/udp"]);
    let b = host.container("b");
    let mac = host.netns().mac("nic0");
    let senders4 = [
        HOST4.to_string(),
        a.v4().to_string(),
        b.v4().to_string(),
        a.gateway().to_string(),
        "127.0.0.1".to_owned(),
        "0.0.0.0".to_owned(),
        "255.255.255.255".to_owned(),
        "224.0.0.1".to_owned(),
        "240.0.0.1".to_owned(),
    ];
    let senders6 = [
        HOST6.to_string(),
        a.v6().to_string(),
        b.v6().to_string(),
        a.gateway6().to_string(),
        "::1".to_owned(),
        "::".to_owned(),
        "ff02::1".to_owned(),
        "::ffff:192.0.2.9".to_owned(),
    ];
    for (inside, own, far, senders) in
        [(a.v4(), HOST4, FAR4, &senders4[..]), (a.v6(), HOST6, FAR6, &senders6[..])]
    {
        let collector = Collector::start(&a, inside, 53);
        let _service = a.serve("tcp", inside, 80);
        let [own_text, far_text] = [own, far].map(|address| address.to_string());
        let mut args = vec!["nic1", mac.as_str(), &own_text, "8080"];
        args.extend(senders.iter().map(String::as_str));
        let before = refused(&host);
        host.lan().craft(PRETEND, &args);
        // Those that nftables does not drop before.
        wait_for("they are counted", Duration::from_secs(5), || refused(&host) >= before + 12);
        remote.far().craft(END, &[&far_text, &own_text, "8080"]);
        let came = collector.collected();
        assert!(came.is_empty(), "{came:?}");
        let rows = host.json(&["conntrack", "ls"]);
        for row in rows.as_array().expect("an array") {
            let from = row["original"]["src"].as_str().expect("a source");
            let is_true = [FAR4, FAR6].iter().any(|far| from.contains(&far.to_string()));
            assert!(is_true, "{row}");
        }
        assert_eq!(remote.far().ask("tcp", own, 8080).0, far);
    }
    b.ping(FAR4);
    no_trace(host.netns(), &a);
    host.balanced();
}

fn refused(host: &Host) -> u64 {
    host.stats().drops.get("nat-bad-address").copied().unwrap_or(0)
}

/// The host still finds its container, and itself.
#[track_caller]
fn no_trace(host: &Netns, a: &crate::harness::Container) {
    for address in [a.v4(), a.v6(), HOST4, HOST6] {
        host.ping(address);
    }
}
