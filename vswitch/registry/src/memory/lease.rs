//! Leases: the client's side that keeps one alive, and the server's that ends it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::store::{Power, Store};
use super::{Kind, Shared};
use crate::RegistryError;
use crate::lease::{Lease, LeaseState, Renewal, keep_alive};
use crate::types::LeaseId;

pub(crate) async fn grant(shared: Arc<Shared>, ttl: Duration) -> Result<Lease, RegistryError> {
    let id = shared.request(Kind::Change, |state| Ok(state.grant(ttl))).await?;
    // The server's task, which outlives the client.
    tokio::spawn(end(Arc::downgrade(&shared.store), id.clone()));
    let (sender, state) = watch::channel(LeaseState::Active);
    let renewed = id.clone();
    let task = keep_alive(ttl, sender, move || renew(Arc::clone(&shared), renewed.clone()));
    Ok(Lease::new(id, ttl, task, state))
}

async fn renew(shared: Arc<Shared>, id: LeaseId) -> Renewal {
    match shared.request(Kind::Read, |state| Ok(state.renew(&id))).await {
        Ok(true) => Renewal::Confirmed,
        Ok(false) => Renewal::Ended,
        Err(_) => Renewal::Failed,
    }
}

/// Ends a lease that is not renewed, while the server runs.
async fn end(store: Weak<Store>, id: LeaseId) {
    loop {
        let Some(strong) = store.upgrade() else { return };
        let Some(ends) = strong.change(|state| state.lease_ends(&id)) else { return };
        let mut powers = strong.powers();
        if ends <= Instant::now() && strong.power() == Power::Running {
            strong.change(|state| state.end_lease(&id));
            return;
        }
        drop(strong);
        if ends > Instant::now() {
            sleep_until(ends).await;
        } else if powers.wait_for(|power| *power == Power::Running).await.is_err() {
            return;
        }
    }
}
