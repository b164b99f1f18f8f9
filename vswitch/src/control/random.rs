//! Random numbers from the kernel.

use super::error::ControlError;

/// 64 random bits of getrandom(2).
pub(super) fn random() -> Result<u64, ControlError> {
    getrandom::u64().map_err(|error| ControlError::Random(error.to_string()))
}
