//! The nftables tables of a switch: rules, loading, and repair.
//!
//! All tables are named `vswitch-BRIDGE`, so that two switches can share a host; no other table changes.
//! [`Rules`] describes them. [`Firewall::load`] changes what differs in one atomic batch ([`change`]): elements of sets, or
//! the rules of a table, so no frame meets half of them, and a publication costs the same however many there are. The
//! first load replaces whole tables, as does one after another program has changed them. Blocks of SNAT ports are elements,
//! too ([`Firewall::change_blocks`]). The `netdev` table redirects frames and translates none.
//!
//! | table | chain | task |
//! |---|---|---|
//! | `netdev` | `uplink`, ingress of all NICs | redirects frames of the switch to the NIC's TAP, see [`netdev`] |
//! | | `switch-TAP`, ingress of each TAP | redirects frames to the NIC |
//! | | `bridge-DEVICE`, ingress of each host port | drops frames of containers from or to 127.0.0.0/8 |
//! | `ip`, `ip6` | `output`, `postrouting` | DNAT of the host's own connections to published ports, see [`nat`] |
//! | | `timeouts` | half-closed connections of the host live longer, see [`half_closed`] |
//! | | `prerouting` | the same for devices that are no uplinks, where the kernel forwards, or with `--uplink kernel` |
//! | | | leads to the sockets of a proxy for these devices, where it does not ([`relayed`](super::proxy::relayed)) |
//! | | `forward` | with `--uplink kernel` only |
//! | `ip6`, another one | `postrouting` | hands SYNs to sockets of the proxy of ::1 to it, see [`syn_table`] |
//!
//! # Ownership
//!
//! The tables belong to a netlink socket (flag `owner`, Linux 5.12), so `nft flush ruleset` of another program
//! spares them. With `persist` (Linux 6.9) they survive a crash and drop frames of stale connections until the
//! next `up` adopts them: the host sends no resets meanwhile. Dropping a [`Firewall`] deletes the tables;
//! [`Firewall::into_parts`] gives them up with their socket. [`remove_orphans`] deletes those of a crash.
//!
//! States: *loaded* -> (generation number of all rules, every [`TABLES_CHECK_INTERVAL`]) -> *unchanged* |
//! *changed* -> (count of our rules) -> *complete* | *lost* -> loaded again, with a line in the log. Devices that a
//! chain has lost make no new generation: they are looked at each time ([`hooks`]). Elements of sets are not counted:
//! nobody else changes the tables of an owner.
//!
//! Only the uplink calls. Loading waits for the kernel (milliseconds), so it runs on a blocking thread.

mod build;
mod change;
mod dnat_maps;
mod exchange;
mod forwards;
mod half_closed;
mod hooks;
mod ingress_sets;
mod kernel;
mod nat;
mod netdev;
mod orphans;
mod probe;
mod rules;
mod syn_table;
#[cfg(test)]
mod tests;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

pub(super) use forwards::protocol_number;
pub(crate) use forwards::{Differing, Forward, Forwards, Protocol, Published};
pub(crate) use hooks::has_device;
use kernel::Tables;
pub(crate) use kernel::{NftError, TablesParts};
pub use orphans::{Orphan, orphans};
pub use probe::probe;
pub(crate) use rules::{AllowedForward, IngressRedirect, Nat, PortBlock, RedirectLink, Rules};
pub(crate) use syn_table::{BoundTo, SynTable};

use super::limits::TABLES_CHECK_INTERVAL;
use super::task::Task;

/// The tables of a switch, and the task that puts them back when somebody deletes them.
#[derive(Debug)]
pub(crate) struct Firewall {
    /// `None` once they are given up.
    tables: Arc<Mutex<Option<Tables>>>,
    _watch: Task,
}

impl Firewall {
    /// Loads the tables for the first time, in place of those of a crash.
    ///
    /// # Errors
    /// The kernel refuses: nothing is changed then.
    pub(crate) async fn start(rules: Rules) -> Result<Self, NftError> {
        let tables = blocking(move || {
            let mut tables = Tables::open(&rules.bridge)?;
            tables.load(rules)?;
            Ok(tables)
        });
        Ok(Self::with(tables.await?))
    }

    fn with(tables: Tables) -> Self {
        let tables = Arc::new(Mutex::new(Some(tables)));
        let _watch = Task::spawn(watch(Arc::clone(&tables)));
        Self { tables, _watch }
    }

    /// Gives up the tables without deleting them.
    ///
    /// # Errors
    /// No descriptor is left: the tables are deleted.
    pub(crate) fn into_parts(self) -> Result<TablesParts, NftError> {
        let tables = lock(&self.tables).take();
        let gone = || NftError::Socket(std::io::ErrorKind::NotFound.into());
        tables.ok_or_else(gone)?.into_parts()
    }

    /// Takes over tables that are loaded.
    pub(crate) fn from_parts(parts: TablesParts) -> Self {
        Self::with(Tables::from_parts(parts))
    }

    /// Replaces the tables, atomically and under traffic.
    ///
    /// # Errors
    /// The kernel refuses: then the former rules stand.
    pub(crate) async fn load(&self, rules: Rules) -> Result<(), NftError> {
        let tables = Arc::clone(&self.tables);
        blocking(move || lock(&tables).as_mut().map_or(Ok(()), |tables| tables.load(rules))).await
    }

    /// Adds elements to the set of SNAT ports and takes others out: blocks that the rules have from now on, or no longer.
    ///
    /// # Errors
    /// The kernel refuses: then the former rules stand.
    pub(crate) async fn change_blocks(
        &self,
        added: Vec<PortBlock>,
        removed: Vec<PortBlock>,
    ) -> Result<(), NftError> {
        let tables = Arc::clone(&self.tables);
        let change = move || {
            let mut tables = lock(&tables);
            tables.as_mut().map_or(Ok(()), |tables| tables.change_blocks(&added, &removed))
        };
        blocking(change).await
    }

    /// How often deleted tables were put back.
    #[cfg(test)]
    pub(crate) fn restored(&self) -> u64 {
        lock(&self.tables).as_ref().map_or(0, Tables::restored)
    }
}

impl Drop for Firewall {
    fn drop(&mut self) {
        // Here, since the watch may have a reference for a moment.
        drop(lock(&self.tables).take());
    }
}

/// Deletes orphaned tables of these bridges. Returns the deleted ones, and the orphans of other bridges.
pub(crate) fn remove_orphans(bridges: &[String]) -> Result<(Vec<Orphan>, Vec<Orphan>), NftError> {
    let is_ours = |orphan: &Orphan| bridges.iter().any(|bridge| bridge == orphan.bridge());
    let (ours, others): (Vec<_>, Vec<_>) = orphans::list()?.into_iter().partition(is_ours);
    let gone: std::collections::BTreeSet<&str> = ours.iter().map(Orphan::bridge).collect();
    for bridge in gone {
        remove_stale_tables(bridge)?;
    }
    Ok((ours, others))
}

/// Whether a process owns tables of these bridges: one whose descriptors the kernel has yet to close, or one that runs.
pub(crate) fn has_owned(bridges: &[String]) -> bool {
    orphans::of_bridges(bridges).is_ok_and(|all| all.iter().any(|(_, is_owned)| *is_owned))
}

/// Deletes the tables of these bridges, whose switch is dead, though the bridges may be there still. Returns the deleted
/// ones, and those that a process owns.
pub(crate) fn remove_of_dead(bridges: &[String]) -> Result<(Vec<Orphan>, Vec<Orphan>), NftError> {
    let (owned, free): (Vec<_>, Vec<_>) =
        orphans::of_bridges(bridges)?.into_iter().partition(|(_, is_owned)| *is_owned);
    let is_free = |bridge: &str| !owned.iter().any(|(table, _)| table.bridge() == bridge);
    let gone: std::collections::BTreeSet<&str> =
        free.iter().map(|(table, _)| table.bridge()).filter(|bridge| is_free(bridge)).collect();
    for bridge in &gone {
        remove_stale_tables(bridge)?;
    }
    let removed = free.iter().filter(|(table, _)| gone.contains(table.bridge()));
    let removed = removed.map(|(table, _)| table.clone()).collect();
    Ok((removed, owned.into_iter().map(|(table, _)| table).collect()))
}

/// Deletes the tables of a crashed switch with this bridge, if there are any.
pub(crate) fn remove_stale_tables(bridge: &str) -> Result<(), NftError> {
    Tables::open(bridge)?.remove_orphans()
}

fn lock(tables: &Mutex<Option<Tables>>) -> std::sync::MutexGuard<'_, Option<Tables>> {
    tables.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NftError> + Send + 'static,
) -> Result<T, NftError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(NftError::Thread(std::io::Error::other(error))),
    }
}

async fn watch(tables: Arc<Mutex<Option<Tables>>>) {
    loop {
        tokio::time::sleep(TABLES_CHECK_INTERVAL).await;
        let tables = Arc::clone(&tables);
        if let Err(error) =
            blocking(move || lock(&tables).as_mut().map_or(Ok(()), Tables::check)).await
        {
            tracing::warn!(%error, "cannot check the nftables rules of the switch");
        }
    }
}
