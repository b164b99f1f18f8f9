//! Endpoints and networks that Docker has forgotten.
//!
//! Docker deletes an endpoint whether or not the switch can be reached, and one that is killed while it starts a
//! container has no trace of it. What it still knows is in its list of a network's endpoints, also while it starts a
//! container. An endpoint that is missing there is removed after the switch's start, and when another one wants its port
//! or address. Docker may have asked for an endpoint just before that start, and list it a moment later: so one that no
//! container has yet is looked for after a pause. Where Docker does not answer, or does not know the network's id, nothing is
//! removed: it may be another daemon than the one that uses the plugin.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::limits::{ASK_PAUSES_MS, KNOWN_WAIT_MAX, LISTED_PAUSE};
use super::{ENDPOINT_ID, NETWORK_ID};
use crate::control::model::NetworkName;
use crate::control::{Control, HandedOut, Label};
use crate::engine::{Engine, EngineError};

/// Compares the switch's endpoints with Docker's.
#[derive(Debug, Clone)]
pub(super) struct Forgotten {
    control: Control,
    engine: Engine,
}

impl Forgotten {
    pub(super) fn new(control: Control, api: &Path) -> Self {
        Self { control, engine: Engine::new(api) }
    }

    /// Whether Docker has an endpoint no more; false if it does not say so in time.
    pub(super) async fn is_forgotten(&self, network: &NetworkName, endpoint: &Label) -> bool {
        let Some(id) = self.control.network_label(network, NETWORK_ID) else { return false };
        match timeout(KNOWN_WAIT_MAX, self.known(&id)).await {
            Ok(Ok(known)) => !known.contains(&endpoint.text),
            Ok(Err(error)) => {
                tracing::warn!(%network, %error, "Docker does not say which endpoints it has");
                false
            }
            Err(_) => {
                tracing::warn!(%network, "Docker does not say in time which endpoints it has");
                false
            }
        }
    }

    /// Whether Docker has a network no more; false if it does not say so in time.
    pub(super) async fn is_network_forgotten(&self, id: &str) -> bool {
        let asked = timeout(KNOWN_WAIT_MAX, self.engine.network(id)).await;
        matches!(asked, Ok(Err(EngineError::NotFound { .. })))
    }

    /// Removes the endpoints that Docker has forgotten while the switch did not run.
    pub(super) fn remove_all(&self) {
        for (network, id) in self.control.networks_with(NETWORK_ID) {
            let all = self.control.handed_out_on(&network, ENDPOINT_ID);
            let forgotten = self.clone();
            tokio::spawn(async move {
                let (entered, other) = all.into_iter().partition(|it| it.is_inside);
                forgotten.remove_on(&network, &id, entered).await;
                sleep(LISTED_PAUSE).await;
                forgotten.remove_on(&network, &id, other).await;
            });
        }
    }

    async fn remove_on(&self, network: &NetworkName, id: &str, suspects: Vec<HandedOut>) {
        if suspects.is_empty() {
            return;
        }
        let last = ASK_PAUSES_MS[ASK_PAUSES_MS.len() - 1];
        for pause in ASK_PAUSES_MS.into_iter().chain(std::iter::repeat(last)) {
            let known = match self.known(id).await {
                Ok(known) => known,
                Err(EngineError::NotFound { .. }) => {
                    tracing::warn!(%network, id,
                        "Docker does not know it; if Docker has removed it, so does `vswitch network rm`");
                    return;
                }
                // It starts, perhaps.
                Err(error) => {
                    tracing::debug!(%network, %error, "Docker's endpoints are not known");
                    sleep(Duration::from_millis(pause)).await;
                    continue;
                }
            };
            let labels = suspects.iter().map(|it| &it.label);
            for lost in labels.filter(|it| !known.contains(&it.text)) {
                tracing::info!(%network, endpoint = lost.text, "forgotten by Docker: removed");
                if let Err(error) = self.control.remove_handed_out(lost).await {
                    tracing::warn!(%network, endpoint = lost.text, %error, "it stays");
                }
            }
            return;
        }
    }

    /// Ids of the endpoints that Docker has on a network.
    async fn known(&self, network: &str) -> Result<BTreeSet<String>, EngineError> {
        let members = self.engine.network(network).await?.containers.into_values();
        Ok(members.map(|member| member.endpoint_id).collect())
    }
}
