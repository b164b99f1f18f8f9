//! Tracked connections, as the API shows them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use vswitch_api::conntrack::{
    Connection, ConnectionFilter, ConnectionProtocol, ConnectionServer, ConnectionState, Flushed,
    Tuple,
};

use super::Control;
use super::cut_through::Clients;
use super::error::ControlError;
use super::model::EndpointKey;

/// Endpoints by the owners of their connections, without those that are being detached.
type Endpoints = HashMap<nat::OwnerId, EndpointKey>;

impl Control {
    /// All tracked connections.
    pub(crate) async fn connections(&self) -> Result<Vec<Connection>, ControlError> {
        let rows = self.0.dataplane.conntrack().await?;
        let clients = self.0.cut_through_clients().await;
        let endpoints = self.owners();
        let shown = |row| mark(connection(row, &endpoints), row, &endpoints, &clients);
        Ok(rows.iter().map(shown).collect())
    }

    /// Deletes connections.
    pub(crate) async fn flush(&self, filter: ConnectionFilter) -> Result<Flushed, ControlError> {
        let (endpoints, shown) = (Arc::new(self.owners()), filter.clone());
        let picks = move |row: &nat::Row| filter.matches(&connection(row, &endpoints));
        let rows = match self.0.has_cut_through().await {
            true => self.0.dataplane.conntrack().await?,
            false => Vec::new(),
        };
        let connections = self.0.dataplane.conntrack_flush(picks.clone()).await?;
        let flushed = rows.iter().filter(|row| picks(row));
        let clients = flushed.map(|row| tuple(row.original)).map(|it| (it.src, it.dst)).collect();
        self.0.leave_cut_through_of(clients).await;
        tracing::info!(filter = ?shown, connections, "connections deleted");
        Ok(Flushed { connections })
    }

    fn owners(&self) -> Endpoints {
        let model = self.0.model();
        let ports = model.active().map(|(port, _)| &port.lease);
        ports.map(|lease| (nat::OwnerId(lease.slot.get() as u32), lease.key())).collect()
    }
}

fn connection(row: &nat::Row, endpoints: &Endpoints) -> Connection {
    let names = |owner: nat::OwnerId| {
        let name = |key: &EndpointKey| (key.network.to_string(), key.name.to_string());
        endpoints.get(&owner).map(name).unwrap_or_default()
    };
    let (network, container) = names(row.owner);
    let server = row.server.map(|(owner, _)| names(owner));
    let [bytes, reply_bytes] = row.bytes;
    let [frames, reply_frames] = row.frames;
    Connection {
        protocol: protocol(&row.original),
        network,
        container,
        server: server.map(|(network, container)| ConnectionServer { network, container }),
        original: tuple(row.original),
        translated: tuple(row.reply.reversed()),
        state: state(row.state),
        cut_through: false,
        idle_s: row.idle.as_secs(),
        bytes: bytes + reply_bytes,
        frames: frames + reply_frames,
        reply_bytes,
        reply_frames,
    }
}

/// Marks a connection that is cut through.
fn mark(shown: Connection, row: &nat::Row, endpoints: &Endpoints, clients: &Clients) -> Connection {
    let is_client = |key: &EndpointKey| {
        clients.contains(&(key.clone(), shown.original.src, shown.original.dst))
    };
    let cut_through = shown.protocol == ConnectionProtocol::Tcp
        && !clients.is_empty()
        && endpoints.get(&row.owner).is_some_and(is_client);
    Connection { cut_through, ..shown }
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

fn state(state: nat::State) -> ConnectionState {
    match state {
        nat::State::New => ConnectionState::New,
        nat::State::Replied => ConnectionState::Replied,
        nat::State::Stream => ConnectionState::Stream,
        nat::State::SynSent => ConnectionState::SynSent,
        nat::State::SynReceived => ConnectionState::SynReceived,
        nat::State::Established => ConnectionState::Established,
        nat::State::HalfClosed => ConnectionState::HalfClosed,
        nat::State::Closing => ConnectionState::Closing,
        nat::State::TimeWait => ConnectionState::TimeWait,
        nat::State::Reset => ConnectionState::Reset,
        nat::State::PickedUp => ConnectionState::PickedUp,
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
            server: None,
            state: nat::State::Replied,
            idle: Duration::from_millis(2900),
            bytes: [840, 84],
            frames: [10, 1],
        };
        let key = EndpointKey { name: "a".parse().unwrap(), network: "br0".parse().unwrap() };
        let shown = connection(&row, &Endpoints::from([(nat::OwnerId(2), key)]));
        assert_eq!(shown.protocol, ConnectionProtocol::Icmp);
        assert_eq!((shown.network.as_str(), shown.container.as_str()), ("br0", "a"));
        assert_eq!(shown.original.src.to_string(), "10.99.0.2:7");
        assert_eq!(shown.translated.src.to_string(), "192.0.2.1:20000");
        assert_eq!(shown.translated.dst.to_string(), "198.51.100.2:20000");
        assert_eq!((shown.state.name(), shown.idle_s), ("replied", 2));
        assert_eq!((shown.bytes, shown.frames), (924, 11));
        assert_eq!((shown.reply_bytes, shown.reply_frames), (84, 1));
        assert_eq!(shown.server, None);
        let row = nat::Row { server: Some((nat::OwnerId(3), nat::Zone(1))), ..row };
        let key = |name: &str, network: &str| EndpointKey {
            name: name.parse().unwrap(),
            network: network.parse().unwrap(),
        };
        let endpoints = [(nat::OwnerId(2), key("a", "br0")), (nat::OwnerId(3), key("b", "back"))];
        let shown = connection(&row, &Endpoints::from(endpoints));
        let both: Vec<_> = shown.containers().collect();
        assert_eq!(both, [("br0", "a"), ("back", "b")]);
    }
}
