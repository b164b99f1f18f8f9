//! DNS for containers, with `dig`, `getent` and `ping` in their namespaces.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use testkit::{Netns, Process, wait_for};

use crate::harness::{Container, Host};

/// An upstream server by UDP and TCP: `www.example` is 198.51.100.80, `long.example` has 200 addresses, nothing
/// else exists. Writes each question to the file that is its first argument; the second one is its address.
const UPSTREAM: &str = r#"
import socket, struct, sys, threading
def name(query):
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    return '.'.join(labels), at + 5
def answer(query, limit):
    asked, end = name(query)
    with open(sys.argv[1], 'a') as log: log.write(asked + '\n')
    count = {'www.example': 1, 'long.example': 200}.get(asked, 0)
    if query[end - 4:end] != b'\0\1\0\1': count = 0
    records = b''.join(b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4' + bytes([198, 51, 100, 80 + n % 100]) for n in range(count))
    known = asked in ('www.example', 'long.example')
    if len(records) > limit: count, records, flags = 0, b'', 0x8380
    else: flags = 0x8180 if known else 0x8183
    return query[:2] + struct.pack('>HHHHH', flags, 1, count, 0, 0) + query[12:end] + records
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind((sys.argv[2], 53))
tcp = socket.create_server((sys.argv[2], 53))
def serve_tcp():
    while True:
        peer, _ = tcp.accept()
        length = struct.unpack('>H', peer.recv(2, socket.MSG_WAITALL))[0]
        reply = answer(peer.recv(length, socket.MSG_WAITALL), 60000)
        peer.sendall(struct.pack('>H', len(reply)) + reply)
        peer.close()
threading.Thread(target=serve_tcp, daemon=True).start()
while True:
    query, peer = udp.recvfrom(4096)
    udp.sendto(answer(query, 1000), peer)
"#;

/// Starts an upstream server.
fn serve(netns: &Netns, address: &str, log: &Path) -> Process {
    let server = netns.spawn(&["python3", "-c", UPSTREAM, &log.display().to_string(), address]);
    let at = format!("@{address}");
    let dig = ["dig", "+short", "+tries=1", "+time=1", &at, "www.example"];
    wait_for("the upstream server", Duration::from_secs(10), || {
        netns.exec(&dig).stdout.contains("198.51.100.80")
    });
    server
}

/// A host with a switch, and an upstream server on its LAN.
struct Upstream {
    host: Host,
    _server: Process,
}

impl Upstream {
    fn start(further: &[&str]) -> Self {
        let mut host = Host::new();
        host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
        let server = serve(host.lan(), "192.0.2.254", &host.path("questions"));
        host.up(&[&["--dns-upstream", "192.0.2.254"], further].concat());
        Self { host, _server: server }
    }

    /// Questions that came to the upstream server.
    fn questions(&self) -> String {
        std::fs::read_to_string(self.host.path("questions")).unwrap_or_default()
    }
}

/// Output of `dig` in a container; its server is the gateway.
#[track_caller]
fn dig(container: &Container, arguments: &[&str]) -> String {
    dig_at(container, container.gateway(), arguments)
}

#[track_caller]
fn dig_at(container: &Netns, server: IpAddr, arguments: &[&str]) -> String {
    let server = format!("@{server}");
    let fixed = ["dig", &server, "+tries=1", "+timeout=4"];
    container.exec(&[&fixed[..], arguments].concat()).stdout.trim().to_owned()
}

#[test]
fn names_aliases_addresses_and_the_host() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let web = host.container("web");
    let db1 = host.container_with("db1", &["--alias", "db"]);
    let db2 = host.container_with("DB2", &["--alias", "db"]);
    let short = |arguments: &[&str]| dig(&web, &[&["+short"], arguments].concat());
    assert_eq!(short(&["db1"]), db1.v4().to_string());
    assert_eq!(short(&["Db2.BR0"]), db2.v4().to_string());
    assert_eq!(short(&["db1", "AAAA"]), db1.v6().to_string());
    assert_eq!(short(&["+tcp", "db1"]), db1.v4().to_string());
    let by_ipv6 = dig_at(&web, web.gateway6(), &["+short", "db1"]);
    assert_eq!(by_ipv6, db1.v4().to_string());
    assert_eq!(dig_at(&web, web.gateway6(), &["+short", "+tcp", "db1"]), db1.v4().to_string());
    assert_eq!(short(&["-x", &db1.v4().to_string()]), "db1.br0.");
    assert_eq!(short(&["-x", &db1.v6().to_string()]), "db1.br0.");
    assert_eq!(short(&["host.vswitch.internal"]), web.gateway().to_string());
    assert_eq!(short(&["gateway.vswitch.internal", "AAAA"]), web.gateway6().to_string());
    let mut both: Vec<_> = short(&["db"]).lines().map(str::to_owned).collect();
    both.sort();
    let mut expected = [db1.v4(), db2.v4()].map(|address| address.to_string());
    expected.sort();
    assert_eq!(both, expected);
    let firsts: std::collections::BTreeSet<_> =
        (0..8).map(|_| short(&["db"]).lines().next().map(str::to_owned)).collect();
    assert_eq!(firsts.len(), 2, "an alias takes turns");
    let absent = dig(&web, &["nobody"]);
    assert!(absent.contains("status: NXDOMAIN") && absent.contains("SOA"), "{absent}");
    let private = dig(&web, &["-x", "10.99.77.77"]);
    assert!(private.contains("status: NXDOMAIN"), "{private}");
    let no_data = dig(&web, &["db1", "MX"]);
    assert!(no_data.contains("status: NOERROR") && no_data.contains("ANSWER: 0"), "{no_data}");
    host.balanced();
}

#[test]
fn plain_queries_are_answered_by_a_worker_with_the_servers_words() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let web = host.container("web");
    let db = host.container_with("db", &["--alias", "data"]);
    let plain = |server, arguments: &[&str]| {
        let fixed = ["+nocookie", "+noall", "+answer", "+authority", "+comments"];
        dig_at(&web, server, &[&fixed[..], arguments].concat())
    };
    for server in [web.gateway(), web.gateway6()] {
        for arguments in [
            &["data"][..],
            &["Db.br0", "AAAA"],
            &["+noedns", "db"],
            &["+bufsize=600", "data", "AAAA"],
        ] {
            let before = host.stats().dns.direct;
            let direct = plain(server, arguments);
            assert_eq!(host.stats().dns.direct, before + 1, "{arguments:?}");
            let address = if arguments.contains(&"AAAA") { db.v6() } else { db.v4() };
            assert!(direct.contains(&address.to_string()), "{direct}");
            // By TCP the server says the same, but for its random id.
            let served = plain(server, &[&["+tcp"], arguments].concat());
            let words = |text: &str| -> Vec<String> {
                let (_, rest) = text.split_once("id: ").unwrap_or_default();
                rest.split_whitespace().skip(1).map(str::to_owned).collect()
            };
            assert_eq!(words(&direct), words(&served));
        }
    }
    let before = host.stats().dns.direct;
    for other in ["nobody", "host.vswitch.internal"] {
        plain(web.gateway(), &[other]);
    }
    assert_eq!(host.stats().dns.direct, before);
    let netns = host.namespace("x");
    for _ in 0..3 {
        host.ok(&["attach", "--netns", netns.name(), "--name", "x"]);
        assert!(plain(web.gateway(), &["x"]).contains(&host.inspect("x").port.ipv4[0].to_string()));
        host.ok(&["detach", "x"]);
        assert!(plain(web.gateway(), &["x"]).contains("NXDOMAIN"));
    }
    host.balanced();
}

#[test]
fn a_name_is_there_when_attach_returns_and_gone_when_detach_returns() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let web = host.container("web");
    for _ in 0..5 {
        let netns = host.namespace("x");
        host.ok(&["attach", "--netns", netns.name(), "--name", "x", "--alias", "y"]);
        let address = host.inspect("x").port.ipv4[0].to_string();
        assert_eq!(dig(&web, &["+short", "y.br0"]), address);
        host.ok(&["detach", "x"]);
        assert!(dig(&web, &["x"]).contains("status: NXDOMAIN"));
    }
}

#[test]
fn everything_else_comes_from_upstream() {
    let upstream = Upstream::start(&[]);
    let host = &upstream.host;
    let web = host.container("web");
    assert_eq!(dig(&web, &["+short", "www.example"]), "198.51.100.80");
    assert_eq!(dig(&web, &["+short", "+tcp", "WWW.example"]), "198.51.100.80");
    let long = dig(&web, &["+short", "long.example"]);
    assert_eq!(long.lines().count(), 200, "truncated, and whole by TCP: {long}");
    let absent = dig(&web, &["nobody"]);
    assert!(absent.contains("status: NXDOMAIN"), "{absent}");
    assert!(dig(&web, &["-x", "10.99.1.2"]).contains("status: NXDOMAIN"));
    let asked = upstream.questions();
    assert!(asked.contains("nobody") && !asked.contains("in-addr.arpa"), "{asked}");
    let stats = host.stats().dns;
    assert!(stats.forwarded >= 5 && stats.cached >= 2 && stats.upstream_failed == 0, "{stats:?}");
    assert_eq!(host.status().dns.unwrap().upstreams[0].to_string(), "192.0.2.254:53");
}

#[test]
fn an_internal_network_with_the_lans_addresses_hides_no_upstream_server() {
    let upstream = Upstream::start(&[]);
    let host = &upstream.host;
    let create = ["network", "create", "--internal", "--subnet", "192.0.2.0/24"];
    host.ok(&[&create[..], &["--gateway", "192.0.2.254", "twin"]].concat());
    let web = host.container("web");
    assert_eq!(dig(&web, &["+short", "www.example"]), "198.51.100.80");
    dig(&web, &["-x", "192.0.2.7"]);
    assert!(upstream.questions().contains("7.2.0.192.in-addr.arpa"));
}

#[test]
fn the_hosts_resolv_conf_is_followed_also_to_its_loopback() {
    let mut host = Host::new();
    host.lan().run_lines(&["ip addr add 192.0.2.254/24 dev nic1"]);
    let [stub, lan, file] = ["stub", "questions", "host-resolv.conf"].map(|it| host.path(it));
    let _servers =
        [serve(host.netns(), "127.0.0.53", &stub), serve(host.lan(), "192.0.2.254", &lan)];
    std::fs::write(&file, "nameserver 127.0.0.53\n").expect("write resolv.conf");
    // The daemon sees the mounts of now only.
    let web = host.namespace("web");
    host.up_with_resolv_conf(&file, &[]);
    host.ok(&["attach", "--netns", web.name(), "--name", "web"]);
    let gateway = host.inspect("web").gateways[0];
    let asked = |log: &Path| std::fs::read_to_string(log).unwrap_or_default();
    dig_at(&web, gateway, &["first.example"]);
    assert!(asked(&stub).contains("first.example"));
    std::fs::write(&file, "nameserver 10.99.0.1\nnameserver 192.0.2.254\n").expect("write");
    wait_for("the new servers", Duration::from_secs(5), || {
        host.status().dns.is_some_and(|dns| dns.upstreams.len() == 2)
    });
    // The switch itself is not asked.
    dig_at(&web, gateway, &["second.example"]);
    assert!(asked(&lan).contains("second.example") && !asked(&stub).contains("second.example"));
    assert_eq!(host.stats().dns.upstream_queries, 2);
}

#[test]
fn an_upstream_server_that_is_our_gateway_is_not_asked() {
    let host = Host::with_switch_args(&["--dns-upstream", "10.99.0.1"]);
    let web = host.container("web");
    let started = Instant::now();
    assert!(dig(&web, &["www.example"]).contains("status: SERVFAIL"));
    // One that is asked in vain takes 1.8 s.
    assert!(started.elapsed() < Duration::from_millis(1800), "{:?}", started.elapsed());
    assert_eq!(host.stats().dns.upstream_queries, 0);
}

#[test]
fn dead_upstream_servers_are_an_answer_within_two_seconds() {
    let host = Host::with_switch_args(&["--dns-upstream", "192.0.2.253"]);
    let web = host.container("web");
    let started = Instant::now();
    let answer = dig(&web, &["www.example"]);
    assert!(answer.contains("status: SERVFAIL"), "{answer}");
    assert!(started.elapsed() < Duration::from_millis(2500), "{:?}", started.elapsed());
    assert_eq!(host.stats().dns.upstream_failed, 1);
    assert_eq!(dig(&web, &["+short", "web"]), web.v4().to_string());
}

/// Runs a shell script in a container whose `/etc/resolv.conf` names its gateways.
#[track_caller]
fn with_resolv_conf(host: &Host, container: &Container, script: &str) -> testkit::Output {
    let file = host.path("resolv.conf");
    let text = format!(
        "nameserver {}\nnameserver {}\noptions ndots:0\n",
        container.gateway(),
        container.gateway6()
    );
    std::fs::write(&file, text).expect("write resolv.conf");
    let mount = format!("mount --bind {} /etc/resolv.conf && {script}", file.display());
    container.exec(&["unshare", "--mount", "sh", "-c", &mount])
}

#[test]
fn programs_find_names() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let (web, db) = (host.container("web"), host.container("db"));
    let ok = |script: &str| with_resolv_conf(&host, &web, script).ok();
    assert!(ok("getent ahostsv4 db").contains(&db.v4().to_string()));
    assert!(ok("getent ahostsv6 db.br0").contains(&db.v6().to_string()));
    assert!(ok(&format!("getent hosts {}", db.v4())).contains("db.br0"));
    assert!(ok("ping -4 -c1 -W2 db").contains("1 received"));
    assert!(ok("ping -6 -c1 -W2 db").contains("1 received"));
    assert!(!with_resolv_conf(&host, &web, "getent hosts nobody").status.success());
}

#[test]
fn run_and_attach_write_resolv_conf() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let db = host.container("db");
    let shown = host.ok(&["run", "--name", "r", "--", "getent", "ahostsv4", "db.br0"]);
    assert!(shown.contains(&db.v4().to_string()), "{shown}");
    let file = host.path("resolv.conf").display().to_string();
    let web = host.container_with("web", &["--resolv-conf", &file]);
    let text = std::fs::read_to_string(&file).expect("resolv.conf");
    for line in [web.gateway(), web.gateway6()].map(|address| format!("nameserver {address}")) {
        assert!(text.lines().any(|other| other == line), "{line} in {text}");
    }
    let netns = host.namespace("x");
    let attach =
        ["attach", "--netns", netns.name(), "--name", "x", "--resolv-conf", "/no/such/file"];
    host.fails(&attach, &[1], "/no/such/file");
    let unused = host.path("unused").display().to_string();
    let taken = ["attach", "--netns", netns.name(), "--name", "db", "--resolv-conf", &unused];
    host.fails(&taken, &[1], "db");
    assert!(!host.path("unused").exists(), "it stays after an attach that failed");
    assert_eq!(host.ls().len(), 2, "nothing is attached");
}

#[test]
fn names_are_back_after_a_crash() {
    let mut host = Host::with_switch_args(&["--uplink", "none"]);
    let web = host.container("web");
    let db = host.container_with("db", &["--alias", "data"]);
    host.kill();
    host.up(&["--uplink", "none"]);
    assert_eq!(dig(&web, &["+short", "data"]), db.v4().to_string());
    assert_eq!(dig(&web, &["+short", "-x", &db.v4().to_string()]), "db.br0.");
}

#[test]
fn a_new_name_is_known_at_once() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let (web, db) = (host.container("web"), host.container("db"));
    host.ok(&["rename", "db", "store"]);
    assert_eq!(dig(&web, &["+short", "store"]), db.v4().to_string());
    assert!(dig(&web, &["db"]).contains("status: NXDOMAIN"));
}

#[test]
fn what_a_container_sees_is_shown() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let _web = host.container("web");
    let db = host.container_with("db", &["--alias", "data"]);
    let names = host.json(&["dns", "ls"]);
    let names: Vec<_> = names.as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["data", "db", "web"]);
    let shown = host.ok(&["dns", "query", "data", "--as", "web"]);
    assert!(shown.contains(&db.v4().to_string()), "{shown}");
    let answer = host.json(&["dns", "query", &db.v6().to_string(), "--as", "web"]);
    assert_eq!(answer["answers"][0]["data"], "db.br0.");
    assert_eq!(host.json(&["dns", "query", "nobody", "--as", "web"])["code"], "NXDOMAIN");
    host.fails(&["dns", "query", "db", "--as", "nobody"], &[1], "nobody");
    host.fails(&["dns", "query", "a..b", "--as", "web"], &[2], "a..b");
    host.fails(&["dns", "query", "db", "--as", "web", "--type", "ROAD"], &[2], "ROAD");
}

#[test]
fn without_dns_nobody_answers() {
    let host = Host::with_switch_args(&["--uplink", "none", "--no-dns"]);
    let web = host.container("web");
    let answer = dig(&web, &["web"]);
    assert!(!answer.contains("status: NOERROR"), "{answer}");
    assert!(host.status().dns.is_none());
    host.fails(&["dns", "query", "web", "--as", "web"], &[1], "--no-dns");
}

#[test]
fn other_sources_than_containers_get_no_answer() {
    let host = Host::with_switch();
    let web = host.container("web");
    // The gateway's address is the host's, where nothing listens on port 53.
    let from_host = dig_at(host.netns(), web.gateway(), &["web"]);
    assert!(!from_host.contains("status:"), "{from_host}");
    host.lan().run_lines(&[
        "ip addr add 192.0.2.254/24 dev nic1",
        "ip route add 10.99.0.0/16 via 192.0.2.1",
    ]);
    for server in [web.gateway(), [192, 0, 2, 1].into()] {
        let from_lan = dig_at(host.lan(), server, &["+timeout=1", "web"]);
        assert!(!from_lan.contains("status:"), "{from_lan}");
    }
}

/// Looks a name up with musl's resolver, and prints the addresses.
const MUSL: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (argc < 2 || getaddrinfo(argv[1], 0, &hints, &found)) return 1;
    for (; found; found = found->ai_next) {
        char text[64];
        getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
        puts(text);
    }
    return 0;
}
"#;

#[test]
fn the_resolver_of_musl_finds_names() {
    let host = Host::with_switch_args(&["--uplink", "none"]);
    let (web, db) = (host.container("web"), host.container("db"));
    let (source, program) = (host.path("lookup.c"), host.path("lookup"));
    std::fs::write(&source, MUSL).expect("write a program");
    let paths = [program.display().to_string(), source.display().to_string()];
    web.ok(&["musl-gcc", "-static", "-o", &paths[0], &paths[1]]);
    let found = with_resolv_conf(&host, &web, &format!("{} db", paths[0])).ok();
    let mut found: Vec<_> = found.lines().collect();
    found.sort_unstable();
    assert_eq!(found, [db.v4().to_string(), db.v6().to_string()]);
    assert!(!with_resolv_conf(&host, &web, &format!("{} nobody", paths[0])).status.success());
}
