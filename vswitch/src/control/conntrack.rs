//! Connections whose addresses are translated, as the API shows them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use vswitch_api::conntrack::{Connection, ConnectionFilter, Flushed, Tuple};

use super::Control;
use super::error::ControlError;

/// Names of attachments by the owners of their connections.
type Names = HashMap<nat::OwnerId, String>;

impl Control {
    /// All connections. A network where nothing is translated has none.
    pub(crate) async fn connections(&self) -> Result<Vec<Connection>, ControlError> {
        let rows = self.0.dataplane.conntrack().await?;
        let names = self.owners();
        Ok(rows.iter().map(|row| connection(row, &names)).collect())
    }

    /// Forgets connections.
    pub(crate) async fn flush(&self, filter: ConnectionFilter) -> Result<Flushed, ControlError> {
        let (names, shown) = (Arc::new(self.owners()), filter.clone());
        let picks = move |row: &nat::Row| filter.matches(&connection(row, &names));
        let connections = self.0.dataplane.conntrack_flush(picks).await?;
        tracing::info!(filter = ?shown, connections, "connections forgotten");
        Ok(Flushed { connections })
    }

    fn owners(&self) -> Names {
        let model = self.0.model();
        let ports = model.active().map(|(port, _)| &port.lease);
        ports.map(|lease| (nat::OwnerId(lease.slot.get() as u32), lease.name.to_string())).collect()
    }
}

fn connection(row: &nat::Row, names: &Names) -> Connection {
    let [forward, back] = row.bytes;
    let [frames, replies] = row.frames;
    Connection {
        protocol: protocol(&row.original).to_owned(),
        // That of one which is being detached is no longer shown.
        container: names.get(&row.owner).cloned().unwrap_or_default(),
        original: tuple(row.original),
        translated: tuple(row.reply.reversed()),
        state: row.state.name().to_owned(),
        idle_s: row.idle.as_secs(),
        bytes: forward + back,
        frames: frames + replies,
        reply_bytes: back,
        reply_frames: replies,
    }
}

fn protocol(tuple: &nat::Tuple) -> &'static str {
    match (tuple.transport, tuple.src.address.is_ipv4()) {
        (nat::Transport::Tcp, _) => "tcp",
        (nat::Transport::Udp, _) => "udp",
        (nat::Transport::Sctp, _) => "sctp",
        (nat::Transport::Echo, true) => "icmp",
        (nat::Transport::Echo, false) => "icmpv6",
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
            zone: nat::Zone(0),
            owner: nat::OwnerId(2),
            state: nat::State::Replied,
            idle: Duration::from_millis(2900),
            bytes: [840, 84],
            frames: [10, 1],
        };
        let shown = connection(&row, &Names::from([(nat::OwnerId(2), "a".to_owned())]));
        assert_eq!((shown.protocol.as_str(), shown.container.as_str()), ("icmp", "a"));
        assert_eq!(shown.original.src.to_string(), "10.99.0.2:7");
        assert_eq!(shown.translated.src.to_string(), "192.0.2.1:20000");
        assert_eq!(shown.translated.dst.to_string(), "198.51.100.2:20000");
        assert_eq!((shown.state.as_str(), shown.idle_s), ("replied", 2));
        assert_eq!((shown.bytes, shown.frames), (924, 11));
        assert_eq!((shown.reply_bytes, shown.reply_frames), (84, 1));
    }
}
