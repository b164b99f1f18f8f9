//! Connections that are cut through, as the API shows them.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use vswitch_api::cut_through::{
    CutThroughConnection, CutThroughEnd, CutThroughState, CutThroughStatus, PortCutThrough,
};
use vswitch_api::stats::CutThroughCounters;
use vswitch_cutthrough::{Connection, ConnectionEnd, Counters, NetnsCookie};

use super::state::State;
use crate::control::Control;
use crate::control::inner::Inner;
use crate::control::model::{EndpointKey, Model, netns_cookie};
use crate::control::task::blocking;

/// The client's end of each connection: its attachment, its address, and the address that it speaks to.
pub(in crate::control) type Clients = BTreeSet<(EndpointKey, SocketAddr, SocketAddr)>;

impl Control {
    /// All connections that are cut through.
    pub(crate) async fn cut_through(&self) -> Vec<CutThroughConnection> {
        let connections = self.0.cut_through_connections().await;
        let owners = Owners::new(&self.0.model());
        let shown = |it: &Connection| CutThroughConnection {
            client: owners.end(&it.client),
            server: owners.end(&it.server),
        };
        connections.iter().map(shown).collect()
    }
}

impl Inner {
    /// The state of cut-through.
    pub(in crate::control) async fn cut_through_status(&self) -> CutThroughStatus {
        let programs = self.cut_through.clone();
        let status = blocking(move || match &*programs.lock() {
            State::NotAsked => CutThroughStatus::default(),
            State::Off(reason) => CutThroughStatus {
                state: CutThroughState::Off,
                reason: Some(reason.clone()),
                ..CutThroughStatus::default()
            },
            State::On(running) => CutThroughStatus {
                state: CutThroughState::On,
                reason: None,
                cgroup: Some(running.cgroup().display().to_string()),
                connections: running.connections().len(),
            },
        });
        status.await.unwrap_or_default()
    }

    async fn cut_through_connections(&self) -> Vec<Connection> {
        self.cut_through.ask(|running| running.connections()).await.unwrap_or_default()
    }

    /// Counters of the programs.
    pub(in crate::control) async fn cut_through_counters(&self) -> CutThroughCounters {
        let counters = self.cut_through.ask(|running| running.counters()).await;
        counters.map(counted).unwrap_or_default()
    }

    /// Cut-through of an endpoint; none if its network does not ask for it, and it has no such connection.
    pub(in crate::control) async fn port_cut_through(
        &self,
        key: &EndpointKey,
    ) -> Option<PortCutThrough> {
        let connections = self.cut_through_connections().await;
        let model = self.model();
        let (endpoint, owners) = (model.endpoint(key)?, Owners::new(&model));
        let allowed = model.is_cut_through(endpoint);
        let mut sum = PortCutThrough { allowed, ..PortCutThrough::default() };
        for Connection { client, server, .. } in &connections {
            let mut is_counted = false;
            for (own, other) in [(client, server), (server, client)] {
                if owners.owner(own) == Some(key) {
                    sum.sent_bytes += own.bytes;
                    sum.received_bytes += other.bytes;
                    is_counted = true;
                }
            }
            sum.connections += usize::from(is_counted);
        }
        let network = &model.network(Some(key.network.as_str())).ok()?.spec;
        (model.may_cut_through(network) || sum.connections > 0).then_some(sum)
    }

    /// The clients of all connections, which tracked ones are compared with.
    pub(in crate::control) async fn cut_through_clients(&self) -> Clients {
        let connections = self.cut_through_connections().await;
        let owners = Owners::new(&self.model());
        let client = |Connection { client, .. }: &Connection| {
            let key = owners.owner(client)?.clone();
            Some((key, client.tuple.local, client.tuple.remote))
        };
        connections.iter().filter_map(client).collect()
    }
}

/// Attachments by their namespaces.
struct Owners(HashMap<NetnsCookie, Vec<(EndpointKey, Vec<IpAddr>)>>);

impl Owners {
    fn new(model: &Model) -> Self {
        let mut owners = HashMap::<_, Vec<_>>::new();
        for (endpoint, _) in model.active() {
            if let Some(netns) = netns_cookie(endpoint) {
                let addresses = endpoint.lease.all_addresses().collect();
                owners.entry(netns).or_default().push((endpoint.lease.key(), addresses));
            }
        }
        Self(owners)
    }

    /// The attachment of an end: of a namespace on several networks, that with the address.
    fn owner(&self, end: &ConnectionEnd) -> Option<&EndpointKey> {
        let all = self.0.get(&end.tuple.netns)?;
        let with_address = all.iter().find(|(_, own)| own.contains(&end.tuple.local.ip()));
        with_address.or_else(|| all.first()).map(|(key, _)| key)
    }

    fn end(&self, end: &ConnectionEnd) -> CutThroughEnd {
        let owner = self.owner(end);
        CutThroughEnd {
            network: owner.map(|key| key.network.to_string()).unwrap_or_default(),
            container: owner.map(|key| key.name.to_string()).unwrap_or_default(),
            address: end.tuple.local,
            peer: end.tuple.remote,
            bytes: end.bytes,
        }
    }
}

fn counted(counters: Counters) -> CutThroughCounters {
    let [held_order, held_bound, held_reader, held_option, held_stopped, held_closed, held_refresh] =
        counters.held;
    CutThroughCounters {
        connections: counters.connections,
        left: counters.left,
        woken: counters.woken,
        sends: counters.sends,
        bytes: counters.bytes,
        left_alone: counters.left_alone,
        full: counters.full,
        failed: counters.failed,
        refused: counters.refused,
        held_order,
        held_bound,
        held_reader,
        held_option,
        held_stopped,
        held_closed,
        held_refresh,
    }
}
