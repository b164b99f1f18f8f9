//! Leases.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use vswitch_registry::{LeaseState, Operation, RegistryError};

use crate::operations::assert_conflict;
use crate::server::{PATIENCE, Server};
use crate::watches::Mirror;

pub(crate) async fn entries_end_with_their_lease(server: &dyn Server) {
    let registry = server.client("leases");
    let holder = server.client("leases");
    let mut mirror = Mirror::start(&*registry, "").await;
    let lease = holder.grant(server.short_ttl()).await.expect("grant");
    let other = holder.grant(Duration::from_secs(30)).await.expect("grant");
    holder.create("n/1", "1", Some(lease.id())).await.expect("create");
    assert_conflict(holder.create("n/1", "2", Some(lease.id())).await, "n/1");
    assert_conflict(holder.create("n/1", "2", Some(other.id())).await, "n/1");
    // Swapped under the same lease, to another one and to none.
    let mut moved = Vec::new();
    for key in ["n/same", "n/other", "n/none"] {
        let revision = holder.create(key, "1", Some(lease.id())).await.expect("create");
        let to = match key {
            "n/same" => Some(lease.id()),
            "n/other" => Some(other.id()),
            _ => None,
        };
        moved.push(holder.swap(key, "2", revision, to).await.expect("swap"));
    }
    let adopted = holder.create("n/adopted", "1", None).await.expect("create");
    holder.swap("n/adopted", "2", adopted, Some(lease.id())).await.expect("swap");
    let mixed = [("n/a", Some(lease.id())), ("n/b", Some(lease.id())), ("n/c", None)];
    let mixed = mixed.map(|(key, lease)| Operation::Create {
        key: key.to_owned(),
        value: b"1".to_vec(),
        lease: lease.cloned(),
    });
    holder.transact(&mixed).await.expect("with and without a lease");
    mirror.until_same("all entries", &*registry, "").await;
    assert_eq!(mirror.entries.len(), 8);
    drop(lease);
    let ends = mirror.until("the end of the lease", |mirror| mirror.entries.len() == 3);
    timeout(server.lease_end_max(), ends).await.expect("within the lease's time");
    let left: Vec<_> = mirror.entries.keys().cloned().collect();
    assert_eq!(left, ["n/c", "n/none", "n/other"]);
    assert_eq!(other.state(), LeaseState::Active);
    let listing = registry.list("").await.expect("list");
    assert_eq!(listing.entries.len(), 3);
    // An entry keeps its revision when another's lease ends.
    assert!(listing.entries.iter().any(|entry| entry.revision == moved[1]));
    holder.revoke(other.id()).await.expect("revoke");
    mirror.until("the other's end", |mirror| mirror.entries.len() == 2).await;
}

pub(crate) async fn a_lease_is_kept_alive_and_revoked(server: &dyn Server) {
    let registry = server.client("alive");
    let mut lease = registry.grant(server.short_ttl()).await.expect("grant");
    registry.create("n/1", "1", Some(lease.id())).await.expect("create");
    let until = Instant::now() + lease.ttl().min(Duration::from_secs(3)) * 2;
    while Instant::now() < until {
        assert_eq!(lease.state(), LeaseState::Active);
        sleep(Duration::from_millis(200)).await;
    }
    assert!(registry.get("n/1").await.expect("get").is_some());
    registry.revoke(lease.id()).await.expect("revoke");
    assert_eq!(registry.get("n/1").await.expect("get"), None);
    let ended = timeout(PATIENCE, lease.changed_from(LeaseState::Active)).await;
    assert_eq!(ended.expect("it is told"), LeaseState::Ended);
    let result = registry.create("n/2", "1", Some(lease.id())).await;
    assert!(matches!(result, Err(RegistryError::LeaseEnded { .. })), "{result:?}");
    registry.revoke(lease.id()).await.expect("revoked twice");
}

/// The holder is cut off until its entries are gone: it is told, and writes them again under a new lease.
pub(crate) async fn a_partition_ends_a_lease_and_its_holder_is_told(server: &dyn Server) {
    let (holder, link) = server.link("partition");
    let registry = server.client("partition");
    let mut mirror = Mirror::start(&*registry, "").await;
    let mut lease = holder.grant(server.short_ttl()).await.expect("grant");
    holder.create("n/1", "1", Some(lease.id())).await.expect("create");
    mirror.until("the entry", |mirror| mirror.entries.len() == 1).await;
    link.cut();
    let ends = mirror.until("the end of the lease", |mirror| mirror.entries.is_empty());
    timeout(server.lease_end_max(), ends).await.expect("within the lease's time");
    // Another node takes the key meanwhile.
    let taken = registry.create("n/1", "another's", None).await.expect("create");
    link.heal();
    let told = timeout(PATIENCE, async {
        while lease.state() != LeaseState::Ended {
            let state = lease.state();
            lease.changed_from(state).await;
        }
    });
    told.await.expect("the holder is told");
    let result = holder.create("n/2", "1", Some(lease.id())).await;
    assert!(matches!(result, Err(RegistryError::LeaseEnded { .. })), "{result:?}");
    let lease = holder.grant(server.short_ttl()).await.expect("a new lease");
    assert_conflict(holder.create("n/1", "1", Some(lease.id())).await, "n/1");
    holder.swap("n/1", "1", taken, Some(lease.id())).await.expect("swap");
    mirror.until_same("the entry again", &*registry, "").await;
    assert_eq!(mirror.entries["n/1"], b"1");
    holder.revoke(lease.id()).await.expect("revoke");
    mirror.until("the end", |mirror| mirror.entries.is_empty()).await;
}
