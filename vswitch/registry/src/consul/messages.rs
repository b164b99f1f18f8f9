//! Messages of Consul's HTTP API, as far as they are used.

use data_encoding::BASE64;
use serde::{Deserialize, Deserializer, Serialize};

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    BASE64.decode(text.as_bytes()).map_err(serde::de::Error::custom)
}

/// An entry.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Pair {
    pub(crate) key: String,
    #[serde(default, deserialize_with = "bytes")]
    pub(crate) value: Vec<u8>,
    pub(crate) modify_index: u64,
}

/// One operation of a transaction.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Step {
    pub(crate) verb: &'static str,
    pub(crate) key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) struct TxnStep {
    pub(crate) kv: Step,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TxnResponse {
    pub(crate) results: Option<Vec<TxnResult>>,
    pub(crate) errors: Option<Vec<TxnError>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) struct TxnResult {
    pub(crate) kv: Option<Pair>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TxnError {
    pub(crate) op_index: usize,
    pub(crate) what: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Session {
    #[serde(rename = "ID")]
    pub(crate) id: String,
}
