//! The switch: its API, with a runtime of one thread, and attachments by their labels.
//!
//! An attachment is found by its labels, never by its name: container id, interface, and the name of the network
//! in the configuration.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::runtime::Runtime;
use vswitch_api::network::FIRST_NETWORK_NAMES;
use vswitch_api::port::Port;
use vswitch_api::{DEFAULT_SOCKET, SOCKET_ENV};
use vswitch_client::{Client, ClientError};

use crate::config::Config;
use crate::environment::{Attachment, Read};
use crate::error::{CniError, Code, Outcome, is_not_found};

/// Label with the container's id.
const CONTAINER_ID: &str = "cni.container-id";

/// Label with the name of the interface.
const IFNAME: &str = "cni.ifname";

/// Label with the name of the network in the configuration.
const NETWORK: &str = "cni.network";

/// A client of the switch.
pub(crate) struct Switch {
    pub(crate) client: Client,
    runtime: Runtime,
}

impl Switch {
    /// The switch at the configuration's socket, that of the environment, or the usual one.
    pub(crate) fn new(config: &Config, read: Read<'_>) -> Outcome<Self> {
        let named = config.socket.clone().or_else(|| read(SOCKET_ENV).map(PathBuf::from));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime
            .map_err(|error| CniError::new(Code::Io, format!("cannot start a client: {error}")))?;
        let client = Client::new(named.unwrap_or_else(|| DEFAULT_SOCKET.into()));
        Ok(Self { client, runtime })
    }

    /// Runs a request to its end.
    pub(crate) fn wait<T>(&self, request: impl Future<Output = T>) -> T {
        self.runtime.block_on(request)
    }

    /// Attachments of a configuration's network.
    pub(crate) fn attachments(&self, network: &str) -> Result<Vec<Port>, ClientError> {
        let mut ports = self.wait(self.client.ports())?;
        ports.retain(|port| is_of(port, network));
        Ok(ports)
    }

    /// Attachments of a container, on all networks. Waits for requests of a runtime that is gone meanwhile.
    pub(crate) fn of_container(&self, id: &str) -> Result<Vec<Port>, ClientError> {
        self.wait(self.client.labelled_ports(CONTAINER_ID, id))
    }

    /// Whether a network publishes no ports; the first network, if no name is given.
    pub(crate) fn is_internal(&self, network: Option<&str>) -> Result<bool, ClientError> {
        let name = network.unwrap_or(FIRST_NETWORK_NAMES[0]);
        Ok(self.wait(self.client.network(name))?.network.internal)
    }

    /// The attachments that ADD made for a container's interface: one, if any.
    pub(crate) fn find(
        &self,
        config: &Config,
        attachment: &Attachment,
    ) -> Result<Vec<Port>, ClientError> {
        let mut ports = self.of_container(&attachment.container_id)?;
        let key = (attachment.container_id.as_str(), attachment.ifname.as_str());
        ports.retain(|port| owner(port) == Some(key) && is_of(port, &config.name));
        Ok(ports)
    }

    /// Detaches what ADD made for a container's interface.
    pub(crate) fn detach_all(
        &self,
        config: &Config,
        attachment: &Attachment,
    ) -> Result<(), ClientError> {
        self.find(config, attachment)?.iter().try_for_each(|port| self.detach(port))
    }

    /// Detaches; one that went meanwhile is no error.
    pub(crate) fn detach(&self, port: &Port) -> Result<(), ClientError> {
        match self.wait(self.client.disconnect_endpoint(&port.network, &port.name)) {
            Err(error) if is_not_found(&error) => Ok(()),
            result => result,
        }
    }
}

fn is_of(port: &Port, network: &str) -> bool {
    port.labels.get(NETWORK).is_some_and(|it| it == network)
}

/// The labels of an attachment.
pub(crate) fn labels(config: &Config, attachment: &Attachment) -> BTreeMap<String, String> {
    let pairs = [
        (CONTAINER_ID, &attachment.container_id),
        (IFNAME, &attachment.ifname),
        (NETWORK, &config.name),
    ];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.clone())).collect()
}

/// Container id and interface of an attachment.
pub(crate) fn owner(port: &Port) -> Option<(&str, &str)> {
    Some((port.labels.get(CONTAINER_ID)?, port.labels.get(IFNAME)?))
}
