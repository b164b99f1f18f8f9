//! Engines that hang, lie or flood. Real engines are in the end-to-end tests.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::events::EngineEvent;
use super::limits::{ENGINE_BYTES_MAX, ENGINE_EVENT_BYTES_MAX};
use super::{Container, Engine, EngineError};

/// A program that answers each request with these bytes, then closes the connection.
fn answering(answer: Vec<u8>) -> (TempDir, Engine) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    (dir, Engine::new(&path))
}

fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

async fn asked(answer: Vec<u8>) -> Result<Container, EngineError> {
    let (_dir, engine) = answering(answer);
    engine.container("web").await
}

#[tokio::test]
async fn what_is_no_engine_is_an_error() {
    for answer in [
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        Vec::new(),
        http("200 OK", b"<html>"),
        http("200 OK", b"{}"),
        http("200 OK", b"[]"),
        http("500 Internal Server Error", b"oops"),
        http("404 Not Found", b"404 page not found"),
        http("200 OK", &vec![b' '; ENGINE_BYTES_MAX + 1]),
    ] {
        let error = asked(answer.clone()).await.unwrap_err();
        let start = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        assert!(matches!(error, EngineError::Protocol { .. }), "{start}: {error}");
        assert!(error.to_string().contains("/containers/web/json"), "{error}");
    }
}

#[tokio::test]
async fn refusals_have_the_engines_words() {
    let body = br#"{"message": "Multiple IDs found with provided prefix: 1"}"#;
    let error = asked(http("400 Bad Request", body)).await.unwrap_err();
    assert!(matches!(&error, EngineError::Refused { message, .. } if message.contains("prefix")));
    let body =
        br#"{"cause": "no such container", "message": "no such container", "response": 404}"#;
    for status in ["404 Not Found", "500 Internal Server Error"] {
        let error = asked(http(status, body)).await.unwrap_err();
        assert!(matches!(error, EngineError::NoContainer { .. }), "{status}: {error}");
    }
    let body = br#"{"message": "No such container: web"}"#;
    let error = asked(http("404 Not Found", body)).await.unwrap_err();
    assert!(matches!(error, EngineError::NoContainer { .. }), "{error}");
    // That of a proxy, or of an engine without such a path, is no end of a container.
    for body in [&br#"{"message": "page not found"}"#[..], br#"{"message": "No such image: web"}"#]
    {
        let error = asked(http("404 Not Found", body)).await.unwrap_err();
        assert!(matches!(error, EngineError::NotFound { .. }), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let engine = Engine::new(&path);
    assert!(matches!(engine.running().await, Err(EngineError::Timeout { .. })));
    assert!(matches!(engine.events().await, Err(EngineError::Timeout { .. })));
    let nowhere = Engine::new(&dir.path().join("none")).running().await;
    assert!(matches!(nowhere, Err(EngineError::NoEngine { .. })));
    let relative = Engine::new(&PathBuf::from("sock")).running().await;
    assert!(matches!(relative, Err(EngineError::RelativeSocket(_))));
}

#[tokio::test]
async fn containers_may_lack_keys_and_have_unknown_words() {
    let body = br#"{"Id": "4f1d", "Name": "/web", "State": {"Status": "thawing", "Running": true,
        "Paused": false, "Pid": 42, "StartedAt": null}, "HostConfig": {"NetworkMode": "none", "Dns": null},
        "ResolvConfPath": "/r", "Mounts": [{"Type": "new"}]}"#;
    let container = asked(http("200 OK", body)).await.unwrap();
    assert_eq!((container.name(), container.attachable().ok()), ("web", Some(42)));
    assert_eq!(container.engine_uid, nix::unistd::getuid().as_raw());
    assert_eq!(container.free_resolv_conf(), Some("/r".into()));
    let body = br#"{"Id": "4f1d", "Name": "web", "State": {}}"#;
    let container = asked(http("200 OK", body)).await.unwrap();
    assert!(matches!(container.attachable(), Err(EngineError::NotRunning { .. })));
    assert!(!container.is_same_run(&container), "it does not run");
    assert_eq!(container.free_resolv_conf(), None);
}

#[tokio::test]
async fn a_flood_that_is_no_event_leaves_other_tasks_their_turn() {
    let lines = 100_000;
    let (_dir, engine) = answering(http("200 OK", &b"junk\n".repeat(lines)));
    let mut events = engine.events().await.unwrap();
    let turns = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&turns);
    let other = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    assert!(events.next().await.is_none());
    other.abort();
    let turns = turns.load(Ordering::Relaxed);
    assert!(turns > lines / 1000, "{turns} turns");
}

#[tokio::test]
async fn events_come_in_order_whatever_pieces_they_come_in() {
    let mut body = Vec::new();
    for number in 0..3000 {
        let event =
            format!(r#"{{"Type":"container","Action":"start","Actor":{{"ID":"{number}"}}}}"#);
        body.extend_from_slice(event.as_bytes());
        body.extend_from_slice(if number % 2 == 0 { b"\n" } else { b"\n\r\n" });
    }
    let (_dir, engine) = answering(http("200 OK", &body));
    let mut events = engine.events().await.unwrap();
    for number in 0..3000 {
        assert_eq!(events.next().await.unwrap().into_container(), number.to_string());
    }
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn what_is_no_event_is_left_out() {
    let long = vec![b'x'; 2 * ENGINE_EVENT_BYTES_MAX];
    for nonsense in [b"{}".to_vec(), b"<html>".to_vec(), long.clone()] {
        let body = [&nonsense[..], b"\n{\"Actor\":{\"ID\":\"1\"}}\n", &long].concat();
        let (_dir, engine) = answering(http("200 OK", &body));
        let mut events = engine.events().await.unwrap();
        assert_eq!(events.next().await.map(EngineEvent::into_container).as_deref(), Some("1"));
        assert!(events.next().await.is_none());
    }
    let (_dir, engine) = answering(http("403 Forbidden", br#"{"message": "no"}"#));
    assert!(matches!(engine.events().await, Err(EngineError::Refused { .. })));
}
