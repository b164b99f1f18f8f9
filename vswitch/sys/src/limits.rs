//! Limits of what goes into one expression or set key, fixed by the kernel.

/// Bytes of a value or key: `NFT_DATA_VALUE_MAXLEN`.
pub const DATA_LEN_MAX: usize = 64;

/// Parts of a concatenated key: `NFT_REG32_COUNT`, the registers there are.
pub const KEY_FIELDS_MAX: usize = 16;

/// Devices of one chain: half of those that the kernel admits (`NFT_NETDEVICE_MAX`), so that a message has room.
pub const CHAIN_DEVICES_MAX: usize = 128;
