//! Events and the log.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::{COMMAND_TIMEOUT, Process, READY_MAX, wait_for};

use crate::harness::Host;

/// The hits of a limit.
fn hits(host: &Host, name: &str) -> u64 {
    let limits = host.json(&["status", "--limits"]);
    let limits = limits.as_array().expect("limits");
    let limit = limits.iter().find(|limit| limit["name"] == name).expect("the limit");
    limit["hits"].as_u64().expect("hits")
}

/// Number of a process's sockets.
fn sockets_of(pid: u32) -> usize {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").flatten();
    let to = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
    to.filter(|to| to.to_string_lossy().starts_with("socket:")).count()
}

/// A reader of the raw stream; its head has come when this returns.
fn listen(host: &Host) -> UnixStream {
    let mut stream = UnixStream::connect(host.path("sock")).expect("the socket");
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: x\r\n\r\n").expect("a request");
    let (mut head, mut byte) = (Vec::new(), [0]);
    stream.set_read_timeout(Some(READY_MAX)).expect("a time limit");
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("the head");
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("application/x-ndjson"), "{head}");
    stream
}

#[test]
fn events_come_as_they_happen() {
    let mut host = Host::new();
    host.up(&["--uplink", "auto"]);
    let sockets = || sockets_of(host.daemon_pid());
    let before = sockets();
    let mut command = host.command(&["--format", "json", "events", "--count", "6"]);
    let watcher = Process::spawn(command.stdin(Stdio::null()));
    wait_for("the watcher is connected", READY_MAX, || sockets() > before);
    // Another one is served after it.
    drop(listen(&host));
    let a = host.container("a");
    host.ok(&["publish", "a", "8080:80"]);
    host.ok(&["unpublish", "a", "8080:80"]);
    host.ok(&["rename", "a", "b"]);
    host.ok(&["detach", "b"]);
    drop(a);
    host.netns().ok(&["ip", "link", "set", "nic0", "down"]);
    let text = watcher.finish(COMMAND_TIMEOUT).ok();
    let events: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<_> =
        events.iter().map(|event| event["event"].as_str().expect("a word")).collect();
    assert_eq!(kinds, ["attach", "publish", "unpublish", "rename", "detach", "uplink"]);
    assert_eq!((&events[0]["name"], &events[0]["network"]), (&"a".into(), &"br0".into()));
    assert_eq!(events[1]["detail"], "8080:80/tcp");
    assert_eq!((&events[3]["name"], &events[3]["detail"]), (&"b".into(), &"was a".into()));
    assert_eq!((&events[5]["name"], &events[5]["network"]), (&"nic0".into(), &Value::Null));
    assert!(events.iter().all(|event| event["unix_ms"].as_u64() > Some(1_700_000_000_000)));
}

#[test]
fn the_stream_ends_with_the_switch() {
    let mut host = Host::with_switch();
    let mut stream = listen(&host);
    host.down();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("an end");
    assert!(rest.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&rest));
}

/// A client that does not read is disconnected, and the switch does not wait for it.
#[test]
fn a_slow_reader_is_dropped_and_counted() {
    let host = Host::with_switch();
    let mut slow = listen(&host);
    let _a = host.container("n0");
    let (mut from, mut to) = ("n0".to_owned(), "n1".to_owned());
    let long = "x".repeat(100);
    // Each event has some 300 bytes: the socket's buffer, the queue, and more.
    for round in 0.. {
        assert!(round < 60, "the reader is still connected");
        for n in 0..100 {
            to = format!("{long}{round}-{n}");
            rename(&host, &from, &to);
            from.clone_from(&to);
        }
        if hits(&host, "event-queue") > 0 {
            break;
        }
    }
    let mut bytes = vec![0; 1 << 20];
    wait_for("the connection is closed", READY_MAX, || {
        matches!(slow.read(&mut bytes), Ok(0) | Err(_))
    });
    assert_eq!(host.ls()[0].name, to);
    assert!(host.log().contains("too slow"), "{}", host.log());
}

/// A rename by the API, without a process of its own.
fn rename(host: &Host, from: &str, to: &str) {
    let mut stream = UnixStream::connect(host.path("sock")).expect("the socket");
    let body = format!("{{\"name\": \"{to}\"}}");
    let head = format!(
        "PATCH /v1/ports/{from} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn clients_are_bounded() {
    let host = Host::with_switch();
    let _clients: Vec<_> = (0..16).map(|_| listen(&host)).collect();
    host.fails(&["events"], &[1], "16 clients");
    assert_eq!(hits(&host, "event-clients"), 1);
}

#[test]
fn the_log_of_a_switch_in_the_background() {
    let mut host = Host::new();
    host.up_detached(&[]);
    let _a = host.container("a");
    let log = host.ok(&["logs"]);
    assert!(log.contains("the switch is up") && log.contains("attached"), "{log}");
    assert!(!log.contains("limits="), "the limits are for --verbose: {log}");
    assert_eq!(host.ok(&["logs", "-n", "1"]).lines().count(), 1);
    let mut follow = Process::spawn(host.command(&["logs", "-f", "-n", "0"]).stdin(Stdio::null()));
    std::thread::sleep(Duration::from_millis(300));
    host.ok(&["detach", "a"]);
    std::thread::sleep(Duration::from_millis(600));
    assert!(follow.is_running());
    follow.signal(nix::sys::signal::Signal::SIGTERM);
    let followed = follow_output(follow);
    assert!(followed.contains("detached") && !followed.contains("the switch is up"), "{followed}");
    // After its end the log is found by the state directory.
    host.down();
    let state = host.state_dir().display().to_string();
    assert!(host.ok(&["logs", "--state-dir", &state]).contains("shutting down"));
}

/// The log of a crash is what people look for, without knowing where the state was.
#[test]
fn the_log_of_a_switch_that_was_killed() {
    let mut host = Host::new();
    host.up_detached(&[]);
    let pid = i32::try_from(host.status().pid).expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .expect("kill the daemon");
    testkit::wait_for("nobody answers", READY_MAX, || !host.vswitch(&["ls"]).status.success());
    assert!(host.ok(&["logs"]).contains("the switch is up"));
    assert!(host.ok(&["down"]).contains("cleaned up after a crash"));
}

fn follow_output(process: Process) -> String {
    process.finish(READY_MAX).stdout
}
