//! Requests and answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Shared, TICK};

/// Most operations of a transaction.
const OPERATIONS_MAX: usize = 64;

/// Least time to live of a session.
const TTL_MIN: Duration = Duration::from_secs(10);

/// Longest body that a client sends.
const BODY_MAX: u64 = 1 << 20;

struct Request {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    token: Option<String>,
    body: Vec<u8>,
}

struct Answer {
    status: u16,
    body: String,
    index: Option<u64>,
}

impl Answer {
    fn new(status: u16, body: impl ToString) -> Self {
        Self { status, body: body.to_string(), index: None }
    }
}

/// Serves a connection until one side closes it.
pub(crate) fn serve(mut connection: TcpStream, shared: &Shared) {
    let Ok(copy) = connection.try_clone() else { return };
    let mut reader = BufReader::new(copy);
    while let Some(request) = read(&mut reader) {
        wait_while_frozen(shared);
        let answer = answer(&request, shared);
        wait_while_frozen(shared);
        let index = answer.index.map(|n| format!("X-Consul-Index: {n}\r\n")).unwrap_or_default();
        let text = format!(
            "HTTP/1.1 {} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{index}\r\n{}",
            answer.status,
            answer.body.len(),
            answer.body
        );
        if shared.is_stopped() || connection.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn wait_while_frozen(shared: &Shared) {
    while shared.is_frozen.load(Ordering::SeqCst) && !shared.is_stopped() {
        std::thread::sleep(TICK);
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut token) = (0, None);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-consul-token" => token = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = Vec::new();
    reader.take(length.min(BODY_MAX)).read_to_end(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').map(|part| part.split_once('=').unwrap_or((part, "")));
    let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Some(Request { method, path: path.to_owned(), query, token, body })
}

fn answer(request: &Request, shared: &Shared) -> Answer {
    if shared.token.is_some() && shared.token != request.token {
        return Answer::new(403, "ACL not found");
    }
    let path = request.path.strip_prefix("/v1/").unwrap_or_default();
    let now = Instant::now();
    match (request.method.as_str(), path.split_once('/').unwrap_or((path, ""))) {
        ("GET", ("kv", key)) => get(request, key, shared),
        ("PUT", ("txn", "")) => transact(request, shared),
        ("PUT", ("session", "create")) => {
            let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
            let ttl = body["TTL"].as_str().and_then(|ttl| ttl.strip_suffix('s')?.parse().ok());
            let ttl = Duration::from_secs(ttl.unwrap_or(0));
            if ttl < TTL_MIN || body["Behavior"] != "delete" || body["LockDelay"] != "0s" {
                return Answer::new(400, format!("the double takes no such session: {body}"));
            }
            let id = shared.store().create_session(ttl, now);
            Answer::new(200, json!({ "ID": id }))
        }
        ("PUT", ("session", rest)) => match rest.split_once('/') {
            Some(("renew", id)) if shared.store().renew_session(id, now) => {
                Answer::new(200, json!([{ "ID": id }]))
            }
            Some(("renew", id)) => Answer::new(404, format!("Session id '{id}' not found")),
            Some(("destroy", id)) => {
                shared.store().destroy_session(id);
                shared.changed.notify_all();
                Answer::new(200, "true")
            }
            _ => Answer::new(404, "no such path"),
        },
        _ => Answer::new(404, "no such path"),
    }
}

fn get(request: &Request, key: &str, shared: &Shared) -> Answer {
    let option =
        |name: &str| request.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let known = option("index").map(|index| index.parse().unwrap_or(0));
    if known.is_some_and(|index: u64| index < 1) {
        return Answer::new(400, "the double takes no index below 1");
    }
    let wait = option("wait").and_then(|wait| wait.strip_suffix('s')?.parse().ok()).unwrap_or(0);
    let until = Instant::now() + Duration::from_secs(wait);
    let mut store = shared.store();
    // Like the real one, it also waits when its index went backwards.
    while known.is_some_and(|known| store.prefix_index(key) <= known) && !shared.is_stopped() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        store = shared.changed.wait_timeout(store, left).expect("store").0;
    }
    let entries = store.list(key, option("recurse").is_some());
    let status = if entries.is_empty() { 404 } else { 200 };
    let body = if entries.is_empty() { String::new() } else { json!(entries).to_string() };
    Answer { status, body, index: Some(store.prefix_index(key)) }
}

fn transact(request: &Request, shared: &Shared) -> Answer {
    let operations: Vec<Value> = serde_json::from_slice(&request.body).unwrap_or_default();
    if operations.is_empty() || operations.len() > OPERATIONS_MAX {
        return Answer::new(413, format!("{} operations", operations.len()));
    }
    let result = shared.store().transact(&operations);
    shared.changed.notify_all();
    match result {
        Ok(results) => Answer::new(200, json!({ "Results": results, "Errors": null })),
        Err((index, what)) => {
            let error = json!({ "OpIndex": index, "What": what });
            Answer::new(409, json!({ "Results": null, "Errors": [error] }))
        }
    }
}
