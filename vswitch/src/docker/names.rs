//! Names of Docker's containers. Docker tells a network driver ids only; its API knows the rest.
//!
//! It is asked by a task of its own, never within a driver's method: while Docker starts a container it holds
//! that container's lock, and so the driver would wait for Docker, and Docker for the driver. The list of a
//! network's endpoints needs no such lock, so the name is there before the container runs; aliases and labels
//! come when it has started. New names (`docker rename`) come as events, while there are such endpoints. A name
//! that another attachment has stays with that one, since the first one to have a name keeps it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::limits::{ASK_PAUSES_MS, EVENTS_PAUSE, NAMES_ASKED_MAX};
use super::{ENDPOINT_ID, NETWORK_ID};
use crate::control::{Control, ControlError, Label, RuntimeNames};
use crate::engine::{Engine, EngineError};

/// Label of a port: its container's id in Docker.
pub(super) const CONTAINER_ID: &str = "docker.container-id";

/// Label of a network: its name in Docker.
pub(super) const NETWORK_NAME: &str = "docker.network-name";

/// Key of an endpoint in Docker's list of a network, where no container has it yet.
const NO_CONTAINER: &str = "ep-";

/// Asks Docker for names.
#[derive(Debug, Clone)]
pub(super) struct Names {
    control: Control,
    engine: Engine,
    asking: Arc<Semaphore>,
    /// A task follows Docker's events.
    follows: Arc<AtomicBool>,
}

impl Names {
    pub(super) fn new(control: Control, api: &Path) -> Self {
        Self {
            control,
            engine: Engine::new(api),
            asking: Arc::new(Semaphore::new(NAMES_ASKED_MAX)),
            follows: Arc::default(),
        }
    }

    /// Learns the names of all endpoints, after a start.
    pub(super) fn learn_all(&self) {
        for (network, endpoint) in self.control.ids(NETWORK_ID, ENDPOINT_ID, None) {
            self.learn(network, endpoint);
        }
    }

    /// Learns new names of containers, until there are no endpoints.
    async fn follow(self) {
        while !self.control.ids(NETWORK_ID, ENDPOINT_ID, None).is_empty() {
            if let Ok(mut events) = self.engine.events().await {
                while let Some(event) = events.next().await {
                    let is_its = Some((CONTAINER_ID, event.into_container()));
                    for (network, endpoint) in self.control.ids(NETWORK_ID, ENDPOINT_ID, is_its) {
                        self.ask_later(network, endpoint);
                    }
                    // The end of a container is an event, too.
                    if self.control.ids(NETWORK_ID, ENDPOINT_ID, None).is_empty() {
                        break;
                    }
                }
            }
            sleep(EVENTS_PAUSE).await;
        }
        self.follows.store(false, Ordering::Relaxed);
    }

    /// Learns the names of an endpoint of a network, both by their ids.
    pub(super) fn learn(&self, network: String, endpoint: String) {
        if !self.follows.swap(true, Ordering::Relaxed) {
            tokio::spawn(self.clone().follow());
        }
        self.ask_later(network, endpoint);
    }

    fn ask_later(&self, network: String, endpoint: String) {
        let names = self.clone();
        tokio::spawn(async move { names.ask_until_known(&network, &endpoint).await });
    }

    async fn ask_until_known(&self, network: &str, endpoint: &str) {
        let label = Label { key: ENDPOINT_ID, text: endpoint.to_owned() };
        let mut reason = "Docker does not list it".to_owned();
        for pause in ASK_PAUSES_MS {
            sleep(Duration::from_millis(pause)).await;
            if self.control.handed_out(&label).is_none() {
                return;
            }
            let Ok(_permit) = self.asking.acquire().await else { return };
            match self.ask(network, &label).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => reason = error,
            }
        }
        let name = self.control.handed_out(&label).map(|(lease, _)| lease.name.to_string());
        tracing::warn!(name, reason, "its container's name in Docker is not known");
    }

    /// Asks once. False if Docker does not know a container of the endpoint yet.
    async fn ask(&self, network: &str, label: &Label) -> Result<bool, String> {
        let line = |error: EngineError| error.to_string();
        let found = self.engine.network(network).await.map_err(line)?;
        let mut members = found.containers.iter();
        let member = members.find(|(_, member)| member.endpoint_id == label.text);
        let Some((id, member)) = member.filter(|(id, _)| !id.starts_with(NO_CONTAINER)) else {
            return Ok(false);
        };
        let own = |id: &str| (CONTAINER_ID.to_owned(), id.to_owned());
        let mut names = RuntimeNames {
            name: member.name.clone(),
            aliases: Vec::new(),
            labels: [own(id)].into(),
            network: (NETWORK_NAME, found.name),
            same: CONTAINER_ID,
        };
        self.give(label, &names).await?;
        let container = self.engine.container(id).await.map_err(line)?;
        let endpoint = container.endpoint(&label.text);
        let labels = container.labels().iter().map(|(key, text)| (key.clone(), text.clone()));
        names.name = container.name().to_owned();
        names.aliases = endpoint.map(|it| it.aliases.clone()).unwrap_or_default();
        names.labels = labels.chain([own(id)]).collect();
        self.give(label, &names).await?;
        Ok(true)
    }

    async fn give(&self, label: &Label, names: &RuntimeNames) -> Result<(), String> {
        match self.control.name_handed_out(label, names).await {
            // It is gone.
            Err(ControlError::UnknownPort(_)) => Ok(()),
            result => result.map_err(|error| error.to_string()),
        }
    }
}
