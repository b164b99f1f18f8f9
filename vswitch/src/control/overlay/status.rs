//! The underlay and the registry as the API shows them.

use std::sync::Arc;

use vswitch_api::overlay::{RemoteEndpoint, UnderlayStatus};
use vswitch_api::registry::{LeaseState, LeaseStatus, RegistryStatus, RegistrySummary};

use super::OverlayError;
use crate::config::{Config, VxlanChecksum};
use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::inner::Inner;
use crate::control::limits::REMOTE_ENDPOINTS_SHOWN;
use crate::control::model::{Model, Network};
use crate::overlay::{self, OverlayStatus};

/// The switch on the underlay.
pub(in crate::control) fn underlay_status(
    model: &Model,
    config: &Config,
) -> Option<UnderlayStatus> {
    let tunnel = model.tunnel()?;
    Some(UnderlayStatus {
        node: tunnel.node.to_string(),
        address: tunnel.local,
        device: tunnel.device.clone(),
        device_mtu: tunnel.device_mtu,
        mtu: tunnel.mtu(),
        peers: model.vteps().count(),
        checksum: config.vxlan_checksum == VxlanChecksum::On,
    })
}

/// The first endpoints of a network on other nodes, in the order of their addresses, at most [`REMOTE_ENDPOINTS_SHOWN`],
/// and the number of all.
pub(in crate::control) fn remote_endpoints(
    model: &Model,
    network: &Network,
) -> (Vec<RemoteEndpoint>, usize) {
    let shown = |endpoint: &Arc<overlay::RemoteEndpoint>| RemoteEndpoint {
        address: endpoint.address,
        mac: endpoint.mac,
        name: Some(endpoint.name.to_string()).filter(|name| !name.is_empty()),
        aliases: endpoint.aliases.iter().map(ToString::to_string).collect(),
        node: endpoint.node.to_string(),
    };
    let name = network.spec.name.as_str();
    let first = model.remotes_on(name).take(REMOTE_ENDPOINTS_SHOWN);
    (first.map(shown).collect(), model.remotes_count(name))
}

impl Control {
    /// The registry, and this node's part in it.
    pub(crate) async fn registry_status(&self) -> Result<RegistryStatus, ControlError> {
        let status = self.0.registry_status().await;
        Ok(status.ok_or(OverlayError::NoRegistry)?)
    }
}

impl Inner {
    /// The registry in short; none without `--registry`.
    pub(in crate::control) async fn registry_summary(&self) -> Option<RegistrySummary> {
        let RegistryStatus { url, connected, problem, faults, .. } = self.registry_status().await?;
        Some(RegistrySummary { url, connected, problem, faults: faults.len() })
    }

    /// The registry, and this node's part in it; none without `--registry`.
    pub(in crate::control) async fn registry_status(&self) -> Option<RegistryStatus> {
        let url = self.config.registry.as_ref()?.to_string();
        let found = match self.registry.get() {
            Some(overlay) => overlay.status().await.map_err(|error| error.to_string()),
            None => Err("the switch is starting".to_owned()),
        };
        let node = self.model().tunnel().map(|tunnel| tunnel.node.to_string()).unwrap_or_default();
        Some(match found {
            Ok(status) => shown(status, node),
            Err(problem) => unknown(url, node, problem),
        })
    }
}

/// The status of the node's part, for the API.
fn shown(status: OverlayStatus, node: String) -> RegistryStatus {
    let lease = status.lease.map(|lease| LeaseStatus {
        id: lease.id,
        ttl_s: lease.ttl.as_secs(),
        state: match lease.state {
            vswitch_registry::LeaseState::Active => LeaseState::Active,
            vswitch_registry::LeaseState::Unconfirmed => LeaseState::Unconfirmed,
            vswitch_registry::LeaseState::Ended => LeaseState::Ended,
        },
    });
    RegistryStatus {
        url: status.url,
        node,
        connected: status.is_connected,
        problem: status.problem,
        endpoint: status.endpoint,
        revision: status.revision.0,
        lag_ms: u64::try_from(status.lag.as_millis()).unwrap_or(u64::MAX),
        lease,
        queued: status.queued,
        // The last part of a second is one in which nobody is believed gone, too.
        grace_s: status.grace.map(|grace| grace.as_secs() + 1),
        doubted: status.doubted,
        networks: status.networks,
        nodes: status.nodes,
        endpoints: status.endpoints,
        own_endpoints: status.own_endpoints,
        own_blocks: status.own_blocks,
        faults: status.faults,
    }
}

/// A registry of which nothing is known.
fn unknown(url: String, node: String, problem: String) -> RegistryStatus {
    RegistryStatus {
        url,
        node,
        connected: false,
        problem: Some(problem),
        endpoint: None,
        revision: 0,
        lag_ms: 0,
        lease: None,
        queued: 0,
        grace_s: None,
        doubted: 0,
        networks: 0,
        nodes: 0,
        endpoints: 0,
        own_endpoints: 0,
        own_blocks: 0,
        faults: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vswitch_registry::Revision;

    use super::*;

    #[test]
    fn the_nodes_part_is_shown_in_the_units_of_the_api() {
        let status = OverlayStatus {
            url: "etcd://192.0.2.9:2379/vswitch".into(),
            is_connected: true,
            problem: None,
            endpoint: Some("192.0.2.9:2379".into()),
            revision: Revision(7),
            lag: Duration::from_micros(2500),
            lease: Some(crate::overlay::LeaseStatus {
                id: "4a".into(),
                ttl: Duration::from_secs(15),
                state: vswitch_registry::LeaseState::Unconfirmed,
            }),
            queued: 1,
            grace: Some(Duration::from_millis(100)),
            doubted: 2,
            networks: 3,
            nodes: 4,
            endpoints: 5,
            own_endpoints: 6,
            own_blocks: 8,
            faults: vec!["vnis/9: not JSON".into()],
        };
        let shown = shown(status, "n1".into());
        assert_eq!((shown.revision, shown.lag_ms, shown.grace_s), (7, 2, Some(1)));
        let lease = shown.lease.as_ref().unwrap();
        assert_eq!((lease.ttl_s, lease.state), (15, LeaseState::Unconfirmed));
        let counts = [shown.networks, shown.nodes, shown.endpoints];
        assert_eq!((counts, shown.own_endpoints, shown.own_blocks), ([3, 4, 5], 6, 8));
        assert_eq!((shown.queued, shown.doubted, shown.faults.len()), (1, 2, 1));
    }
}
