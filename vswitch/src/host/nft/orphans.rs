//! Tables that a switch left when it was killed, where the kernel keeps them (`persist`) or has no owners at all.
//!
//! A table of our name is an orphan when no process owns it and the bridge that it is named after is gone: a
//! switch that lives has both, or with an old kernel at least the bridge.

use std::fmt;
use std::path::Path;

use super::kernel::{Listed, NftError, PREFIX, Tables};

/// A table without its switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// As `nft` calls it.
    family: &'static str,
    bridge: String,
}

impl Orphan {
    /// The bridge of the switch that it was of.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge
    }
}

/// As `nft delete table` takes it.
impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {PREFIX}{}", self.family, self.bridge)
    }
}

/// All of them in the network namespace of the calling thread.
///
/// # Errors
/// One line: there is no nftables, or it does not answer.
pub fn orphans() -> Result<Vec<Orphan>, String> {
    list().map_err(|error| error.to_string())
}

pub(super) fn list() -> Result<Vec<Orphan>, NftError> {
    let tables = Tables::open("")?.list(PREFIX)?;
    Ok(tables.into_iter().filter_map(orphan).collect())
}

fn orphan(table: Listed) -> Option<Orphan> {
    let bridge = table.name.strip_prefix(PREFIX)?;
    let family = match i32::from(table.family) {
        libc::NFPROTO_NETDEV => "netdev",
        libc::NFPROTO_IPV4 => "ip",
        libc::NFPROTO_IPV6 => "ip6",
        _ => return None,
    };
    let is_orphan = !table.is_owned && !has_device(bridge);
    is_orphan.then(|| Orphan { family, bridge: bridge.to_owned() })
}

/// Whether there is a device of that name. `/proc/sys/net` shows the namespace of the thread.
pub(crate) fn has_device(name: &str) -> bool {
    // A name with a slash, or none, is no device's.
    let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    is_name && Path::new("/proc/sys/net/ipv4/conf").join(name).is_dir()
}
