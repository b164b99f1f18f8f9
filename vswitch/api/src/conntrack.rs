//! Connections that the switch tracks: translated ones, and those between containers of two networks.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::words::words;

words! {
    /// Protocol of a connection.
    ConnectionProtocol {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// SCTP.
        Sctp = "sctp",
        /// ICMP echo.
        Icmp = "icmp",
        /// ICMPv6 echo.
        Icmpv6 = "icmpv6",
    }
}

words! {
    /// State of a connection. `new`, `replied` and `stream` are those of protocols without a handshake.
    ConnectionState {
        /// No reply yet.
        New = "new",
        /// One exchange: a datagram and its reply.
        Replied = "replied",
        /// Traffic went on after the first reply; longer timeout.
        Stream = "stream",
        /// TCP SYN, or SCTP INIT, sent by the originator.
        SynSent = "syn-sent",
        /// TCP SYN in both directions.
        SynReceived = "syn-received",
        /// Handshake complete.
        Established = "established",
        /// FIN in one direction.
        HalfClosed = "half-closed",
        /// FIN in both directions.
        Closing = "closing",
        /// Closed; the tuple is kept for late segments.
        TimeWait = "time-wait",
        /// Closed by RST or ABORT.
        Reset = "reset",
        /// Begun by a segment in the middle of a connection; only one peer has spoken since.
        PickedUp = "picked-up",
    }
}

/// A row of `vswitch conntrack ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Connection {
    /// Protocol.
    pub protocol: ConnectionProtocol,
    /// Name of the network.
    pub network: String,
    /// Name of the attachment; empty while it is being detached.
    pub container: String,
    /// The server, where both ends are containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ConnectionServer>,
    /// Addresses and ports as the originator sent them.
    pub original: Tuple,
    /// Addresses and ports as the other end sees them; between two networks the same.
    pub translated: Tuple,
    /// State.
    pub state: ConnectionState,
    /// Its data goes from socket to socket, past the switch: it counts frames of the handshake, of the end, and of what TCP
    /// carries.
    #[serde(default)]
    pub cut_through: bool,
    /// Seconds since its last frame.
    pub idle_s: u64,
    /// Bytes of both directions.
    pub bytes: u64,
    /// Frames of both directions.
    pub frames: u64,
    /// Bytes of the reply direction.
    pub reply_bytes: u64,
    /// Frames of the reply direction.
    pub reply_frames: u64,
}

impl Connection {
    /// True if its addresses or ports are translated.
    #[must_use]
    pub fn is_translated(&self) -> bool {
        self.translated != self.original
    }

    /// Network and attachment of each end that is a container.
    pub fn containers(&self) -> impl Iterator<Item = (&str, &str)> {
        let server = self.server.iter().map(|it| (it.network.as_str(), it.container.as_str()));
        std::iter::once((self.network.as_str(), self.container.as_str())).chain(server)
    }
}

/// The container that answers a connection of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConnectionServer {
    /// Name of its network.
    pub network: String,
    /// Name of the attachment; empty while it is being detached.
    pub container: String,
}

/// Source and destination. The port of an echo is its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tuple {
    /// Source.
    pub src: SocketAddr,
    /// Destination.
    pub dst: SocketAddr,
}

/// Selects connections: all keys must match; an empty filter matches every connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ConnectionFilter {
    /// Name of the attachment, at either end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Name of the network, at either end: with an attachment, that of the same end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<ConnectionProtocol>,
    /// Address of either end, before or after translation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Port of either end, before or after translation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl ConnectionFilter {
    /// True if all keys match the connection.
    #[must_use]
    pub fn matches(&self, connection: &Connection) -> bool {
        let Connection { original, translated, .. } = connection;
        let ends = [original.src, original.dst, translated.src, translated.dst];
        let is_end = |(network, container): (&str, &str)| {
            self.container.as_ref().is_none_or(|name| name == container)
                && self.network.as_ref().is_none_or(|name| name == network)
        };
        connection.containers().any(is_end)
            && self.protocol.is_none_or(|protocol| protocol == connection.protocol)
            && self.address.is_none_or(|address| ends.iter().any(|end| end.ip() == address))
            && self.port.is_none_or(|port| ends.iter().any(|end| end.port() == port))
    }
}

/// The result of a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Flushed {
    /// Number of deleted connections.
    pub connections: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_selects_by_all_its_keys() {
        let tuple =
            |src: &str, dst: &str| Tuple { src: src.parse().unwrap(), dst: dst.parse().unwrap() };
        let connection = Connection {
            protocol: ConnectionProtocol::Tcp,
            network: "br0".into(),
            container: "web".into(),
            server: Some(ConnectionServer { network: "back".into(), container: "data".into() }),
            original: tuple("10.99.0.2:40000", "203.0.113.5:80"),
            translated: tuple("192.0.2.1:20000", "203.0.113.5:80"),
            state: ConnectionState::Established,
            cut_through: false,
            idle_s: 0,
            bytes: 0,
            frames: 0,
            reply_bytes: 0,
            reply_frames: 0,
        };
        let matches = |json: serde_json::Value| {
            serde_json::from_value::<ConnectionFilter>(json).unwrap().matches(&connection)
        };
        for json in [
            serde_json::json!({}),
            serde_json::json!({"container": "web", "network": "br0", "protocol": "tcp"}),
            serde_json::json!({"container": "data"}),
            serde_json::json!({"network": "back"}),
            serde_json::json!({"container": "data", "network": "back"}),
            serde_json::json!({"address": "10.99.0.2", "port": 80}),
            serde_json::json!({"address": "192.0.2.1", "port": 20000}),
        ] {
            assert!(matches(json.clone()), "{json}");
        }
        for json in [
            serde_json::json!({"container": "db"}),
            serde_json::json!({"network": "br1"}),
            serde_json::json!({"container": "web", "network": "back"}),
            serde_json::json!({"container": "web", "protocol": "udp"}),
            serde_json::json!({"address": "10.99.0.3"}),
            serde_json::json!({"address": "10.99.0.2", "port": 81}),
        ] {
            assert!(!matches(json.clone()), "{json}");
        }
    }
}
