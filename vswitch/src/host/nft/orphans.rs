//! Tables of killed switches, on kernels with `persist` or without owners.
//!
//! A table with our prefix is an orphan when no process owns it and its bridge does not exist: a running
//! switch has both, or with an old kernel at least the bridge.

use std::fmt;

use super::hooks::has_device;
use super::kernel::{Listed, NftError, PREFIX, Tables};

/// A table without its switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// Family, as in `nft`.
    family: &'static str,
    bridge: String,
}

impl Orphan {
    /// Bridge of the killed switch.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge
    }
}

/// Arguments for `nft delete table`.
impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {PREFIX}{}", self.family, self.bridge)
    }
}

/// Lists orphans in the network namespace of the calling thread.
///
/// # Errors
/// One line: nftables is missing or does not answer.
pub fn orphans() -> Result<Vec<Orphan>, String> {
    list().map_err(|error| error.to_string())
}

pub(super) fn list() -> Result<Vec<Orphan>, NftError> {
    let tables = Tables::open("")?.list(PREFIX)?;
    Ok(tables.into_iter().filter_map(orphan).collect())
}

/// Tables of these bridges, and whether a process owns them.
pub(super) fn of_bridges(bridges: &[String]) -> Result<Vec<(Orphan, bool)>, NftError> {
    let tables = Tables::open("")?.list(PREFIX)?.into_iter();
    let named = tables.filter_map(|table| Some((named(&table)?, table.is_owned)));
    Ok(named.filter(|(table, _)| bridges.contains(&table.bridge)).collect())
}

fn orphan(table: Listed) -> Option<Orphan> {
    named(&table).filter(|it| !table.is_owned && !has_device(&it.bridge))
}

fn named(table: &Listed) -> Option<Orphan> {
    let bridge = table.name.strip_prefix(PREFIX)?;
    let family = match i32::from(table.family) {
        libc::NFPROTO_NETDEV => "netdev",
        libc::NFPROTO_IPV4 => "ip",
        libc::NFPROTO_IPV6 => "ip6",
        _ => return None,
    };
    Some(Orphan { family, bridge: bridge.to_owned() })
}
