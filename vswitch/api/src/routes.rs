//! Paths and methods of the API. `{name}` is one percent-encoded path segment.

/// `GET` -> [`crate::status::Status`].
pub const STATUS: &str = "/v1/status";
/// `POST` -> 202 [`crate::status::Shutdown`]; the daemon restores the host and ends.
pub const SHUTDOWN: &str = "/v1/shutdown";
/// `GET` -> `[`[`crate::network::Network`]`]`; `POST` [`crate::network::NetworkRequest`] -> 201
/// [`crate::network::NetworkDetail`].
pub const NETWORKS: &str = "/v1/networks";
/// `GET` -> [`crate::network::NetworkDetail`]; `DELETE` [`crate::network::NetworkRemoval`] -> 204.
pub const NETWORK: &str = "/v1/networks/{name}";
/// `POST` [`crate::network::EndpointRequest`] -> 201 [`crate::port::PortDetail`].
pub const ENDPOINTS: &str = "/v1/networks/{name}/endpoints";
/// `DELETE` -> 204.
pub const ENDPOINT: &str = "/v1/networks/{name}/endpoints/{container}";
/// `GET` -> `[`[`crate::address::ReservedAddress`]`]`; `POST` [`crate::address::AddressRequest`] -> 201
/// [`crate::address::ReservedAddress`].
pub const ADDRESSES: &str = "/v1/networks/{name}/addresses";
/// `DELETE` -> 204.
pub const ADDRESS: &str = "/v1/networks/{name}/addresses/{address}";
/// `GET` -> `[SocketAddr]`; `POST` [`crate::overlay::PeerRequest`] -> 201 `SocketAddr`; `DELETE`
/// [`crate::overlay::PeerRequest`] -> 204.
pub const NETWORK_PEERS: &str = "/v1/networks/{name}/peers";
/// `GET` -> `[`[`crate::overlay::Peer`]`]`.
pub const PEERS: &str = "/v1/peers";
/// `GET` -> [`crate::registry::RegistryStatus`]; 404 without a registry.
pub const REGISTRY: &str = "/v1/registry";
/// `GET` -> `[`[`crate::port::Port`]`]`; `POST` [`crate::port::AttachRequest`] -> 201 [`crate::port::PortDetail`].
pub const PORTS: &str = "/v1/ports";
/// `GET` -> `[`[`crate::port::PortDetail`]`]`, one per network; `PATCH` [`crate::port::NameChange`] -> the same
/// under the new name; `DELETE` -> 204.
pub const PORT: &str = "/v1/ports/{name}";
/// `GET` -> `[`[`crate::port::Port`]`]`: those with a label, after the end of requests that attach or detach such ones.
pub const LABELLED_PORTS: &str = "/v1/labels/{key}/{value}/ports";
/// `GET` -> [`crate::port_settings::PortSettings`]; `PATCH` [`crate::port_settings::SettingsChange`] -> the new one. The host's port goes
/// by the bridge's name.
pub const PORT_SETTINGS: &str = "/v1/ports/{name}/settings";
/// `GET` -> `[`[`crate::publish::Publication`]`]`; `POST` [`crate::publish::Publication`] -> 201, the same with the ports that were
/// picked; `DELETE` [`crate::publish::PublicationKey`] -> those that ended.
pub const PORT_PUBLICATIONS: &str = "/v1/ports/{name}/publications";
/// `GET` -> `[`[`crate::conntrack::Connection`]`]`; `DELETE` [`crate::conntrack::ConnectionFilter`] ->
/// [`crate::conntrack::Flushed`].
pub const CONNTRACK: &str = "/v1/conntrack";
/// `GET` -> `[`[`crate::cut_through::CutThroughConnection`]`]`.
pub const CUT_THROUGH: &str = "/v1/cut-through";
/// `GET` -> `[`[`crate::fdb::FdbEntry`]`]`; `PUT` [`crate::fdb::StaticEntry`] -> 204; `DELETE` [`crate::fdb::EntryKey`] -> 204.
pub const FDB: &str = "/v1/fdb";
/// `GET` -> `[`[`crate::dns::DnsName`]`]`.
pub const DNS: &str = "/v1/dns";
/// `POST` [`crate::dns::DnsQuery`] -> [`crate::dns::DnsAnswer`].
pub const DNS_QUERY: &str = "/v1/dns/query";
/// `POST` -> [`crate::port::Pruned`].
pub const PRUNE: &str = "/v1/prune";
/// `GET` -> a stream of [`crate::event::Event`], one a line (newline-delimited JSON), until the daemon ends.
pub const EVENTS: &str = "/v1/events";
/// `GET` -> [`crate::stats::Stats`].
pub const STATS: &str = "/v1/stats";
/// `GET` -> `[`[`crate::limits::Limit`]`]`.
pub const LIMITS: &str = "/v1/limits";
/// `GET` -> Prometheus' text format, version 0.0.4.
pub const METRICS: &str = "/metrics";

/// All paths.
#[cfg(test)]
pub(crate) const ALL: &[&str] = &[
    STATUS,
    SHUTDOWN,
    NETWORKS,
    NETWORK,
    ENDPOINTS,
    ENDPOINT,
    ADDRESSES,
    ADDRESS,
    NETWORK_PEERS,
    PEERS,
    REGISTRY,
    PORTS,
    PORT,
    LABELLED_PORTS,
    PORT_SETTINGS,
    PORT_PUBLICATIONS,
    CONNTRACK,
    CUT_THROUGH,
    FDB,
    DNS,
    DNS_QUERY,
    PRUNE,
    EVENTS,
    STATS,
    LIMITS,
    METRICS,
];
