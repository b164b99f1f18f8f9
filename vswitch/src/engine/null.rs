//! Keys that may be null: engines differ.

use serde::{Deserialize, Deserializer};

/// A value, or the default for null.
pub(super) fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
