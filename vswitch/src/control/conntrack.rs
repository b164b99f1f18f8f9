//! Translated connections, as the API shows them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use vswitch_api::conntrack::{Connection, ConnectionFilter, ConnectionProtocol, Flushed, Tuple};

use super::Control;
use super::error::ControlError;

/// The names in rows.
#[derive(Debug)]
struct Names {
    network: String,
    /// Attachments by the owners of their connections, without those that are being detached.
    by_owner: HashMap<nat::OwnerId, String>,
}

impl Control {
    /// All translated connections.
    pub(crate) async fn connections(&self) -> Result<Vec<Connection>, ControlError> {
        let rows = self.0.dataplane.conntrack().await?;
        let names = self.names();
        Ok(rows.iter().map(|row| connection(row, &names)).collect())
    }

    /// Deletes connections.
    pub(crate) async fn flush(&self, filter: ConnectionFilter) -> Result<Flushed, ControlError> {
        let (names, shown) = (Arc::new(self.names()), filter.clone());
        let picks = move |row: &nat::Row| filter.matches(&connection(row, &names));
        let connections = self.0.dataplane.conntrack_flush(picks).await?;
        tracing::info!(filter = ?shown, connections, "connections deleted");
        Ok(Flushed { connections })
    }

    fn names(&self) -> Names {
        let model = self.0.model();
        let ports = model.active().map(|(port, _)| &port.lease);
        let by_owner =
            ports.map(|lease| (nat::OwnerId(lease.slot.get() as u32), lease.name.to_string()));
        Names { network: model.network.name.to_string(), by_owner: by_owner.collect() }
    }
}

fn connection(row: &nat::Row, names: &Names) -> Connection {
    let [bytes, reply_bytes] = row.bytes;
    let [frames, reply_frames] = row.frames;
    Connection {
        protocol: protocol(&row.original),
        network: names.network.clone(),
        container: names.by_owner.get(&row.owner).cloned().unwrap_or_default(),
        original: tuple(row.original),
        translated: tuple(row.reply.reversed()),
        state: row.state.name().into(),
        idle_s: row.idle.as_secs(),
        bytes: bytes + reply_bytes,
        frames: frames + reply_frames,
        reply_bytes,
        reply_frames,
    }
}

fn protocol(tuple: &nat::Tuple) -> ConnectionProtocol {
    match (tuple.transport, tuple.src.address.is_ipv4()) {
        (nat::Transport::Tcp, _) => ConnectionProtocol::Tcp,
        (nat::Transport::Udp, _) => ConnectionProtocol::Udp,
        (nat::Transport::Sctp, _) => ConnectionProtocol::Sctp,
        (nat::Transport::Echo, true) => ConnectionProtocol::Icmp,
        (nat::Transport::Echo, false) => ConnectionProtocol::Icmpv6,
    }
}

fn tuple(tuple: nat::Tuple) -> Tuple {
    let end = |end: nat::Endpoint| SocketAddr::new(end.address, end.port);
    Tuple { src: end(tuple.src), dst: end(tuple.dst) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_row_is_shown_as_the_other_end_sees_it() {
        let end = |text: &str| {
            let end: SocketAddr = text.parse().unwrap();
            nat::Endpoint::new(end.ip(), end.port())
        };
        let tuple = |src: &str, dst: &str| nat::Tuple {
            transport: nat::Transport::Echo,
            src: end(src),
            dst: end(dst),
        };
        let row = nat::Row {
            transport: nat::Transport::Echo,
            original: tuple("10.99.0.2:7", "198.51.100.2:7"),
            reply: tuple("198.51.100.2:20000", "192.0.2.1:20000"),
            owner: nat::OwnerId(2),
            state: nat::State::Replied,
            idle: Duration::from_millis(2900),
            bytes: [840, 84],
            frames: [10, 1],
        };
        let by_owner = HashMap::from([(nat::OwnerId(2), "a".to_owned())]);
        let shown = connection(&row, &Names { network: "br0".to_owned(), by_owner });
        assert_eq!((shown.protocol.name(), shown.container.as_str()), ("icmp", "a"));
        assert_eq!(shown.original.src.to_string(), "10.99.0.2:7");
        assert_eq!(shown.translated.src.to_string(), "192.0.2.1:20000");
        assert_eq!(shown.translated.dst.to_string(), "198.51.100.2:20000");
        assert_eq!((shown.state.name(), shown.idle_s), ("replied", 2));
        assert_eq!((shown.bytes, shown.frames), (924, 11));
        assert_eq!((shown.reply_bytes, shown.reply_frames), (84, 1));
    }
}
