//! The watch: blocking queries, whose answer is the whole prefix, with a probe beside them.

use std::convert::Infallible;
use std::sync::Arc;

use tokio::time::{sleep, timeout};

use super::client::Client;
use super::kv::{list, listing, status};
use crate::RegistryError;
use crate::limits::{CONSUL_LIST_PAUSE, CONSUL_WAIT, LIST_TIMEOUT, PROBE_PERIOD, PROBE_TIMEOUT};
use crate::task::Backoff;
use crate::watch::Follower;

pub(crate) async fn follow(client: Arc<Client>, mut follower: Follower) {
    let mut backoff = Backoff::new();
    loop {
        let Err(error) = follow_link(&client, &mut follower, &mut backoff).await;
        follower.interrupted(error).await;
        backoff.pause().await;
    }
}

/// Follows until the link fails.
async fn follow_link(
    client: &Client,
    follower: &mut Follower,
    backoff: &mut Backoff,
) -> Result<Infallible, RegistryError> {
    if follower.is_interrupted() {
        let listing = list(client, follower.prefix()).await?;
        follower.restored().await;
        follower.resync(listing).await;
    }
    let mut probe = std::pin::pin!(probe(client));
    loop {
        // An index that went backwards is asked for anew; Consul takes none below 1.
        let path = format!(
            "/v1/kv/{}?recurse&index={}&wait={}s",
            client.full_key(follower.prefix()),
            follower.revision().0.max(1),
            CONSUL_WAIT.as_secs(),
        );
        // Consul waits up to a sixteenth longer.
        let limit = CONSUL_WAIT + CONSUL_WAIT / 16 + LIST_TIMEOUT;
        let answer = tokio::select! {
            answer = client.get(path, limit) => answer?,
            error = &mut probe => return Err(error),
        };
        let listing = listing(client, follower.prefix(), &answer)?;
        if listing.revision < follower.revision() {
            follower.resync(listing).await;
        } else {
            follower.compare(listing).await;
        }
        backoff.reset();
        sleep(CONSUL_LIST_PAUSE).await;
    }
}

/// Asks the server for its state again and again; returns the first fault.
async fn probe(client: &Client) -> RegistryError {
    loop {
        sleep(PROBE_PERIOD).await;
        match timeout(PROBE_TIMEOUT, status(client)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return error,
            Err(_) => {
                let seconds = PROBE_TIMEOUT.as_secs();
                return client.http.unreachable(format!("no answer within {seconds} s"));
            }
        }
    }
}
