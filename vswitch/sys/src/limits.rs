//! Limits of what goes into one expression or set key, fixed by the kernel.

/// Bytes of a value or key: `NFT_DATA_VALUE_MAXLEN`.
pub const DATA_LEN_MAX: usize = 64;

/// Parts of a concatenated key: `NFT_REG32_COUNT`, the registers there are.
pub const KEY_FIELDS_MAX: usize = 16;
