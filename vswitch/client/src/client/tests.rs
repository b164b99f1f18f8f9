use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use vswitch_api::error::{ApiError, ErrorCode};

use super::*;

/// Runs a request to its end.
fn wait<T>(request: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(request)
}

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
        Client::new(self.directory.path().join("s"))
    }

    fn asked(self) -> String {
        self.thread.join().unwrap()
    }
}

/// True once the head and the body of the announced length have arrived.
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
    let mock = Mock::answering(&http("200 OK", "[]"));
    assert_eq!(wait(mock.client().ports()).unwrap(), []);
    let asked = mock.asked();
    assert!(asked.starts_with("GET /v1/ports HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("host: localhost\r\n"), "{asked}");
}

#[test]
fn delete_sends_json() {
    let mock = Mock::answering(&http("200 OK", "{\"connections\": 7}"));
    let filter = ConnectionFilter { container: Some("a".to_owned()), ..Default::default() };
    assert_eq!(wait(mock.client().flush_connections(&filter)).unwrap().connections, 7);
    let asked = mock.asked();
    assert!(asked.starts_with("DELETE /v1/conntrack HTTP/1.1\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\n{\"container\":\"a\"}"), "{asked}");
}

#[test]
fn an_answer_without_body_is_fine() {
    let mock = Mock::answering("HTTP/1.1 204 No Content\r\n\r\n");
    wait(mock.client().detach("a")).unwrap();
    assert!(mock.asked().starts_with("DELETE /v1/ports/a HTTP/1.1\r\n"));
}

#[test]
fn names_are_percent_encoded() {
    assert_eq!(route(routes::PORT, "web-1"), "/v1/ports/web-1");
    assert_eq!(route(routes::PORT, "a/b c%?ä"), "/v1/ports/a%2Fb%20c%25%3F%C3%A4");
    let address: IpAddr = "fd00::2".parse().unwrap();
    let path = route(&route(routes::ADDRESS, "br0"), address);
    assert_eq!(path, "/v1/networks/br0/addresses/fd00%3A%3A2");
}

#[test]
fn errors_of_the_api_keep_their_hint() {
    let error = ApiError::new(ErrorCode::NotFound, "no port `a`").with_hint("see `vswitch ls`");
    let mock = Mock::answering(&http("404 Not Found", &serde_json::to_string(&error).unwrap()));
    let failure = wait(mock.client().port("a")).unwrap_err();
    assert_eq!(
        (failure.to_string(), failure.hint()),
        ("no port `a`".to_owned(), Some("see `vswitch ls`"))
    );
}

#[test]
fn other_errors_name_the_request() {
    let mock = Mock::answering(&http("404 Not Found", ""));
    let error = wait(mock.client().stats()).unwrap_err().to_string();
    assert!(error.contains("GET /v1/stats"), "{error}");
    assert!(error.contains("404"), "{error}");
    let cut = http("200 OK", "[");
    for broken in ["", "no HTTP at all", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1", &cut] {
        let error = wait(Mock::answering(broken).client().ports()).unwrap_err();
        assert!(matches!(error, ClientError::Protocol { .. }), "{broken:?}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("same version")));
    }
}

#[test]
fn without_a_daemon_the_error_says_how_to_start_one() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let said = || {
        let error = wait(Client::new(&socket).status()).unwrap_err();
        assert!(matches!(error, ClientError::NoDaemon(_)), "{error}");
        error.to_string()
    };
    let expected = format!(
        "no switch answers at {}: start one with `vswitch up --bridge br0 --detach`",
        socket.display()
    );
    assert_eq!(said(), expected);
    // A daemon that was killed leaves its socket behind.
    drop(UnixListener::bind(&socket).unwrap());
    assert_eq!(said(), expected);
}

#[test]
fn the_daemon_is_known_by_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let _listener = UnixListener::bind(&socket).unwrap();
    let pid = wait(Client::new(&socket).daemon_pid()).unwrap();
    assert_eq!(pid, Some(std::process::id() as i32));
}

#[test]
fn a_socket_path_too_long_is_said_so() {
    let error = wait(Client::new(format!("/{}", "a".repeat(200))).daemon_pid());
    assert!(matches!(error, Err(ClientError::Connect { .. })), "{error:?}");
}
