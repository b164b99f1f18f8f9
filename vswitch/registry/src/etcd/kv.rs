//! Transactions and listings.

use serde_json::{Value, json};

use super::client::{Client, Kind};
use super::messages::{KeyValue, RangeResponse, TxnResponse, encoded};
use crate::RegistryError;
use crate::key::{check_key, check_operations, check_prefix};
use crate::limits::{LIST_TIMEOUT, OPERATIONS_MAX, PAGE_ENTRIES, REQUEST_TIMEOUT};
use crate::types::{Entry, LeaseId, Listing, Operation, Revision, Status};
use crate::watch::Follower;

const RANGE: &str = "/v3/kv/range";

pub(crate) async fn transact(
    client: &Client,
    operations: &[Operation],
) -> Result<Revision, RegistryError> {
    check_operations(operations, OPERATIONS_MAX)?;
    let compare: Vec<_> = operations.iter().map(|operation| compare(client, operation)).collect();
    let success: Vec<_> = operations.iter().filter_map(|o| change(client, o)).collect();
    // Tells which condition failed.
    let failure = operations.iter().map(|operation| {
        json!({ "request_range": { "key": client.full_key(operation.key()), "keys_only": true } })
    });
    let failure: Vec<_> = failure.collect();
    let body = json!({ "compare": compare, "success": success, "failure": failure });
    let answer = client.call(Kind::Change, "/v3/kv/txn", &body, REQUEST_TIMEOUT).await;
    let answer: TxnResponse = answer.map_err(|error| lease_error(error, operations))?;
    if answer.succeeded {
        return Ok(Revision(answer.header.revision));
    }
    let states = answer.responses.into_iter().map(|part| {
        let kvs = part.response_range.unwrap_or_default().kvs;
        kvs.first().map(|kv| Revision(kv.mod_revision))
    });
    let failed = operations.iter().zip(states).find(|(o, state)| o.condition() != *state);
    let failed = failed.map_or(&operations[0], |(operation, _)| operation);
    Err(RegistryError::Conflict { key: failed.key().to_owned() })
}

fn compare(client: &Client, operation: &Operation) -> Value {
    // An absent key has revision 0.
    let revision = operation.condition().unwrap_or_default().0;
    json!({
        "key": client.full_key(operation.key()),
        "target": "MOD",
        "result": "EQUAL",
        "mod_revision": revision.to_string(),
    })
}

fn change(client: &Client, operation: &Operation) -> Option<Value> {
    let key = client.full_key(operation.key());
    match operation {
        Operation::Create { value, lease, .. } | Operation::Swap { value, lease, .. } => {
            let lease = lease.as_ref().map_or("0", |LeaseId(id)| id);
            Some(json!({ "request_put": { "key": key, "value": encoded(value), "lease": lease } }))
        }
        Operation::Delete { .. } => Some(json!({ "request_delete_range": { "key": key } })),
        Operation::Check { .. } => None,
    }
}

fn lease_error(error: RegistryError, operations: &[Operation]) -> RegistryError {
    let lease = operations.iter().find_map(Operation::lease);
    match (&error, lease) {
        (RegistryError::Protocol { problem, .. }, Some(lease))
            if problem.contains("lease not found") =>
        {
            RegistryError::LeaseEnded { lease: lease.to_string() }
        }
        _ => error,
    }
}

pub(crate) async fn get(client: &Client, key: &str) -> Result<Option<Entry>, RegistryError> {
    check_key(key)?;
    let body = json!({ "key": client.full_key(key) });
    let answer: RangeResponse = client.call(Kind::Read, RANGE, &body, REQUEST_TIMEOUT).await?;
    Ok(answer.kvs.into_iter().find_map(|kv| entry(client, kv)))
}

/// All pages of a listing, all of the first page's revision.
pub(crate) async fn list(client: &Client, prefix: &str) -> Result<Listing, RegistryError> {
    check_prefix(prefix)?;
    let (mut first, end) = client.range(prefix);
    let (mut entries, mut revision) = (Vec::new(), 0);
    loop {
        let body = json!({
            "key": first,
            "range_end": end,
            "limit": PAGE_ENTRIES.to_string(),
            "revision": revision.to_string(),
        });
        let page: RangeResponse = client.call(Kind::Read, RANGE, &body, LIST_TIMEOUT).await?;
        if revision == 0 {
            revision = page.header.revision;
        }
        if let Some(last) = page.kvs.last() {
            let next: Vec<u8> = last.key.iter().copied().chain([0]).collect();
            first = encoded(&next);
        }
        let is_last = !page.more || page.kvs.is_empty();
        entries.extend(page.kvs.into_iter().filter_map(|kv| entry(client, kv)));
        if is_last {
            let (prefix, revision) = (prefix.to_owned(), Revision(revision));
            return Ok(Listing { prefix, entries, revision });
        }
    }
}

/// An entry with a key that is text.
pub(crate) fn entry(client: &Client, kv: KeyValue) -> Option<Entry> {
    let revision = Revision(kv.mod_revision);
    client.short_key(kv.key).map(|key| Entry { key, value: kv.value, revision })
}

/// Whether the store still has the state that the watcher knows: at its revision so many entries of the prefix, the
/// newest of them unchanged. A store that lost its data may have come as far again.
pub(crate) async fn has_history(
    client: &Client,
    follower: &Follower,
) -> Result<bool, RegistryError> {
    let newest = follower.newest();
    let revision = follower.revision().0.to_string();
    let (first, end) = client.range(follower.prefix());
    let count = json!({ "key": first, "range_end": end, "revision": revision, "count_only": true });
    let key = client.full_key(newest.map_or("", |(key, _)| key));
    let newest_entry = json!({ "key": key, "revision": revision, "keys_only": true });
    for body in [count, newest_entry] {
        let answer = client.call::<RangeResponse>(Kind::Read, RANGE, &body, LIST_TIMEOUT).await;
        let is_known = match answer {
            Ok(answer) if body.get("count_only").is_some() => answer.count == follower.count(),
            Ok(answer) => {
                let stored = answer.kvs.first().map(|kv| Revision(kv.mod_revision));
                stored == newest.map(|(_, revision)| revision)
            }
            // "required revision has been compacted", "required revision is a future revision"
            Err(RegistryError::Protocol { problem, .. })
                if problem.contains("required revision") =>
            {
                false
            }
            Err(error) => return Err(error),
        };
        if !is_known {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) async fn status(client: &Client) -> Result<Status, RegistryError> {
    let (key, end) = client.range("");
    let body = json!({ "key": key, "range_end": end, "limit": "1", "keys_only": true });
    let answer: RangeResponse = client.call(Kind::Read, RANGE, &body, REQUEST_TIMEOUT).await?;
    Ok(Status { endpoint: client.http.endpoint(), revision: Revision(answer.header.revision) })
}
