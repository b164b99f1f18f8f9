//! Limits and times of a node's part in an overlay.

use std::time::Duration;

/// Time to live of a node's lease: so long after its death others forget it.
pub const NODE_TTL: Duration = Duration::from_secs(15);

/// After the registry's return, nobody is believed gone for this long: nodes see the return within 4 s, take a new lease
/// and write their endpoints, 64 in a transaction.
pub const GRACE: Duration = Duration::from_secs(30);

/// A deletion is told that much later, so that the deletion of everything is seen as a whole.
pub const REMOVAL_DELAY: Duration = Duration::from_millis(100);

/// How long an attach or detach waits for the registry, before it goes on without.
pub const WRITE_WAIT: Duration = Duration::from_secs(5);

/// Pauses before another try double from the first to the last.
pub const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));

/// Quarantine of a released address: neighbours may still cache the former owner's MAC address.
pub const ADDRESS_REUSE_DELAY: Duration = Duration::from_secs(45);

/// Endpoints of the registry; further ones are left out and named.
pub const ENDPOINTS_MAX: usize = 262_144;

/// Networks, nodes, and blocks of addresses of the registry, each; further ones are left out and named.
pub const ENTRIES_MAX: usize = 65_536;

/// Faults of the registry's entries that are kept with their text.
pub const FAULTS_MAX: usize = 100;

/// Commands in the queue of the task.
pub const COMMANDS_MAX: usize = 256;

/// The least VNI that is chosen: lower numbers look like VLANs.
pub const VNI_FIRST: u32 = 4096;

/// Keys of the next version of the format, which this switch does not know.
pub const LATER_FORMAT: &str = "v2/";

/// How often a transaction that lost a race is tried again.
pub const RACE_TRIES: usize = 16;
