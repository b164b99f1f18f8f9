//! The typed methods: one for each method of each path.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use vswitch_api::address::{AddressRequest, ReservedAddress};
use vswitch_api::conntrack::{Connection, ConnectionFilter, Flushed};
use vswitch_api::cut_through::CutThroughConnection;
use vswitch_api::dns::{DnsAnswer, DnsName, DnsQuery};
use vswitch_api::fdb::{EntryKey, FdbEntry, StaticEntry};
use vswitch_api::limits::Limit;
use vswitch_api::network::{
    EndpointRequest, Network, NetworkDetail, NetworkRemoval, NetworkRequest,
};
use vswitch_api::overlay::{Peer, PeerRequest};
use vswitch_api::port::{AttachRequest, NameChange, Port, PortDetail, Pruned};
use vswitch_api::port_settings::{PortSettings, SettingsChange};
use vswitch_api::publish::{Publication, PublicationKey};
use vswitch_api::registry::RegistryStatus;
use vswitch_api::routes;
use vswitch_api::stats::Stats;
use vswitch_api::status::{Shutdown, Status};

use crate::ClientError;
use crate::events::Events;
use crate::http::Endpoint;

/// A client of one daemon.
#[derive(Debug, Clone)]
pub struct Client(Endpoint);

type Result<T> = std::result::Result<T, ClientError>;

macro_rules! body {
    () => {
        None::<&()>
    };
    ($body:ident) => {
        Some($body)
    };
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) -> $out:ty
        = $method:ident $route:ident $([$($segment:ident),+])? $({$body:ident})?;)*) => {
        impl Client {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// [`ClientError`]
            pub async fn $name(&self $(, $arg: $type)*) -> Result<$out> {
                let path = routes::$route.to_owned();
                $($(let path = route(&path, $segment);)+)?
                self.0.call(Method::$method, &path, body!($($body)?)).await
            }
        )*}
    };
}

methods! {
    /// The daemon's version, backend, workers and uplinks.
    status() -> Status = GET STATUS;
    /// Asks the daemon to restore the host and to end; returns before it has. A daemon before cut-through tells nothing.
    shutdown() -> Option<Shutdown> = POST SHUTDOWN;
    /// All networks.
    networks() -> Vec<Network> = GET NETWORKS;
    /// One network with its members.
    network(name: &str) -> NetworkDetail = GET NETWORK [name];
    /// Creates a network: all or nothing.
    create_network(request: &NetworkRequest) -> NetworkDetail = POST NETWORKS {request};
    /// Removes a network.
    remove_network(name: &str, removal: &NetworkRemoval) -> () = DELETE NETWORK [name] {removal};
    /// Connects a running container to a further network: all or nothing.
    connect_endpoint(network: &str, request: &EndpointRequest) -> PortDetail
        = POST ENDPOINTS [network] {request};
    /// Disconnects a container from a network.
    disconnect_endpoint(network: &str, name: &str) -> () = DELETE ENDPOINT [network, name];
    /// Reserved addresses of a network.
    addresses(network: &str) -> Vec<ReservedAddress> = GET ADDRESSES [network];
    /// Reserves an address of a network.
    reserve_address(network: &str, request: &AddressRequest) -> ReservedAddress
        = POST ADDRESSES [network] {request};
    /// Ends the reservation of an address; an attachment that has the address keeps it.
    release_address(network: &str, address: IpAddr) -> () = DELETE ADDRESS [network, address];
    /// Static peers of a network.
    network_peers(name: &str) -> Vec<SocketAddr> = GET NETWORK_PEERS [name];
    /// Adds a static peer to an overlay network; returns its address and port.
    add_peer(network: &str, request: &PeerRequest) -> SocketAddr = POST NETWORK_PEERS [network] {request};
    /// Removes a static peer.
    remove_peer(network: &str, request: &PeerRequest) -> () = DELETE NETWORK_PEERS [network] {request};
    /// The peers of all networks, with their counters.
    peers() -> Vec<Peer> = GET PEERS;
    /// The registry of overlay networks, and this node's part in it.
    registry() -> RegistryStatus = GET REGISTRY;
    /// One row per attached container and network.
    ports() -> Vec<Port> = GET PORTS;
    /// The attachments with a label, after the end of requests that attach or detach such ones.
    labelled_ports(key: &str, value: &str) -> Vec<Port> = GET LABELLED_PORTS [key, value];
    /// Attaches a network namespace: all or nothing.
    attach(request: &AttachRequest) -> PortDetail = POST PORTS {request};
    /// One attachment, once per network that it is on.
    port(name: &str) -> Vec<PortDetail> = GET PORT [name];
    /// Gives an attachment another name on all of its networks; returns it as `port` does.
    rename(name: &str, change: &NameChange) -> Vec<PortDetail> = PATCH PORT [name] {change};
    /// Detaches a container.
    detach(name: &str) -> () = DELETE PORT [name];
    /// Detaches containers whose namespace nobody can reach any more.
    prune() -> Pruned = POST PRUNE;
    /// Settings of a port; the host's port goes by the bridge's name.
    port_settings(name: &str) -> PortSettings = GET PORT_SETTINGS [name];
    /// Changes settings of a port; returns all settings after the change.
    change_port_settings(name: &str, change: &SettingsChange) -> PortSettings
        = PATCH PORT_SETTINGS [name] {change};
    /// Published ports of a container.
    publications(name: &str) -> Vec<Publication> = GET PORT_PUBLICATIONS [name];
    /// Publishes ports of a container; returns the publication with the host ports that were picked.
    publish(name: &str, publication: &Publication) -> Publication
        = POST PORT_PUBLICATIONS [name] {publication};
    /// Ends publications; returns them.
    unpublish(name: &str, key: &PublicationKey) -> Vec<Publication> = DELETE PORT_PUBLICATIONS [name] {key};
    /// All tracked connections.
    connections() -> Vec<Connection> = GET CONNTRACK;
    /// Connections that are cut through.
    cut_through() -> Vec<CutThroughConnection> = GET CUT_THROUGH;
    /// Deletes the connections that a filter matches.
    flush_connections(filter: &ConnectionFilter) -> Flushed = DELETE CONNTRACK {filter};
    /// The forwarding database.
    fdb() -> Vec<FdbEntry> = GET FDB;
    /// Sets a static entry of the forwarding database.
    set_static(entry: &StaticEntry) -> () = PUT FDB {entry};
    /// Removes a static entry of the forwarding database.
    remove_static(key: &EntryKey) -> () = DELETE FDB {key};
    /// All names of containers.
    dns_names() -> Vec<DnsName> = GET DNS;
    /// The answer that a container would get.
    dns_query(query: &DnsQuery) -> DnsAnswer = POST DNS_QUERY {query};
    /// Counters of ports and workers.
    stats() -> Stats = GET STATS;
    /// Limits of the switch, with how often each was hit.
    limits() -> Vec<Limit> = GET LIMITS;
}

impl Client {
    /// A client of the daemon that listens at `socket`; connects with each request.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self(Endpoint(socket.into()))
    }

    /// Events from now on.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn events(&self) -> Result<Events> {
        Events::open(&self.0).await
    }

    /// Process id of the daemon, where the kernel can name it (`SO_PEERCRED`).
    ///
    /// # Errors
    /// [`ClientError::NoDaemon`] and other failures to connect.
    pub async fn daemon_pid(&self) -> Result<Option<i32>> {
        let stream = self.0.connect().await?;
        Ok(stream.peer_cred().ok().and_then(|credentials| credentials.pid()))
    }
}

/// Characters that a path segment may hold unescaped (RFC 3986, "unreserved").
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Puts a segment, percent-encoded, into one of [`routes`], for its first `{...}`.
fn route(template: &str, segment: impl Display) -> String {
    let (start, rest) = template.split_once('{').unwrap_or((template, ""));
    let end = rest.split_once('}').map_or("", |(_, end)| end);
    format!("{start}{}{end}", utf8_percent_encode(&segment.to_string(), SEGMENT))
}

#[cfg(test)]
mod tests;
