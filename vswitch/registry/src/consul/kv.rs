//! Transactions and listings.

use data_encoding::BASE64;
use hyper::StatusCode;

use super::client::{Client, index};
use super::messages::{Pair, Step, TxnResponse, TxnResult, TxnStep};
use crate::RegistryError;
use crate::http::Answer;
use crate::key::{check_key, check_operations, check_prefix};
use crate::limits::{LIST_TIMEOUT, REQUEST_TIMEOUT};
use crate::types::{Entry, LeaseId, Listing, Operation, Revision, Status};

/// An operation takes two of Consul's at most, and it takes 64 in a transaction.
pub(crate) const OPERATIONS_MAX: usize = crate::limits::OPERATIONS_MAX / 2;

pub(crate) async fn transact(
    client: &Client,
    operations: &[Operation],
) -> Result<Revision, RegistryError> {
    check_operations(operations, OPERATIONS_MAX)?;
    // Steps, each with its operation.
    let (mut steps, mut owners) = (Vec::new(), Vec::new());
    for operation in operations {
        for kv in steps_of(client, operation) {
            steps.push(TxnStep { kv });
            owners.push(operation);
        }
    }
    let body = serde_json::to_vec(&steps).map_err(|error| client.http.protocol(error))?;
    let answer = client.put("/v1/txn".to_owned(), body.into(), REQUEST_TIMEOUT).await;
    let answer = answer.map_err(|error| lease_error(error, operations))?;
    let response: TxnResponse =
        serde_json::from_slice(&answer.body).map_err(|error| client.http.protocol(error))?;
    if answer.status.is_success() {
        let results = response.results.unwrap_or_default();
        let indexes =
            results.iter().filter_map(|TxnResult { kv }| kv.as_ref()?.modify_index.into());
        return Ok(Revision(indexes.max().unwrap_or(0)));
    }
    let errors = response.errors.unwrap_or_default();
    let error = errors.first().ok_or_else(|| client.http.protocol("a refusal without reason"))?;
    if error.what.contains("invalid session") {
        return Err(lease_error(client.http.protocol(&error.what), operations));
    }
    let owner = owners.get(error.op_index).unwrap_or(&owners[0]);
    Err(RegistryError::Conflict { key: owner.key().to_owned() })
}

fn steps_of(client: &Client, operation: &Operation) -> Vec<Step> {
    let step = |verb, index| Step {
        verb,
        key: client.full_key(operation.key()),
        value: None,
        index,
        session: None,
    };
    let value = operation.value().map(|value| BASE64.encode(value));
    let write = |lease: &Option<LeaseId>| match lease {
        Some(LeaseId(id)) => {
            Step { value: value.clone(), session: Some(id.clone()), ..step("lock", None) }
        }
        None => Step { value: value.clone(), ..step("set", None) },
    };
    match operation {
        // A `cas` with index 0 creates; a `lock` alone would take an entry that the session has already.
        Operation::Create { lease, .. } => {
            let create = Step { value: value.clone(), ..step("cas", Some(0)) };
            let lock = lease.is_some().then(|| write(lease));
            [create].into_iter().chain(lock).collect()
        }
        // A `cas` would keep the session that the entry has.
        Operation::Swap { revision, lease, .. } => {
            vec![step("delete-cas", Some(revision.0)), write(lease)]
        }
        Operation::Delete { revision, .. } => vec![step("delete-cas", Some(revision.0))],
        Operation::Check { revision: Some(revision), .. } => {
            vec![step("check-index", Some(revision.0))]
        }
        Operation::Check { revision: None, .. } => vec![step("check-not-exists", None)],
    }
}

fn lease_error(error: RegistryError, operations: &[Operation]) -> RegistryError {
    let lease = operations.iter().find_map(Operation::lease);
    match (&error, lease) {
        (RegistryError::Protocol { problem, .. }, Some(lease))
            if problem.contains("invalid session") =>
        {
            RegistryError::LeaseEnded { lease: lease.to_string() }
        }
        _ => error,
    }
}

pub(crate) async fn get(client: &Client, key: &str) -> Result<Option<Entry>, RegistryError> {
    check_key(key)?;
    let path = format!("/v1/kv/{}?consistent", client.full_key(key));
    let answer = client.get(path, REQUEST_TIMEOUT).await?;
    Ok(entries(client, &answer)?.pop())
}

pub(crate) async fn list(client: &Client, prefix: &str) -> Result<Listing, RegistryError> {
    check_prefix(prefix)?;
    let path = format!("/v1/kv/{}?recurse&consistent", client.full_key(prefix));
    let answer = client.get(path, LIST_TIMEOUT).await?;
    listing(client, prefix, &answer)
}

/// The listing that an answer is; 404 is an empty one.
pub(crate) fn listing(
    client: &Client,
    prefix: &str,
    answer: &Answer,
) -> Result<Listing, RegistryError> {
    let mut entries = entries(client, answer)?;
    entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(Listing { prefix: prefix.to_owned(), entries, revision: Revision(index(answer)) })
}

fn entries(client: &Client, answer: &Answer) -> Result<Vec<Entry>, RegistryError> {
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(Vec::new());
    }
    let pairs: Vec<Pair> =
        serde_json::from_slice(&answer.body).map_err(|error| client.http.protocol(error))?;
    let entry = |pair: Pair| {
        let key = client.short_key(&pair.key)?.to_owned();
        Some(Entry { key, value: pair.value, revision: Revision(pair.modify_index) })
    };
    Ok(pairs.into_iter().filter_map(entry).collect())
}

pub(crate) async fn status(client: &Client) -> Result<Status, RegistryError> {
    // An entry that is never there: the answer is short, and tells the index.
    let path = format!("/v1/kv/{}?consistent", client.full_key("status"));
    let answer = client.get(path, REQUEST_TIMEOUT).await?;
    Ok(Status { revision: Revision(index(&answer)), endpoint: answer.endpoint })
}
