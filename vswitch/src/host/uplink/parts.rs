//! Handing an uplink over: to another process, or to another [`Uplink`].
//!
//! [`UplinkParts`] are descriptors and plain data. Whoever has them can rebuild the uplink, which then undoes
//! everything as before. Dropped as they are, they leave settings behind, as a crash does: see
//! [`restore_after_crash`](super::restore_after_crash).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;

use super::forwarding::{Forwarding, ForwardingParts};
use super::publish::{Entry, proxied_sockets};
use super::snat_blocks::SharedHeldBlocks;
use super::tables::{Fixed, Shared};
use super::taps::{Taps, UplinkTaps};
use super::{
    Followed, HostNetwork, Mode, TapId, Uplink, UplinkError, UplinkState, connect, follow,
    host_ports,
};
use crate::host::Netlink;
use crate::host::nft::{Firewall, Forward, Forwards, TablesParts};
use crate::host::proxy::relayed::{RelayProxy, RelaySockets};
use crate::host::proxy::syn_watch::SynWatch;
use crate::host::reserve::reserved_ports::{ReservedPorts, ReservedPortsParts};
use crate::host::reserve::snat_lock::SnatRangeLock;
use crate::host::reserve::sockets::PortReservation;

/// A published port or range, with the sockets that reserve it.
#[derive(Debug)]
pub(crate) struct PublishedParts {
    forward: Arc<Forward>,
    reservation: PortReservation,
}

/// Everything that an uplink has changed on the host.
#[derive(Debug)]
pub(crate) struct UplinkParts {
    fixed: Fixed,
    networks: Vec<HostNetwork>,
    /// The TAPs by device, and the queues that the switch has not taken.
    taps: BTreeMap<String, TapId>,
    untaken: UplinkTaps,
    tables: TablesParts,
    published: Vec<PublishedParts>,
    relay: Option<RelaySockets>,
    reserved: Option<ReservedPortsParts>,
    /// The sockets of claimed SNAT ports.
    held: SharedHeldBlocks,
    /// A socket: the range is locked while it is open.
    snat_lock: Option<SnatRangeLock>,
    forwarding: Option<ForwardingParts>,
}

#[cfg_attr(not(test), expect(dead_code, reason = "a restart without loss calls it"))]
impl Uplink {
    /// Ends the tasks and gives up everything without undoing it.
    ///
    /// # Errors
    /// The tables cannot be given up: then everything is undone.
    pub(crate) async fn into_parts(self) -> Result<UplinkParts, UplinkError> {
        let Self {
            shared,
            monitor,
            untaken,
            entries,
            syns,
            relay,
            reserved,
            held,
            snat_lock,
            forwarding,
            ..
        } = self;
        drop(syns);
        if monitor.end().await.is_err() {
            tracing::error!("the task that follows the uplink had panicked");
        }
        let mut published = Vec::with_capacity(entries.len());
        for Entry { forward, reservation, proxies } in entries {
            for proxy in proxies {
                proxy.end().await;
            }
            published.push(PublishedParts { forward, reservation });
        }
        let relay = match relay {
            Some(relay) => Some(relay.into_parts().await),
            None => None,
        };
        let (fixed, networks, state, tables) = shared.into_parts()?;
        let taps = state.links.into_iter().filter_map(|link| Some((link.device, link.tap?)));
        let taps = taps.collect();
        let reserved = reserved.into_parts();
        let forwarding = forwarding.map(Forwarding::into_parts);
        Ok(UplinkParts {
            fixed,
            networks,
            taps,
            untaken,
            tables,
            published,
            relay,
            reserved,
            held,
            snat_lock,
            forwarding,
        })
    }

    /// Rebuilds an uplink, in the network namespace of the calling thread, and adapts it to the state of the
    /// kernel now.
    ///
    /// # Errors
    /// See [`UplinkError`]; then everything is undone.
    pub(crate) async fn from_parts(
        parts: UplinkParts,
        netlink: &Netlink,
    ) -> Result<(Self, watch::Receiver<UplinkState>), UplinkError> {
        // First the guards: from here on an error undoes.
        let reserved = ReservedPorts::from_parts(parts.reserved);
        let forwarding = parts.forwarding.map(Forwarding::from_parts);
        let loaded = parts.tables.rules().clone();
        let firewall = Firewall::from_parts(parts.tables);
        let relay = parts.relay.map(RelayProxy::from_parts).transpose();
        let relay = relay.map_err(UplinkError::Proxy)?;
        let fixed = parts.fixed;
        let (snat, untaken) = (fixed.config.reserved_snat(), parts.untaken);
        let config = &fixed.config;
        let taps = (config.mode != Mode::Kernel).then(|| {
            let taps = Taps::new(netlink.clone(), config.bridge.clone(), config.queues);
            taps.with(parts.taps, untaken.clone())
        });
        let mut syns = SynWatch::new(&config.bridge);
        let (mut monitor, kernel) = connect(config, taps).await?;
        let state = monitor.compile(&kernel, None, host_ports(&parts.networks), &|| {}).await?;
        let forwards: Vec<_> = parts.published.iter().map(|one| one.forward.clone()).collect();
        let forwards = Forwards::new(forwards);
        let published = forwards.clone();
        let former = (firewall, loaded);
        let shared =
            Shared::from_parts(fixed, former, state.clone(), parts.networks, forwards).await?;
        let mut entries = Vec::with_capacity(parts.published.len());
        for PublishedParts { forward, reservation } in parts.published {
            entries.push(Entry::serve(forward, reservation, &syns)?);
        }
        syns.change(&BTreeSet::new(), &proxied_sockets(&entries)).await;
        if let Some(relay) = &relay {
            relay.change(&[], &published).await;
        }
        let (Followed { monitor, neigh_requests, portless }, states) =
            follow(monitor, &shared, state);
        let uplink = Self {
            shared,
            monitor,
            neigh_requests,
            portless,
            untaken,
            published,
            entries,
            syns,
            relay,
            reserved,
            snat,
            held: parts.held,
            snat_lock: parts.snat_lock,
            forwarding,
        };
        Ok((uplink, states))
    }
}
