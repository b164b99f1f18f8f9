//! Servers that hang, restart or forget.

use std::time::Duration;

use testkit::free_port;
use tokio::time::{Instant, sleep, timeout};
use vswitch_registry::{LeaseState, RegistryError};

use crate::server::{PATIENCE, Server, connect_url};
use crate::watches::Mirror;

/// The first of two endpoints is dead.
pub(crate) async fn another_endpoint_answers(server: &dyn Server) {
    let (scheme, dead) = (server.scheme(), free_port());
    let Some(alive) = server.address() else { return };
    let url = format!("{scheme}://127.0.0.1:{dead},{alive}/endpoints");
    let registry = connect_url(&url).expect("opens");
    registry.create("a/1", "1", None).await.expect("create");
    let mut mirror = Mirror::start(&*registry, "").await;
    registry.create("a/2", "1", None).await.expect("create");
    mirror.until_same("a change", &*registry, "").await;
    assert_eq!(registry.status().await.expect("status").endpoint, alive.to_string());
    let nobody = connect_url(&format!("{scheme}://127.0.0.1:{dead}/x")).expect("opens");
    let result = nobody.create("a/1", "1", None).await;
    let is_right = matches!(&result, Err(RegistryError::Unreachable { problem, .. })
        if problem.contains(&dead.to_string()));
    assert!(is_right, "{result:?}");
    assert!(nobody.grant(Duration::from_secs(2)).await.is_err());
}

/// A server that hangs for `frozen`: calls end with an error, the watch is interrupted; then all goes on.
pub(crate) async fn a_frozen_server_is_noticed(server: &mut dyn Server, frozen: Duration) {
    let registry = server.client("frozen");
    let mut mirror = Mirror::start(&*registry, "").await;
    let lease = registry.grant(server.short_ttl()).await.expect("grant");
    let kept = registry.create("n/kept", "1", None).await.expect("create");
    registry.create("n/leased", "1", Some(lease.id())).await.expect("create");
    mirror.until_same("the entries", &*registry, "").await;
    server.freeze();
    let thaw_at = Instant::now() + frozen;
    let (create, get) =
        tokio::join!(registry.create("n/frozen", "1", None), registry.get("n/kept"));
    // Nobody knows whether it was made.
    let is_unknown = matches!(create, Err(RegistryError::Unanswered { .. }));
    assert!(is_unknown || matches!(create, Err(RegistryError::Unreachable { .. })), "{create:?}");
    assert!(get.as_ref().is_err_and(RegistryError::is_transient), "{get:?}");
    mirror.until("the interruption", |mirror| mirror.is_interrupted).await;
    assert_eq!(mirror.entries.len(), 2, "nothing is forgotten while the registry is away");
    sleep(thaw_at.saturating_duration_since(Instant::now())).await;
    server.thaw();
    mirror.until("the return", |mirror| !mirror.is_interrupted).await;
    timeout(PATIENCE, async {
        loop {
            match registry.swap("n/kept", "2", kept, None).await {
                // A conflict: one without an answer was carried out.
                Ok(_) | Err(RegistryError::Conflict { .. }) => break,
                Err(_) => sleep(Duration::from_millis(200)).await,
            }
        }
    })
    .await
    .expect("changes go on");
    // The lease lives with its entry, or both have ended.
    timeout(PATIENCE, async {
        loop {
            let entry = registry.get("n/leased").await.expect("get");
            match (lease.state(), entry) {
                (LeaseState::Active, Some(_)) | (LeaseState::Ended, None) => break,
                _ => sleep(Duration::from_millis(200)).await,
            }
        }
    })
    .await
    .expect("the lease and its entry agree");
    mirror.until_same("the state after it", &*registry, "").await;
}

pub(crate) async fn a_restart_loses_nothing(server: &mut dyn Server) {
    let registry = server.client("restart");
    let mut mirror = Mirror::start(&*registry, "").await;
    let revision = registry.create("n/1", "1", None).await.expect("create");
    mirror.until_same("the entry", &*registry, "").await;
    server.stop();
    mirror.until("the interruption", |mirror| mirror.is_interrupted).await;
    let result = registry.create("n/2", "1", None).await;
    assert!(matches!(result, Err(RegistryError::Unreachable { .. })), "{result:?}");
    server.start();
    mirror.until("the return", |mirror| !mirror.is_interrupted).await;
    assert_eq!(mirror.entries.len(), 1);
    registry.swap("n/1", "2", revision, None).await.expect("the revision still holds");
    registry.create("n/2", "1", None).await.expect("create");
    mirror.until_same("changes after it", &*registry, "").await;
}

/// The data is deleted while the server is down: the watcher learns it as a resync, after the interruption.
pub(crate) async fn a_store_that_lost_its_data_is_told(server: &mut dyn Server) {
    let registry = server.client("lost");
    registry.create("n/1", "1", None).await.expect("create");
    let mut mirror = Mirror::start(&*registry, "").await;
    server.stop();
    mirror.until("the interruption", |mirror| mirror.is_interrupted).await;
    server.wipe();
    server.start();
    mirror.until("the loss", |mirror| mirror.entries.is_empty()).await;
    assert!(!mirror.is_interrupted);
    assert!(mirror.resyncs > 0);
    registry.create("n/1", "again", None).await.expect("create");
    mirror.until_same("the entry again", &*registry, "").await;
}
