use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use vswitch_api::error::ErrorCode;
use vswitch_api::routes;

use super::*;

/// A daemon that answers one request with `answer` and gives back what it was asked.
struct Mock {
    directory: tempfile::TempDir,
    thread: JoinHandle<String>,
}

impl Mock {
    fn answering(answer: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        let answer = answer.to_owned();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut chunk = [0; 4096];
            while !is_whole(&asked) {
                match stream.read(&mut chunk).unwrap() {
                    0 => break,
                    got => asked.extend_from_slice(&chunk[..got]),
                }
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        Self { directory, thread }
    }

    fn client(&self) -> Client {
        Client::new(&self.directory.path().join("s")).unwrap()
    }

    fn asked(self) -> String {
        self.thread.join().unwrap()
    }
}

/// Whether the head and as many bytes of body as it announces are there.
fn is_whole(asked: &[u8]) -> bool {
    let text = String::from_utf8_lossy(asked);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= announced.map_or(0, |length| length.parse().unwrap())
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn get_decodes_the_answer() {
    let mock = Mock::answering(&http("200 OK", "[1, 2]"));
    assert_eq!(mock.client().get::<Vec<u8>>("/v1/ports").unwrap(), [1, 2]);
    let asked = mock.asked();
    assert!(asked.starts_with("GET /v1/ports HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("host: localhost\r\n"), "{asked}");
}

#[test]
fn post_sends_json() {
    let mock = Mock::answering(&http("201 Created", "{}"));
    let body = json!({ "name": "a" });
    assert_eq!(mock.client().post::<Value>("/v1/ports", &body).unwrap(), json!({}));
    let asked = mock.asked();
    assert!(asked.starts_with("POST /v1/ports HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\n{\"name\":\"a\"}"), "{asked}");
}

#[test]
fn an_answer_without_body_is_fine() {
    let mock = Mock::answering("HTTP/1.1 204 No Content\r\n\r\n");
    let path = route(routes::PORT, "a");
    mock.client().send(&Method::DELETE, &path, None::<&()>).unwrap();
    assert!(mock.asked().starts_with("DELETE /v1/ports/a HTTP/1.1\r\n"));
}

#[test]
fn names_are_percent_encoded() {
    assert_eq!(route(routes::PORT, "web-1"), "/v1/ports/web-1");
    assert_eq!(route(routes::PORT, "a/b c%?ä"), "/v1/ports/a%2Fb%20c%25%3F%C3%A4");
}

#[test]
fn errors_of_the_api_keep_their_hint() {
    let error = ApiError::new(ErrorCode::NotFound, "no port `a`").with_hint("see `vswitch ls`");
    let mock = Mock::answering(&http("404 Not Found", &serde_json::to_string(&error).unwrap()));
    let failure = Failure::from(mock.client().get::<Value>("/v1/ports/a").unwrap_err());
    assert_eq!(failure.report().unwrap(), "error: no port `a`\n  hint: see `vswitch ls`\n");
    assert_eq!(failure.exit(), 1);
}

#[test]
fn other_errors_name_the_request() {
    let mock = Mock::answering(&http("404 Not Found", ""));
    let error = mock.client().get::<Value>("/v1/new").unwrap_err().to_string();
    assert!(error.contains("GET /v1/new"), "{error}");
    assert!(error.contains("404"), "{error}");
    for broken in ["", "no HTTP at all", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1"] {
        let error = Mock::answering(broken).client().get::<Value>("/v1/ports").unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{broken:?}: {error}");
    }
    let error =
        Mock::answering(&http("200 OK", "[")).client().get::<Value>("/v1/ports").unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
}

#[test]
fn without_a_daemon_the_way_out_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let said = |socket: &Path| {
        let error = Client::new(socket).unwrap().get::<Value>(routes::STATUS).unwrap_err();
        assert!(matches!(error, ClientError::NoDaemon(_)), "{error}");
        Failure::from(error).report().unwrap()
    };
    let expected = format!(
        "error: no switch answers at {}: start one with `vswitch up --bridge br0 --detach`\n",
        socket.display()
    );
    assert_eq!(said(&socket), expected);
    // A daemon that was killed leaves its socket behind.
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(said(&socket), expected);
}

#[test]
fn the_daemon_is_known_by_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let pid = Client::new(&socket).unwrap().daemon_pid().unwrap();
    assert_eq!(pid, Some(std::process::id() as i32));
}

#[test]
fn a_socket_path_too_long_is_said_so() {
    let error = Client::new(&Path::new("/").join("a".repeat(200))).unwrap().daemon_pid();
    assert!(matches!(error, Err(ClientError::Connect { .. })), "{error:?}");
}
