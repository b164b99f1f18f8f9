//! Publications survive failures on the host.

use std::net::IpAddr;
use std::time::Duration;

use testkit::{FAR4, HOST4, Netns, Process, Remote, wait_for};

use crate::harness::Host;

const ANY4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// Two attempts to open what is not open; should a connection of the holder's end the usual way, it keeps the
/// port for a minute.
const REOPENED_MAX: Duration = Duration::from_secs(85);

/// Fetches a page from the host's port 8081, and breaks the connection off, so that nothing of it stays.
const FETCH: &str = "\
import socket, struct
s = socket.create_connection(('192.0.2.1', 8081), timeout=5)
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
print(s.recv(100).decode().split()[1])
s.close()
";

/// A program of the host that has a port.
#[track_caller]
fn take(netns: &Netns, port: u16) -> Process {
    let process = netns.spawn(&["python3", "-m", "http.server", &port.to_string()]);
    wait_for("somebody has the port", Duration::from_secs(10), || {
        netns.ok(&["ss", "-ltnH"]).contains(&format!(":{port}"))
    });
    process
}

/// Publications of the document.
fn kept(host: &Host) -> Vec<String> {
    let text = std::fs::read_to_string(host.state_dir().join("state.json")).expect("a document");
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let publish = document["attachments"][0]["publish"].as_array().cloned().unwrap_or_default();
    publish.iter().filter_map(|one| Some(one["ports"].as_str()?.to_owned())).collect()
}

#[test]
fn who_cannot_have_a_port_again_keeps_the_others_and_gets_it_later() {
    let mut host = Host::new();
    let remote = Remote::new(host.net());
    host.up(&["--uplink", "auto"]);
    let web = host.container_with("web", &["-p", "8080:80", "-p", "8081:80", "-p", "8082:80"]);
    let _service = web.serve("tcp", ANY4, 80);
    host.down();
    let holder = take(host.netns(), 8081);
    host.up(&["--uplink", "auto"]);
    let far = remote.far();
    wait_for("the others are open", Duration::from_secs(5), || {
        far.can_ask("tcp", HOST4, 8080) && far.can_ask("tcp", HOST4, 8082)
    });
    let detail = host.inspect("web");
    assert_eq!((detail.publications.len(), kept(&host).len()), (3, 3));
    let [shut] = &detail.port.publish_pending[..] else {
        panic!("{:?}", detail.port.publish_pending)
    };
    assert_eq!(shut.ports.to_string(), "8081:80/tcp");
    assert!(shut.reason.contains("python3"), "{}", shut.reason);
    assert!(host.ok(&["ls"]).contains("8081:80 pending +2 more"));
    assert!(host.ok(&["ls", "-o", "wide"]).contains("8081:80/tcp (pending)"));
    assert!(host.ok(&["inspect", "web"]).contains(&shut.reason));
    assert!(host.ok(&["status"]).contains("2, and 1 pending"));
    // The port is the holder's, for a neighbour as well.
    assert_eq!(host.container("b").ok(&["python3", "-c", FETCH]).trim(), "200");
    drop(holder);
    wait_for("it is open again", REOPENED_MAX, || {
        host.inspect("web").port.publish_pending.is_empty() && far.can_ask("tcp", HOST4, 8081)
    });
    assert_eq!(far.ask("tcp", HOST4, 8081).0, FAR4);
    host.ok(&["unpublish", "web", "8081:80"]);
    assert_eq!(kept(&host), ["8080:80/tcp", "8082:80/tcp"]);
}

/// A pending publication can be unpublished, for good.
#[test]
fn what_is_not_open_can_be_withdrawn() {
    let mut host = Host::new();
    host.up(&["--uplink", "auto"]);
    let _web = host.container_with("web", &["-p", "8080:80"]);
    host.down();
    let holder = take(host.netns(), 8080);
    host.up(&["--uplink", "auto"]);
    assert_eq!(host.inspect("web").port.publish_pending.len(), 1);
    host.ok(&["unpublish", "web", "8080:80"]);
    assert!(host.inspect("web").publications.is_empty() && kept(&host).is_empty());
    drop(holder);
    // It is not open either when it is published anew.
    host.ok(&["publish", "web", "8080:80"]);
    assert!(host.inspect("web").port.publish_pending.is_empty());
}

/// With a directory in the way of a file of its own, the switch cannot change the host's setting.
#[test]
fn an_unpublish_that_fails_leaves_the_document_as_it_was() {
    let mut host = Host::new();
    host.up(&["--uplink", "auto"]);
    let _web = host.container_with("web", &["-p", "40000-40999:40000-40999/udp"]);
    let in_the_way = host.state_dir().join("reserved-ports.new");
    std::fs::create_dir(&in_the_way).expect("a directory");
    host.fails(&["unpublish", "web", "40000-40999:40000-40999/udp"], &[1], "reserved-ports");
    assert_eq!(kept(&host), ["40000-40999:40000-40999/udp"]);
    assert_eq!(host.inspect("web").publications.len(), 1);
    std::fs::remove_dir(&in_the_way).expect("an empty directory");
    host.kill();
    host.up(&["--uplink", "auto"]);
    assert_eq!(host.inspect("web").publications.len(), 1);
    host.ok(&["unpublish", "web", "40000-40999:40000-40999/udp"]);
    assert!(kept(&host).is_empty());
}

/// Whichever descriptor it is that cannot be had: nothing of the new publication stays, all of the others.
#[test]
fn a_publish_without_descriptors_leaves_nothing() {
    let mut host = Host::new();
    host.up(&["--uplink", "auto"]);
    let _web = host.container_with("web", &["-p", "8080:80", "-p", "8081:80"]);
    let pid = host.daemon_pid().to_string();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let open: Vec<u64> =
        open.filter_map(|fd| fd.ok()?.file_name().to_str()?.parse().ok()).collect();
    let free: Vec<u64> = (0..).filter(|fd| !open.contains(fd)).take(200).collect();
    let limit = |count: u64| {
        host.netns().ok(&["prlimit", "--pid", &pid, &format!("--nofile={count}:")]);
    };
    let mut failed = 0;
    for spare in (1..=8).rev() {
        limit(free[spare]);
        let output = host.vswitch(&["publish", "web", "8090:90"]);
        limit(free[free.len() - 1]);
        if output.status.success() {
            host.ok(&["unpublish", "web", "8090:90"]);
            continue;
        }
        let rules = host.netns().ok(&["nft", "list", "ruleset"]);
        assert!(!rules.contains("8090"), "with {spare} to spare: {output}\n{rules}");
        assert!(rules.contains("8080") && rules.contains("8081"), "{rules}");
        assert_eq!(host.inspect("web").publications.len(), 2);
        let bind = "import socket; socket.socket().bind(('', 8081))";
        assert!(!host.netns().exec(&["python3", "-c", bind]).status.success(), "it is not held");
        failed += 1;
    }
    // The document, what is served, and what is held.
    assert!(failed >= 3, "it failed {failed} times");
}
