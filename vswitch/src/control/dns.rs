//! DNS: the table of names follows the model, and the server answers on the service port.
//!
//! An endpoint has names while the datapath knows it: from before an attach is acknowledged until a detach
//! begins. A change of one endpoint or network touches its own names only.

use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use vswitch_api::dns::{DnsAnswer, DnsName, DnsQuery};
use vswitch_api::status::DnsStatus;
use vswitch_counters::DnsCounters;

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::{EndpointKey, Model, NetworkName};
use crate::config::Dns;
use crate::datapath::ServiceClient;
use crate::dns::{DnsError, ListedName, Server, ServerConfig, Upstreams};
use crate::host::service::ServiceSockets;

/// The host's resolver configuration.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";

impl Control {
    /// Starts the server on the sockets of the service port.
    pub(super) fn start_dns(&self, sockets: ServiceSockets) -> Result<(), ControlError> {
        let upstreams = match &self.0.config.dns {
            Dns::Servers(servers) => {
                Upstreams::Servers(servers.iter().map(|server| server.get()).collect())
            }
            Dns::Host | Dns::Off => Upstreams::ResolvConf(PathBuf::from(RESOLV_CONF)),
        };
        let server = Server::start(ServerConfig {
            names: Arc::clone(&self.0.names),
            udp: sockets.udp,
            tcp: sockets.tcp,
            client_of: Arc::new(|address| ServiceClient::of(address).map(|client| client.port)),
            upstreams,
        });
        *self.0.dns_server() = Some(server.map_err(DnsError::Server)?);
        Ok(())
    }

    /// Ends the server.
    pub(super) fn stop_dns(&self) {
        let server = self.0.dns_server().take();
        drop(server);
    }

    /// All names of containers.
    pub(crate) fn dns_names(&self) -> Vec<DnsName> {
        let row = |ListedName { network, name, containers, addresses }| DnsName {
            network,
            name,
            containers,
            addresses,
        };
        self.0.names.list().into_iter().map(row).collect()
    }

    /// The answer that a container would get.
    pub(crate) async fn dns_query(&self, query: DnsQuery) -> Result<DnsAnswer, ControlError> {
        let DnsQuery { name, container, record_type } = query;
        let unknown = || ControlError::UnknownPort(container.clone());
        let port = self.0.names.port_of(&container).ok_or_else(unknown)?;
        let resolver = self.0.dns_server().as_ref().map(Server::resolver);
        let resolver = resolver.ok_or(DnsError::Off)?;
        Ok(resolver.ask(port, &name, record_type.as_deref()).await?)
    }
}

impl Inner {
    fn dns_server(&self) -> MutexGuard<'_, Option<Server>> {
        self.dns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether containers can ask the switch for names.
    pub(super) fn has_dns(&self) -> bool {
        self.dns_server().is_some()
    }

    /// Counters of the server.
    pub(super) fn dns_counters(&self) -> DnsCounters {
        self.dns_server().as_ref().map(Server::counters).unwrap_or_default()
    }

    /// The server as `status` shows it.
    pub(super) fn dns_status(&self) -> Option<DnsStatus> {
        let upstreams = self.dns_server().as_ref()?.resolver().upstreams();
        let is_host = matches!(self.config.dns, Dns::Host);
        Some(DnsStatus { upstreams, resolv_conf: is_host.then(|| RESOLV_CONF.to_owned()) })
    }

    /// Brings the names of an endpoint in line with the model, which the caller has locked.
    pub(super) fn update_names(&self, model: &Model, key: &EndpointKey) {
        match model.endpoint_names(key) {
            Some((port, Some(names))) => self.names.set_endpoint(port, names),
            Some((port, None)) => self.names.remove_endpoint(port),
            None => {}
        }
    }

    /// Adds a network of the model to the names. Networks that it reaches may have come before it.
    pub(super) fn add_network_names(&self, name: &NetworkName) {
        let model = self.model();
        for name in std::iter::once(name.clone()).chain(model.reached_from(name)) {
            if let Some((index, names)) = model.network_names(&name) {
                self.names.set_network(index, names);
            }
        }
    }

    /// Removes a network of the model from the names.
    pub(super) fn remove_network_names(&self, name: &NetworkName) {
        if let Some(index) = self.model().network_named(name).map(|network| network.index) {
            self.names.remove_network(index);
        }
    }
}
