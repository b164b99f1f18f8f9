//! The desired state outlives the daemon: after `down` and `up`, or `kill -9` and `up`, attachments
//! whose namespace lives work again.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::{Process, Remote, wait_for};

use crate::harness::{Container, Host};

const SOON: Duration = Duration::from_secs(5);

/// Two containers talk before and after `restart`, with what they had: addresses, MACs, names.
#[track_caller]
fn attachments_come_back(args: &[&str], restart: impl FnOnce(&mut Host)) {
    let mut host = Host::with_switch_args(args);
    let fixed = ["--ip", "10.99.3.3", "--mac", "02:00:00:00:03:03", "--ifname", "lan0"];
    let (a, b) = (host.container("a"), host.container_with("b", &fixed));
    a.ping(b.v4());
    restart(&mut host);
    for container in [&a, &b] {
        let (before, after) =
            (&container.detail().port, host.inspect(&container.detail().port.name).port);
        assert_eq!((&after.mac, &after.ifname), (&before.mac, &before.ifname));
        assert_eq!((&after.ipv4, &after.ipv6), (&before.ipv4, &before.ipv6));
    }
    a.ping_soon(b.v4(), SOON);
    a.ping(b.v6());
    b.ping(b.gateway());
    host.netns().ping(a.v6());
    // A new attachment gets a free address.
    let c = host.container("c");
    assert!(c.v4() != a.v4() && c.v4() != b.v4());
    c.ping(a.v4());
}

#[test]
fn down_and_up() {
    attachments_come_back(&[], |host| {
        host.down();
        host.up(&[]);
    });
}

#[test]
fn kill_and_up() {
    attachments_come_back(&[], |host| {
        host.kill();
        host.up(&[]);
    });
}

#[test]
fn kill_and_up_again_and_again() {
    attachments_come_back(&[], |host| {
        for _ in 0..3 {
            host.kill();
            host.up(&[]);
        }
    });
}

#[test]
fn kill_and_up_with_two_workers() {
    attachments_come_back(&["--workers", "2", "--uplink", "none"], |host| {
        host.kill();
        host.up(&["--workers", "2", "--uplink", "none"]);
    });
}

/// Names as Docker has them: ids of 64 characters, cases, dots and underscores.
#[test]
fn names_of_runtimes_come_back() {
    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let mut host = Host::with_switch();
    let (a, b) = (host.container(ID), host.container("My_App.v1"));
    host.kill();
    host.up(&[]);
    assert_eq!(host.inspect(ID).port.ipv4, a.detail().port.ipv4);
    assert_eq!(host.inspect("My_App.v1").port.name, "My_App.v1");
    host.fails(&["inspect", "my_app.v1"], &[1], "my_app.v1");
    a.ping_soon(b.v4(), SOON);
    host.ok(&["detach", "My_App.v1"]);
}

#[test]
fn an_attachment_by_pid_comes_back() {
    let mut host = Host::with_switch();
    let netns = host.namespace("p");
    let process = netns.spawn(&["sleep", "60"]);
    host.ok(&["attach", "--netns", &process.pid().to_string(), "--name", "p"]);
    host.kill();
    host.up(&[]);
    netns.ping_soon(host.inspect("p").gateways[0], SOON);
}

#[test]
fn what_died_meanwhile_is_not_brought_back() {
    let mut host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container_with("b", &["--ip", "10.99.0.33"]));
    host.kill();
    b.into_netns().delete();
    host.up(&[]);
    wait_for("b is forgotten", SOON, || host.ls().len() == 1);
    assert_eq!(host.ls()[0].name, "a");
    a.ping_soon(a.gateway(), SOON);
    let b = host.container_with("b", &["--ip", "10.99.0.33"]);
    a.ping(b.v4());
}

#[test]
fn what_was_detached_stays_detached() {
    let mut host = Host::with_switch();
    let a = host.container("a");
    host.ok(&["detach", "a"]);
    host.kill();
    host.up(&[]);
    assert!(host.ls().is_empty(), "{:?}", host.ls());
    assert!(a.links().is_empty(), "{:?}", a.links());
}

#[test]
fn the_ipv6_subnet_is_kept() {
    let mut host = Host::with_switch();
    let before = host.json(&["network", "inspect", "br0"])["subnets"][1].clone();
    assert!(before.as_str().is_some_and(|net| net.starts_with("fd")), "a random ULA: {before}");
    host.down();
    host.up(&[]);
    assert_eq!(host.json(&["network", "inspect", "br0"])["subnets"][1], before);
}

/// Sends each line of its input over one TCP connection and writes the echo into a file.
const CLIENT: &str = "\
import socket, sys
s = socket.create_connection((sys.argv[1], 7), timeout=20).makefile('rw')
for line in sys.stdin:
    s.write(line); s.flush()
    with open(sys.argv[2], 'a') as out: out.write(s.readline())
";

const ECHO: &str = "\
import socket
s = socket.create_server(('', 7)).accept()[0]
while data := s.recv(99): s.sendall(data)
";

/// A TCP connection that can be asked for an echo.
struct Connection {
    client: std::process::ChildStdin,
    echoed: std::path::PathBuf,
    _processes: [Process; 2],
}

impl Connection {
    #[track_caller]
    fn open(host: &Host, from: &Container, to: &Container) -> Self {
        let server = to.spawn(&["python3", "-c", ECHO]);
        wait_for("the server listens", SOON, || to.ok(&["ss", "-ltn"]).contains(":7 "));
        let echoed = host.path("echoed");
        let (address, file) = (to.v4().to_string(), echoed.display().to_string());
        let mut command = from.command(&["python3", "-c", CLIENT, &address, &file]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()));
        Self { client: process.stdin(), echoed, _processes: [process, server] }
    }

    #[track_caller]
    fn echo(&mut self, line: &str, limit: Duration) {
        writeln!(self.client, "{line}").expect("write to the client");
        wait_for(&format!("the echo of {line}"), limit, || {
            std::fs::read_to_string(&self.echoed).unwrap_or_default().contains(line)
        });
    }
}

#[test]
fn a_tcp_connection_survives_a_crash() {
    let mut host = Host::with_switch();
    let (a, b) = (host.container("a"), host.container("b"));
    let mut connection = Connection::open(&host, &a, &b);
    connection.echo("before", SOON);
    host.kill();
    host.up(&[]);
    connection.echo("after", Duration::from_secs(15));
}

/// What the build before several networks wrote, but for the namespaces.
const BEFORE_NETWORKS: &str = include_str!("restart/before_networks.json");

/// Values of one document that another has not, by their paths. The other may have more.
fn lost(one: &Value, other: &Value, path: &str) -> Vec<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(_)) => one
            .iter()
            .flat_map(|(key, it)| lost(it, &other[key], &format!("{path}/{key}")))
            .collect(),
        (Value::Array(one), Value::Array(_)) => {
            let items = one.iter().enumerate();
            items.flat_map(|(n, it)| lost(it, &other[n], &format!("{path}/{n}"))).collect()
        }
        _ if one == other => Vec::new(),
        _ => vec![format!("{path}: {one}, now {other}")],
    }
}

#[test]
fn the_state_of_the_build_before_several_networks_is_read_and_nothing_is_lost() {
    let mut host = Host::new();
    let _remote = Remote::new(host.net());
    let path = host.state_dir().join("state.json");
    let read = || -> Value {
        serde_json::from_slice(&std::fs::read(&path).expect("the document")).expect("JSON")
    };
    host.up(&[]);
    let (db, web) = (host.container("db"), host.container("web"));
    host.down();
    let mut document: Value = serde_json::from_str(BEFORE_NETWORKS).expect("JSON");
    for (n, now) in read()["attachments"].as_array().expect("attachments").iter().enumerate() {
        assert_eq!(document["attachments"][n]["name"], now["name"]);
        document["attachments"][n]["netns"] = now["netns"].clone();
    }
    std::fs::write(&path, document.to_string()).expect("write the document");
    host.up(&["--uplink", "auto"]);
    let port = host.inspect("web").port;
    assert_eq!(
        (port.ifname.as_str(), port.mac.to_string()),
        ("lan0", "02:00:00:00:07:07".to_owned())
    );
    assert_eq!(port.ipv4[0].to_string(), "10.99.7.7");
    assert_eq!(
        (port.labels["tier"].as_str(), &port.aliases[..]),
        ("front", &["api".to_owned()][..])
    );
    assert_eq!((port.publish.len(), port.publish_pending.len()), (2, 0));
    let fdb = host.json(&["fdb"]);
    let is_static = |row: &&Value| row["static"] == true;
    assert_eq!(fdb.as_array().expect("rows").iter().filter(is_static).count(), 2, "{fdb:#}");
    assert_eq!(host.inspect("db").settings.limits.rate_in.to_string(), "10 Mbit/s");
    let _service = web.serve("tcp", port.ipv4[0].into(), 80);
    host.lan().ask("tcp", testkit::HOST4, 8080);
    // What is there now is there after a change, and after the next start.
    host.ok(&["network", "create", "blue"]);
    host.ok(&["network", "connect", "blue", "web"]);
    host.kill();
    host.up(&["--uplink", "auto"]);
    host.ok(&["network", "disconnect", "blue", "web"]);
    let lost = lost(&document, &read(), "");
    assert!(lost.is_empty(), "{lost:#?}");
    db.ping_soon(port.ipv4[0].into(), SOON);
}
