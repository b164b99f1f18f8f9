//! Prometheus' metrics of a running switch, judged by Prometheus' own tool.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use testkit::{run, wait_for};

use crate::harness::Host;

/// Sends a request to a port of loopback, or to a Unix socket, and prints the answer.
const REQUEST: &str = "\
import socket, sys
to, head = sys.argv[1], sys.argv[2]
if to.isdigit():
    s = socket.create_connection(('127.0.0.1', int(to)), 5)
else:
    s = socket.socket(socket.AF_UNIX)
    s.connect(to)
s.sendall((head + ' HTTP/1.1\\r\\nhost: x\\r\\nconnection: close\\r\\n\\r\\n').encode())
sys.stdout.write(b''.join(iter(lambda: s.recv(65536), b'')).decode())
";

/// Opens so many connections that say nothing, and waits until they are closed.
const SILENT: &str = "\
import socket, sys
s = [socket.create_connection(('127.0.0.1', int(sys.argv[1])), 30) for _ in range(int(sys.argv[2]))]
print(sum(len(c.recv(100)) for c in s))
";

#[track_caller]
fn request(host: &Host, to: &str, head: &str) -> String {
    host.netns().ok(&["python3", "-c", REQUEST, to, head])
}

/// The text of an answer with status 200 and Prometheus' content type.
#[track_caller]
fn metrics(host: &Host, to: &str) -> String {
    let answer = request(host, to, "GET /metrics");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    body.to_owned()
}

#[track_caller]
fn promtool(args: &[&str], input: &str) {
    let output =
        run(Command::new("promtool").args(args), input.as_bytes(), Duration::from_secs(20));
    assert!(output.status.success() && output.stderr.is_empty(), "{output}");
}

fn docs(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/monitoring").join(file)
}

#[test]
fn promtool_accepts_them_over_both_transports() {
    let host = Host::with_switch_args(&["--metrics", ":9101", "--workers", "2"]);
    let (a, b) = (host.container("a"), host.container("b"));
    a.ping(b.v4());
    let socket = host.path("sock").display().to_string();
    let texts = [metrics(&host, &socket), metrics(&host, "9101")];
    for text in &texts {
        promtool(&["check", "metrics"], text);
        assert!(text.contains("vswitch_build_info{version=\""), "{text}");
        assert!(text.contains("vswitch_worker_received_frames_total{worker=\"1\"} "), "{text}");
    }
    let frames = texts[1].lines().find_map(|line| {
        line.strip_prefix("vswitch_port_receive_frames_total{network=\"br0\",port=\"a\"} ")
    });
    let frames: u64 = frames.expect("a sample of port a").parse().expect("a number");
    assert!(frames >= 3, "three echo requests: {frames}");
}

#[test]
fn only_the_metrics_are_served_over_tcp_and_they_end_with_the_daemon() {
    let mut host = Host::with_switch_args(&["--metrics", "9101"]);
    for (head, status) in [
        ("GET /", 404),
        ("GET /v1/status", 404),
        ("POST /v1/shutdown", 404),
        ("POST /metrics", 405),
        ("DELETE /metrics", 405),
    ] {
        let answer = request(&host, "9101", head);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {answer}");
    }
    // Silent clients take all places, for a bounded time.
    let silent = host.netns().spawn(&["python3", "-c", SILENT, "9101", "12"]);
    assert_eq!(silent.finish(Duration::from_secs(60)).ok(), "0\n");
    metrics(&host, "9101");
    host.down();
    let refused = host.netns().exec(&["python3", "-c", REQUEST, "9101", "GET /metrics"]);
    assert!(refused.stderr.contains("ConnectionRefusedError"), "{refused}");
}

#[test]
fn an_address_that_is_taken_is_refused() {
    let host = Host::new();
    let listen =
        "import socket, time; s = socket.create_server(('127.0.0.1', 9101)); time.sleep(60)";
    let _taken = host.netns().spawn(&["python3", "-c", listen]);
    wait_for("the port is taken", Duration::from_secs(10), || {
        host.netns().ok(&["ss", "-Hltn", "sport", "=", ":9101"]).contains("9101")
    });
    host.fails(&["up", "--metrics", "9101"], &[1], "127.0.0.1:9101");
    host.fails(&["up", "--metrics", "203.0.113.7:9101"], &[1], "203.0.113.7:9101");
    for wrong in ["0", "localhost:9101", "127.0.0.1"] {
        host.fails(&["up", "--metrics", wrong], &[2], wrong);
    }
    assert!(!host.path("sock").exists(), "a socket is left");
}

#[test]
fn the_rules_and_the_scrape_configuration_are_valid() {
    promtool(&["check", "rules", &docs("alerts.yml").display().to_string()], "");
    promtool(&["check", "config", &docs("prometheus.yml").display().to_string()], "");
}
