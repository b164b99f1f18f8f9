//! Faults of endpoints: what the switch knows of, cannot bring in order, and shows.
//!
//! A record of the document that cannot be attached again at the start is *kept*: it waits with its fault, and the
//! switch tries it again (`control/kept.rs`). It has all that was set aside, its namespace too, and it is in the
//! document. An active endpoint has a fault while its interface is not where it belongs (`control/upkeep.rs`).

use std::time::Duration;

use wire::MacAddr;

use super::{AttachSpec, Endpoint, EndpointKey, EndpointState, Lease, Model, NetworkName, Random};
use crate::control::error::ControlError;
use crate::control::store::{Attachment, NetnsRecord};

impl Endpoint {
    /// Why it is out of order, where it is.
    pub(crate) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Whether it waits, for its container or for the end of a fault. One that is tried just now still does, for those
    /// who look.
    pub(crate) fn waits(&self) -> bool {
        match self.state {
            EndpointState::Waiting => true,
            EndpointState::Reserved | EndpointState::Bound => self.fault.is_some(),
            EndpointState::Active | EndpointState::Detaching => false,
        }
    }

    /// The error of a request that needs it to work, while it waits.
    pub(super) fn waiting_error(&self) -> ControlError {
        let name = self.lease.name.to_string();
        match &self.fault {
            Some(reason) => ControlError::Faulty { name, reason: reason.clone() },
            None => ControlError::Waiting(name),
        }
    }
}

impl Model {
    /// Number of endpoints, and of parts on the host, that are out of order.
    pub(crate) fn faults(&self) -> usize {
        let endpoints = self.endpoints().filter(|endpoint| endpoint.fault.is_some());
        endpoints.count() + self.host_faults.len()
    }

    /// Why a part of the switch on the host is out of order: a host port by the name of its device.
    pub(crate) fn host_fault(&self, part: &str) -> Option<&str> {
        self.host_faults.get(part).map(String::as_str)
    }

    /// All of these, each with the name of its part.
    pub(crate) fn host_faults(&self) -> impl Iterator<Item = (&str, &str)> {
        self.host_faults.iter().map(|(part, fault)| (part.as_str(), fault.as_str()))
    }

    /// Sets the fault of such a part, or removes it; that of a device that was deleted stays. Says whether that is news.
    pub(crate) fn set_host_fault(&mut self, part: &str, fault: Option<String>) -> bool {
        if self.networks.values().any(|network| network.has_lost(part)) {
            return false;
        }
        let former = match &fault {
            Some(fault) => self.host_faults.insert(part.to_owned(), fault.clone()),
            None => self.host_faults.remove(part),
        };
        former != fault
    }

    /// Sets the fault of an endpoint, or removes it. Says whether that is news.
    pub(crate) fn set_fault(&mut self, key: &EndpointKey, fault: Option<String>) -> bool {
        let Some(endpoint) = self.endpoints.get_mut(key) else { return false };
        let is_news = endpoint.fault != fault;
        endpoint.fault = fault;
        is_news
    }

    /// Sets the fault of an active endpoint, or removes it. Says whether that is news.
    pub(crate) fn set_active_fault(&mut self, key: &EndpointKey, fault: Option<String>) -> bool {
        let is_active = self.active_endpoint(key).is_ok();
        is_active && self.set_fault(key, fault)
    }

    /// MAC address and interface name of an endpoint.
    pub(crate) fn interface_of(&self, key: &EndpointKey) -> Option<(MacAddr, String)> {
        let endpoint = self.endpoints.get(key)?;
        Some((endpoint.lease.mac, endpoint.binding.as_ref()?.ifname.clone()))
    }

    /// The active endpoint of that number, with the namespace where its interface belongs.
    pub(crate) fn interface_at(&self, number: usize) -> Option<(EndpointKey, NetnsRecord)> {
        let mut bound = self.active().filter(|(_, binding)| binding.netns.is_some());
        let (endpoint, binding) = bound.nth(number)?;
        Some((endpoint.lease.key(), binding.netns.clone()?))
    }

    /// The active endpoints of a network whose namespace is known, each with its MAC address and that namespace.
    pub(crate) fn interfaces_on(
        &self,
        network: &NetworkName,
    ) -> Vec<(EndpointKey, MacAddr, NetnsRecord)> {
        let active = self.active().filter(|(endpoint, _)| endpoint.lease.network == *network);
        let bound = active.filter_map(|(endpoint, binding)| {
            Some((endpoint.lease.key(), endpoint.lease.mac, binding.netns.clone()?))
        });
        bound.collect()
    }

    /// Leases of the active endpoints of a network.
    pub(crate) fn leases_on(&self, network: &NetworkName) -> Vec<Lease> {
        let active = self.active().map(|(endpoint, _)| &endpoint.lease);
        active.filter(|lease| lease.network == *network).cloned().collect()
    }

    /// The MAC address of an endpoint.
    pub(crate) fn mac_of(&self, key: &EndpointKey) -> Option<MacAddr> {
        self.endpoints.get(key).map(|endpoint| endpoint.lease.mac)
    }

    /// Adds an endpoint of the document that cannot be attached now.
    pub(crate) fn keep(
        &mut self,
        stored: &Attachment,
        spec: &AttachSpec,
        reason: String,
        now: Duration,
        random: Random<'_>,
    ) -> Result<(), ControlError> {
        let key = self.reserve(spec, now, random)?.key();
        self.bind(&key, stored.ifname.clone(), stored.netns.clone());
        self.change(&key, |endpoint| {
            endpoint.persisted = true;
            endpoint.state = EndpointState::Waiting;
            endpoint.fault = Some(reason);
        });
        Ok(())
    }

    /// The kept endpoints, as the document has them.
    pub(crate) fn kept(&self) -> Vec<Attachment> {
        let mut records = self.attachments();
        records.retain(|record| {
            let found = self.endpoints().find(|it| record.is_of(&it.lease.key()));
            found.is_some_and(|it| it.waits() && it.fault.is_some())
        });
        records
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attach_spec, key, model, spec};
    use super::*;

    fn stored(model: &mut Model) -> Attachment {
        let publish = vec![serde_json::from_str(r#"{"ports": "8080:80"}"#).unwrap()];
        let lease = attach_spec(model, AttachSpec { publish, ..spec("web") });
        model.set_persisted(&lease.key(), true);
        model.document().attachments.remove(0)
    }

    #[test]
    fn a_record_that_is_kept_loses_nothing_and_nobody_else_gets_what_it_has() {
        let stored = stored(&mut model());
        let (mut model, wish) = (model(), stored.spec().unwrap());
        model.keep(&stored, &wish, "eth0 is taken".into(), Duration::ZERO, &mut || Ok(7)).unwrap();
        assert_eq!(model.document().attachments, std::slice::from_ref(&stored));
        assert_eq!(model.kept(), std::slice::from_ref(&stored));
        let error = model.active_endpoint(&key("web", "br0")).unwrap_err();
        assert_eq!(error.to_string(), "web is not attached again yet: eth0 is taken");
        let same = AttachSpec { ipv4: stored.ipv4, ..spec("other") };
        let refused = model.reserve(&same, Duration::ZERO, &mut || Ok(8)).unwrap_err();
        assert!(matches!(refused, ControlError::AddressInUse { .. }));
    }

    #[test]
    fn a_try_that_fails_keeps_the_namespace_and_one_that_succeeds_ends_the_fault() {
        let stored = stored(&mut model());
        let (mut model, wish) = (model(), stored.spec().unwrap());
        model.keep(&stored, &wish, "busy".into(), Duration::ZERO, &mut || Ok(7)).unwrap();
        let web = key("web", "br0");
        model.resume(&web, None).unwrap();
        model.wait_for_container(&web);
        assert_eq!(model.kept(), std::slice::from_ref(&stored));
        model.resume(&web, None).unwrap();
        assert!(matches!(model.resume(&web, None), Err(ControlError::Busy(..))));
        assert_eq!(
            model.shown_endpoint(&web).unwrap().fault(),
            Some("busy"),
            "it is shown meanwhile"
        );
        let netns = stored.netns.clone().unwrap();
        model.bind_netns(&web, &netns, Some(&stored.ifname), &[]).unwrap();
        assert!(model.activate(&web));
        assert!(model.kept().is_empty() && model.active_endpoint(&web).unwrap().fault().is_none());
    }
}
