//! Keys that every registry takes.

use crate::RegistryError;
use crate::limits::{KEY_BYTES_MAX, OPERATIONS_MAX, VALUE_BYTES_MAX};
use crate::types::Operation;

/// Checks a key: segments of letters, digits and `-._:`, between single slashes, none of them `.` or `..`.
pub(crate) fn check_key(key: &str) -> Result<(), RegistryError> {
    let bad = |problem: &str| Err(RegistryError::BadRequest(format!("key {key:?}: {problem}")));
    if key.len() > KEY_BYTES_MAX {
        return bad(&format!("longer than {KEY_BYTES_MAX} bytes"));
    }
    for segment in key.split('/') {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        match segment {
            "" => return bad("a part of it is empty"),
            "." | ".." => return bad("a part of it is . or .."),
            _ if segment.chars().all(is_plain) => {}
            _ => return bad("only letters, digits and - . _ : / are allowed"),
        }
    }
    Ok(())
}

/// Checks a prefix: empty, or a key with a slash.
pub(crate) fn check_prefix(prefix: &str) -> Result<(), RegistryError> {
    match prefix.strip_suffix('/') {
        Some(key) => check_key(key),
        None if prefix.is_empty() => Ok(()),
        None => Err(RegistryError::BadRequest(format!("prefix {prefix:?} does not end with /"))),
    }
}

/// Checks a transaction before it is sent.
pub(crate) fn check_operations(operations: &[Operation], max: usize) -> Result<(), RegistryError> {
    let bad = |problem: String| Err(RegistryError::BadRequest(problem));
    debug_assert!(max <= OPERATIONS_MAX);
    if operations.is_empty() || operations.len() > max {
        return bad(format!("{} operations in a transaction of 1 to {max}", operations.len()));
    }
    let mut keys: Vec<_> = operations.iter().map(Operation::key).collect();
    keys.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        return bad(format!("key {} twice in a transaction", pair[0]));
    }
    for operation in operations {
        check_key(operation.key())?;
        match operation.value().map(<[u8]>::len) {
            Some(0) => return bad(format!("the value of {} is empty", operation.key())),
            Some(bytes) if bytes > VALUE_BYTES_MAX => {
                return bad(format!(
                    "the value of {} has {bytes} bytes, more than {VALUE_BYTES_MAX}",
                    operation.key()
                ));
            }
            _ => {}
        }
    }
    let mut leases = operations.iter().filter_map(Operation::lease);
    let first = leases.next();
    match leases.find(|lease| Some(*lease) != first) {
        Some(lease) => bad(format!("a second lease ({lease}) in a transaction")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
