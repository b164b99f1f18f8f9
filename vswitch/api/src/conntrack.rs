//! Connections whose addresses the switch translates.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// A row of `vswitch conntrack ls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// `tcp`, `udp`, `icmp`, `icmpv6` or `sctp`.
    pub protocol: String,
    /// Name of the attachment that it belongs to.
    pub container: String,
    /// Addresses and ports as whoever began it wrote them.
    pub original: Tuple,
    /// Addresses and ports as the other end sees them.
    pub translated: Tuple,
    /// How far it is: of TCP `syn-sent`, `established`, ...; else `unreplied` or `replied`.
    pub state: String,
    /// Seconds since its last frame.
    pub idle_s: u64,
    /// Bytes of both directions.
    pub bytes: u64,
    /// Frames of both directions.
    pub frames: u64,
    /// Bytes of the answers alone.
    pub reply_bytes: u64,
    /// Frames of the answers alone.
    pub reply_frames: u64,
}

/// Who talks to whom. The port of an echo is its identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tuple {
    /// From.
    pub src: SocketAddr,
    /// To.
    pub dst: SocketAddr,
}

/// Picks connections: all that is said must hold, and nothing said is every connection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionFilter {
    /// Name of the attachment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// An address of either end, before or after translation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// A port of either end, before or after translation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl ConnectionFilter {
    /// Whether a connection is one of them.
    #[must_use]
    pub fn matches(&self, connection: &Connection) -> bool {
        let Connection { original, translated, .. } = connection;
        let ends = [original.src, original.dst, translated.src, translated.dst];
        self.container.as_ref().is_none_or(|name| *name == connection.container)
            && self.protocol.as_ref().is_none_or(|name| *name == connection.protocol)
            && self.address.is_none_or(|address| ends.iter().any(|end| end.ip() == address))
            && self.port.is_none_or(|port| ends.iter().any(|end| end.port() == port))
    }
}

/// What a flush did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flushed {
    /// Connections that are forgotten.
    pub connections: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_picks_what_meets_all_that_is_said() {
        let tuple =
            |src: &str, dst: &str| Tuple { src: src.parse().unwrap(), dst: dst.parse().unwrap() };
        let connection = Connection {
            protocol: "tcp".into(),
            container: "web".into(),
            original: tuple("10.99.0.2:40000", "203.0.113.5:80"),
            translated: tuple("192.0.2.1:20000", "203.0.113.5:80"),
            state: "established".into(),
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
            serde_json::json!({"container": "web", "protocol": "tcp"}),
            serde_json::json!({"address": "10.99.0.2", "port": 80}),
            serde_json::json!({"address": "192.0.2.1", "port": 20000}),
        ] {
            assert!(matches(json.clone()), "{json}");
        }
        for json in [
            serde_json::json!({"container": "db"}),
            serde_json::json!({"container": "web", "protocol": "udp"}),
            serde_json::json!({"address": "10.99.0.3"}),
            serde_json::json!({"address": "10.99.0.2", "port": 81}),
        ] {
            assert!(!matches(json.clone()), "{json}");
        }
    }
}
