//! Messages of etcd's JSON gateway, as far as they are used. Fields with their default value are left out by the server.

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer};

fn number<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: std::str::FromStr,
    D: Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom(format!("{text:?} is no number")))
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

/// Bytes as the gateway writes them.
pub(crate) fn encoded(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Header {
    #[serde(default, deserialize_with = "number")]
    pub(crate) revision: u64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct KeyValue {
    #[serde(deserialize_with = "bytes")]
    pub(crate) key: Vec<u8>,
    #[serde(default, deserialize_with = "bytes")]
    pub(crate) value: Vec<u8>,
    #[serde(default, deserialize_with = "number")]
    pub(crate) mod_revision: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct RangeResponse {
    #[serde(default)]
    pub(crate) header: Header,
    #[serde(default)]
    pub(crate) kvs: Vec<KeyValue>,
    #[serde(default)]
    pub(crate) more: bool,
    #[serde(default, deserialize_with = "number")]
    pub(crate) count: usize,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct TxnResponse {
    #[serde(default)]
    pub(crate) header: Header,
    #[serde(default)]
    pub(crate) succeeded: bool,
    #[serde(default)]
    pub(crate) responses: Vec<TxnPart>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct TxnPart {
    #[serde(default)]
    pub(crate) response_range: Option<RangeResponse>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) token: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GrantResponse {
    #[serde(rename = "ID")]
    pub(crate) id: String,
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub(crate) ttl: u64,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct KeepAliveResponse {
    /// Absent: the lease has ended.
    #[serde(rename = "TTL", default, deserialize_with = "number")]
    pub(crate) ttl: u64,
}

/// One line of a stream.
#[derive(Debug, Deserialize)]
pub(crate) struct Line<T> {
    pub(crate) result: Option<T>,
    pub(crate) error: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct WatchResponse {
    #[serde(default)]
    pub(crate) header: Header,
    #[serde(default)]
    pub(crate) created: bool,
    #[serde(default)]
    pub(crate) canceled: bool,
    #[serde(default, deserialize_with = "number")]
    pub(crate) compact_revision: u64,
    #[serde(default)]
    pub(crate) cancel_reason: String,
    #[serde(default)]
    pub(crate) events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(default)]
    pub(crate) r#type: EventType,
    pub(crate) kv: KeyValue,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum EventType {
    #[default]
    Put,
    Delete,
}

/// Body of an HTTP error.
#[derive(Debug, Deserialize)]
pub(crate) struct Failure {
    /// The gateway says the same in `error`.
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) code: u32,
}

#[cfg(test)]
mod tests {
    use super::{EventType, Failure, Line, WatchResponse};

    /// As etcd 3.4.23 sent them.
    #[test]
    fn answers_of_a_server() {
        let text = r#"{"error":"etcdserver: requested lease not found","message":"etcdserver: requested lease not found","code":5}"#;
        let Failure { message, code } = serde_json::from_str(text).expect("a failure");
        assert_eq!((message.as_str(), code), ("etcdserver: requested lease not found", 5));
        let text = r#"{"result":{"header":{"cluster_id":"1","member_id":"2","revision":"7","raft_term":"2"},"events":[{"kv":{"key":"YQ==","create_revision":"7","mod_revision":"7","version":"1","value":"Yg=="}},{"type":"DELETE","kv":{"key":"Yw==","mod_revision":"7"}}]}}"#;
        let line: Line<WatchResponse> = serde_json::from_str(text).expect("a line");
        let response = line.result.expect("a result");
        assert_eq!(response.header.revision, 7);
        let [put, delete] = &response.events[..] else { panic!("{response:?}") };
        assert_eq!(
            (&put.r#type, &put.kv.key[..], &put.kv.value[..]),
            (&EventType::Put, &b"a"[..], &b"b"[..])
        );
        assert_eq!((&delete.r#type, &delete.kv.key[..]), (&EventType::Delete, &b"c"[..]));
        let text = r#"{"result":{"header":{},"canceled":true,"compact_revision":"9"}}"#;
        let line: Line<WatchResponse> = serde_json::from_str(text).expect("a line");
        assert!(line.result.is_some_and(|r| r.canceled && r.compact_revision == 9));
    }
}
