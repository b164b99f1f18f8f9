//! Our nftables tables: what they hand over to the switch, and how they stay.
//!
//! All tables bear the name `vswitch-BRIDGE`, so that two switches live on one host, and nothing else on
//! the host is touched. [`Rules`] says what they are to be; [`Firewall::load`] makes them so in one atomic
//! batch (add, delete, add, chains, sets, rules), at first as later, so there is never a moment with half of
//! them. No frame is translated by the `netdev` table: it only says whose frames are.
//!
//! | table | chain | what it does |
//! |---|---|---|
//! | `netdev` | `uplink`, ingress of the NIC | our frames to the uplink TAP, see [`netdev`] |
//! | | `switch`, ingress of the uplink TAP | frames of the switch to the NIC; those to the TAP's own MAC to the host |
//! | | `bridge`, ingress of the bridge | containers are kept from 127.0.0.0/8 |
//! | `ip`, `ip6` | `output`, `postrouting` | the host's own way to published ports, see [`nat`] |
//! | | `prerouting`, `forward` | with `--uplink kernel` only |
//!
//! # Who owns them, and for how long
//!
//! The tables belong to a netlink socket (flag `owner`, Linux 5.12), so another program's `nft flush
//! ruleset` passes them by, and to a crash they stay where the kernel can do that (`persist`, Linux 6.9): then
//! frames of former connections go into the void until the next `vswitch up` adopts the tables, and the
//! host does not answer strangers' segments with resets. [`Firewall`] holds the socket; dropping it deletes the
//! tables. [`remove_orphans`] is for what a crash left: of `down`, and of an `up` with another bridge.
//!
//! States: *loaded* -> (a look at the generation number of the rules, every [`TABLES_CHECK_INTERVAL`]) ->
//! *unchanged* | *changed by somebody* -> (count our rules) -> *all there* | *lost* -> loaded again, with a
//! line in the log.
//!
//! Who may call: the uplink, from its task. Loading waits for the kernel (milliseconds, a grace period), so it
//! is done on a thread for blocking work.

mod build;
mod kernel;
mod nat;
mod netdev;
mod orphans;
mod probe;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use kernel::Tables;
pub(crate) use kernel::{NftError, TablesParts};
pub(crate) use orphans::has_device;
pub use orphans::{Orphan, orphans};
pub use probe::probe;
pub(crate) use rules::{Forward, IngressRedirect, Nat, Protocol, Published, Rules};

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

/// Deletes the tables of these bridges, where their switches are gone. Gives which, and which others are orphans.
pub(crate) fn remove_orphans(bridges: &[String]) -> Result<(Vec<Orphan>, Vec<Orphan>), NftError> {
    let is_ours = |orphan: &Orphan| bridges.iter().any(|bridge| bridge == orphan.bridge());
    let (ours, others): (Vec<_>, Vec<_>) = orphans::list()?.into_iter().partition(is_ours);
    let gone: std::collections::BTreeSet<&str> = ours.iter().map(Orphan::bridge).collect();
    for bridge in gone {
        remove_stale_tables(bridge)?;
    }
    Ok((ours, others))
}

/// Deletes what a switch with this bridge left behind when it crashed. Not an error if there is nothing,
/// or no nftables.
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
