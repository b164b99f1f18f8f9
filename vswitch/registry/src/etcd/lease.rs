//! Leases.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use super::client::{Client, Kind};
use super::messages::{GrantResponse, KeepAliveResponse, Line};
use crate::RegistryError;
use crate::lease::{Lease, LeaseState, Renewal, keep_alive};
use crate::limits::REQUEST_TIMEOUT;
use crate::types::LeaseId;

pub(crate) async fn grant(client: Arc<Client>, ttl: Duration) -> Result<Lease, RegistryError> {
    let body = json!({ "TTL": ttl.as_secs().max(1).to_string() });
    let answer = client.call(Kind::Change, "/v3/lease/grant", &body, REQUEST_TIMEOUT).await;
    let GrantResponse { id, ttl } = answer?;
    let (sender, state) = watch::channel(LeaseState::Active);
    let (id, ttl) = (LeaseId(id), Duration::from_secs(ttl));
    let renewed = id.clone();
    let task = keep_alive(ttl, sender, move || renew(Arc::clone(&client), renewed.clone()));
    Ok(Lease::new(id, ttl, task, state))
}

async fn renew(client: Arc<Client>, LeaseId(id): LeaseId) -> Renewal {
    let body = json!({ "ID": id });
    // A renewal changes nothing that must not happen twice.
    let answer = client.call(Kind::Read, "/v3/lease/keepalive", &body, REQUEST_TIMEOUT).await;
    match answer {
        Ok(Line::<KeepAliveResponse> { result: Some(KeepAliveResponse { ttl: 0 }), .. }) => {
            Renewal::Ended
        }
        Ok(Line { result: Some(_), .. }) => Renewal::Confirmed,
        Ok(_) | Err(_) => Renewal::Failed,
    }
}

pub(crate) async fn revoke(client: &Client, LeaseId(id): &LeaseId) -> Result<(), RegistryError> {
    let body = json!({ "ID": id });
    let answer = client.call(Kind::Change, "/v3/lease/revoke", &body, REQUEST_TIMEOUT).await;
    match answer.map(|_: serde_json::Value| ()) {
        // It is gone already.
        Err(RegistryError::Protocol { problem, .. }) if problem.contains("lease not found") => {
            Ok(())
        }
        result => result,
    }
}
