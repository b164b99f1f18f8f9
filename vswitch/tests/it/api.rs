//! The API as a client meets it. Needs root.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::lab::{Api, Lab};

#[test]
#[ignore = "a client without privilege, for another test"]
fn stranger_process() {
    let Some(socket) = std::env::var_os("VSWITCH_TEST_SOCKET") else { return };
    let answer = Api(socket.into()).call("GET", "/v1/status", None);
    println!("ANSWER {} {}", answer.status, answer.body);
}

#[test]
fn answers_what_is_described_and_refuses_the_rest() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    let text = include_str!("../../../docs/openapi.json");
    let description: Value = serde_json::from_str(text).unwrap();
    for (path, operations) in description["paths"].as_object().unwrap() {
        if path == "/v1/shutdown" {
            continue;
        }
        for method in ["get", "put", "post", "delete", "patch"] {
            let path = path.replace("{name}", "nobody").replace("{address}", "10.99.0.9");
            let answer = daemon.api.call(&method.to_uppercase(), &path, None);
            let described = operations.get(method).is_some();
            assert_eq!(answer.status == 405, !described, "{method} {path}: {answer:?}");
            if answer.status >= 400 {
                assert!(!answer.code().is_empty() && !answer.message().is_empty());
            }
        }
    }
    for path in ["/", "/v2/status", "/v1/ports/", "/v1/ports/a/b"] {
        let answer = daemon.api.call("GET", path, None);
        assert_eq!((answer.status, answer.code()), (404, "not-found"), "{path}");
    }
    assert_eq!(daemon.api.call("GET", "/v1/shutdown", None).status, 405);
    daemon.down();
}

#[test]
fn malformed_requests_get_an_error_in_json() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    let post = |kind: &str, body: &str| {
        let head = format!(
            "POST /v1/ports HTTP/1.1\r\nhost: v\r\nconnection: close\r\ncontent-type: {kind}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        daemon.api.raw(format!("{head}{body}").as_bytes()).expect("an answer")
    };
    for body in ["", "{", "[]", "{\"name\": 7}", "{\"name\": \"a\"}", "\u{0}"] {
        let answer = post("application/json", body);
        assert_eq!((answer.status, answer.code()), (400, "invalid-argument"), "{body:?}");
        assert!(!answer.message().contains('\n'));
    }
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(100_000));
    assert_eq!(post("application/json", &long).status, 413);
    assert_eq!(post("text/plain", "{}").status, 415);
    let answer = daemon.api.call("GET", "/v1/ports/%ff%fe", None);
    assert_eq!((answer.status, answer.code()), (400, "invalid-argument"));
    // No HTTP at all; and the daemon still answers.
    let _ = daemon.api.raw(b"\x16\x03\x01 what?\r\n\r\n");
    assert_eq!(daemon.api.get("/v1/status")["ports"], 0);
    daemon.down();
}

#[test]
fn slow_clients_do_not_hold_up_the_others() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    let mut slow: Vec<_> =
        (0..32).map(|_| UnixStream::connect(lab.socket()).expect("a connection")).collect();
    for stream in &mut slow {
        stream.write_all(b"GET /v1/sta").unwrap();
    }
    assert_eq!(daemon.api.get("/v1/status")["ports"], 0);
    // Nor the end of the daemon.
    let start = Instant::now();
    daemon.down();
    assert!(start.elapsed() < Duration::from_secs(8));
}

#[test]
fn the_socket_is_for_root_only() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    let mode = std::fs::metadata(lab.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // Even where the file would let a stranger in.
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&lab.socket(), 0o666);
    open(lab.directory.path(), 0o755);
    // The test program itself may lie where a stranger has no access.
    let program = lab.directory.path().join("client");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let output = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--exact", "api::stranger_process", "--ignored", "--nocapture"])
        .env("VSWITCH_TEST_SOCKET", lab.socket())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("ANSWER 403 ") && text.contains("permission-denied"), "{output:?}");
    daemon.down();
}

#[test]
fn static_entries_come_and_go() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    let entry = json!({"mac": "02:00:00:00:00:77", "port": "br0", "vlan": 0});
    let call = |method: &str, body: &Value| daemon.api.call(method, "/v1/fdb", Some(body));
    assert_eq!(call("PUT", &entry).status, 204);
    assert_eq!(call("PUT", &entry).status, 204);
    let fdb = daemon.api.get("/v1/fdb");
    let row = fdb.as_array().unwrap().iter().find(|row| row["mac"] == "02:00:00:00:00:77");
    assert_eq!(row.unwrap()["static"], true, "{fdb}");
    let key = json!({"mac": "02:00:00:00:00:77"});
    assert_eq!(call("DELETE", &key).status, 204);
    assert_eq!(call("DELETE", &key).code(), "not-found");
    for (body, code) in [
        (json!({"mac": "02:00", "port": "br0"}), "invalid-argument"),
        (json!({"mac": "01:00:5e:00:00:01", "port": "br0"}), "invalid-argument"),
        (json!({"mac": "02:00:00:00:00:77", "port": "nobody"}), "not-found"),
        (json!({"mac": "02:00:00:00:00:77", "port": "br0", "vlan": 4095}), "invalid-argument"),
        (json!({"mac": "02:00:00:00:00:77", "port": "br0", "network": "x"}), "not-found"),
    ] {
        assert_eq!(call("PUT", &body).code(), code, "{body}");
    }
    daemon.down();
}

#[test]
fn addresses_are_reserved_until_they_are_released() {
    let mut lab = Lab::new();
    let daemon = lab.up("");
    let path = "/v1/networks/br0/addresses";
    let reserve = |body: Value| daemon.api.call("POST", path, Some(&body));
    let answer = reserve(json!({"next": "ipv4"}));
    assert_eq!(answer.status, 201, "{answer:?}");
    let gateway = daemon.api.get("/v1/networks/br0")["gateways"][1].as_str().unwrap().to_owned();
    let exact = format!("{gateway}234");
    assert_eq!(reserve(json!({"address": exact})).status, 201);
    let both = json!([{"address": answer.body["address"]}, {"address": exact}]);
    assert_eq!(daemon.api.get(path), both);
    for (body, code) in [
        (json!({"address": exact}), "conflict"),
        (json!({"address": gateway}), "invalid-argument"),
        (json!({"address": "192.0.2.1"}), "invalid-argument"),
        (json!({"next": "ipx"}), "invalid-argument"),
    ] {
        assert_eq!(reserve(body.clone()).code(), code, "{body}");
    }
    daemon.down();
    let daemon = lab.up("");
    assert_eq!(daemon.api.get(path), both);
    let release = |address: &str| daemon.api.call("DELETE", &format!("{path}/{address}"), None);
    assert_eq!(release(&exact.replace(':', "%3A")).status, 204);
    assert_eq!(release(&exact).code(), "not-found");
    assert_eq!(release("nonsense").code(), "invalid-argument");
    assert_eq!(daemon.api.get(path).as_array().unwrap().len(), 1);
    daemon.down();
}
