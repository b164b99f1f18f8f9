//! Limits of what is done to the host.

use std::time::Duration;

/// Time between two looks at whether our nftables tables are still there.
pub(crate) const TABLES_CHECK_EVERY: Duration = Duration::from_secs(2);

/// How long nftables may take to answer.
pub(crate) const NFT_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Receive buffer of the nftables socket: room for the acknowledgement of each message of a batch.
pub(crate) const NFT_BUFFER: usize = 8 << 20;

/// Ports of a published range whose numbers differ in the container that nftables translate one by one.
pub(crate) const SHIFTED_PORTS_MAX: u16 = 256;
