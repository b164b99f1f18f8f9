//! A lease is a session whose end deletes what it has locked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::json;
use tokio::sync::watch;

use super::client::Client;
use super::messages::Session;
use crate::RegistryError;
use crate::lease::{Lease, LeaseState, Renewal, keep_alive};
use crate::limits::REQUEST_TIMEOUT;
use crate::types::LeaseId;

/// Consul takes no shorter one.
const TTL_MIN: Duration = Duration::from_secs(10);

pub(crate) async fn grant(client: Arc<Client>, ttl: Duration) -> Result<Lease, RegistryError> {
    let ttl = ttl.max(TTL_MIN);
    let body = json!({
        "Name": "vswitch",
        "TTL": format!("{}s", ttl.as_secs()),
        "Behavior": "delete",
        "LockDelay": "0s",
        // Not bound to the health of the agent that happens to be asked.
        "NodeChecks": [],
    });
    let path = "/v1/session/create".to_owned();
    let answer = client.put(path, body.to_string().into(), REQUEST_TIMEOUT).await?;
    let session: Session =
        serde_json::from_slice(&answer.body).map_err(|error| client.http.protocol(error))?;
    let (sender, state) = watch::channel(LeaseState::Active);
    let id = LeaseId(session.id);
    let renewed = id.clone();
    let task = keep_alive(ttl, sender, move || renew(Arc::clone(&client), renewed.clone()));
    Ok(Lease::new(id, ttl, task, state))
}

async fn renew(client: Arc<Client>, LeaseId(id): LeaseId) -> Renewal {
    let path = format!("/v1/session/renew/{id}");
    match client.put(path, Bytes::new(), REQUEST_TIMEOUT).await {
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => Renewal::Ended,
        Ok(_) => Renewal::Confirmed,
        Err(_) => Renewal::Failed,
    }
}

pub(crate) async fn revoke(client: &Client, LeaseId(id): &LeaseId) -> Result<(), RegistryError> {
    let path = format!("/v1/session/destroy/{id}");
    client.put(path, Bytes::new(), REQUEST_TIMEOUT).await.map(drop)
}
