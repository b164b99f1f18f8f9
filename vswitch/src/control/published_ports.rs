//! Published ports of the host: those that are open, and their rules.
//!
//! A publication is shown to the datapath before it is opened on the host, and closed there before it is
//! hidden, so that each frame that is handed over finds its rule. The host loads all open ports as one set:
//! the publisher stays locked during a change, and each change adds to the set before it.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::IpNet;
use vswitch_api::publish::{PortSpec, Publication};

use super::error::ControlError;
use super::model::{EndpointKey, Lease};
use super::name::Name;
use super::store::Document;
use crate::host::conntrack;
use crate::host::nft::{Forward, Forwards, Published};
use crate::host::reserve::ReserveError;
use crate::host::stale_flows::StaleFlows;
use crate::host::uplink::{Uplink, UplinkError};

/// The host's side of the uplink, with the ports that are open on it.
#[derive(Debug, Default)]
pub(super) struct HostPublisher {
    pub(super) uplink: Option<Uplink>,
    active: Vec<Arc<HostPublication>>,
}

/// A publication that is open on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
struct HostPublication {
    key: EndpointKey,
    ports: PortSpec,
    forward: Arc<Forward>,
}

impl HostPublisher {
    /// Opens all publications of an endpoint, or none.
    pub(super) async fn open(
        &mut self,
        lease: &Lease,
        publications: &[Publication],
    ) -> Result<(), UplinkError> {
        let new = publications.iter().filter_map(|one| {
            let (key, ports) = (lease.key(), one.ports);
            let forward = forward(&ports, (lease.ipv4, lease.ipv6), allowed(one))?;
            Some(Arc::new(HostPublication { key, ports, forward: Arc::new(forward) }))
        });
        let all = self.active.iter().cloned().chain(new).collect();
        self.load(all).await
    }

    /// Closes the publications of an endpoint for which `goes` holds.
    pub(super) async fn close(
        &mut self,
        key: &EndpointKey,
        goes: impl Fn(&PortSpec) -> bool,
    ) -> Result<(), UplinkError> {
        let mut left = self.active.clone();
        left.retain(|one| one.key != *key || !goes(&one.ports));
        self.load(left).await
    }

    /// Leads open ports of an endpoint to others. The ports stay reserved.
    pub(super) async fn hand_on(
        &mut self,
        from: &EndpointKey,
        handed: &[(Lease, PortSpec)],
    ) -> Result<(), UplinkError> {
        let mut all = self.active.clone();
        for one in all.iter_mut().filter(|one| one.key == *from) {
            let to = handed.iter().find(|(_, ports)| *ports == one.ports);
            let allow_from = one.forward.allow_from.clone();
            let lead = |to: &Lease, it| forward(it, (to.ipv4, to.ipv6), allow_from);
            if let Some((lease, forward)) = to.and_then(|(to, it)| Some((to, lead(to, it)?))) {
                let (key, ports, forward) = (lease.key(), one.ports, Arc::new(forward));
                *one = Arc::new(HostPublication { key, ports, forward });
            }
        }
        self.load(all).await
    }

    /// Notes that one endpoint has another name.
    pub(super) fn rename_endpoint(&mut self, former: &EndpointKey, new: &EndpointKey) {
        let own = self.active.iter_mut().filter(|one| one.key == *former);
        own.for_each(|one| Arc::make_mut(one).key = new.clone());
    }

    /// Notes that all endpoints of a name have another one; nothing changes on the host.
    pub(super) fn rename(&mut self, former: &Name, new: &Name) {
        let own = self.active.iter_mut().filter(|one| one.key.name == *former);
        own.for_each(|one| Arc::make_mut(one).key.name = new.clone());
    }

    /// Flows of the host to ports that closed, which the caller of [`Self::close`] waits for without the lock.
    pub(super) fn stale_flows(&self) -> StaleFlows {
        self.uplink.as_ref().map(Uplink::stale_flows).unwrap_or_default()
    }

    /// Ends the host's flows to publications of a crashed switch that did not come back.
    pub(super) async fn end_flows_of(&self, former: Vec<Forward>) {
        let active = self.active.iter().map(|one| Forward::clone(&one.forward)).collect();
        // What has come has ended the flows from before itself.
        conntrack::end_stale(former, active).await;
    }

    async fn load(&mut self, all: Vec<Arc<HostPublication>>) -> Result<(), UplinkError> {
        let Some(uplink) = self.uplink.as_mut().filter(|_| all != self.active) else {
            return Ok(());
        };
        let forwards = all.iter().map(|one| Arc::clone(&one.forward)).collect();
        uplink.set_published(Forwards::new(forwards)).await?;
        self.active = all;
        Ok(())
    }
}

/// Publications of a stored document, as they were open on the host.
pub(super) fn stored(document: &Document) -> Vec<Forward> {
    let forwards = document.attachments.iter().flat_map(|one| {
        one.publish.iter().filter_map(|it| forward(&it.ports, (one.ipv4, one.ipv6), allowed(it)))
    });
    forwards.collect()
}

fn allowed(publication: &Publication) -> Vec<IpNet> {
    publication.allow_from.iter().map(|prefix| prefix.net()).collect()
}

fn forward(
    ports: &PortSpec,
    (ipv4, ipv6): (Option<Ipv4Addr>, Option<Ipv6Addr>),
    allow_from: Vec<IpNet>,
) -> Option<Forward> {
    let host = ports.host()?;
    let address = ports.address();
    Some(Forward {
        published: Published {
            address,
            protocol: ports.protocol(),
            ports: host.first()..=host.last(),
        },
        to4: ipv4.filter(|_| address.is_none_or(|address| address.is_ipv4())),
        to6: ipv6.filter(|_| address.is_none_or(|address| address.is_ipv6())),
        to_port: ports.container().first(),
        allow_from,
    })
}

/// Whether another program has the port.
pub(super) fn is_port_taken(error: &UplinkError) -> bool {
    matches!(error, UplinkError::Reserve(ReserveError::Taken { .. }))
}

impl ControlError {
    /// The error of a publication that the host refuses.
    pub(super) fn publish_failed(error: UplinkError) -> Self {
        match error {
            UplinkError::Reserve(ReserveError::NotLocalAddress(address)) => {
                Self::NotOurAddress(address)
            }
            UplinkError::Reserve(error @ ReserveError::Taken { .. }) => {
                Self::HostPortTaken(error.to_string())
            }
            error @ UplinkError::Twice(_) => Self::HostPortTaken(error.to_string()),
            error @ UplinkError::Shifted(_) => Self::Shifted(error.to_string()),
            error => Self::PublishFailed(error.to_string()),
        }
    }
}
