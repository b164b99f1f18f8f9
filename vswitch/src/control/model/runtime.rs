//! Endpoints whose namespace a runtime configures.
//!
//! ```text
//! created --(the runtime is told the TAP)--> joined --(it has moved the TAP in)--> inside --(leave)--> created
//! ```
//!
//! All three are active endpoints: frames pass as soon as the runtime brings the interface up. *Created*: the TAP is
//! in the host's namespace. *Joined*: the runtime has said where it keeps the container's namespace. *Inside*: the
//! binding names the namespace and the interface in it, so that a restart can put a new TAP there.

use vswitch_api::publish::PortSpec;

use super::{EndpointKey, EndpointState, Model, NetworkName};
use crate::control::runtime_state::RuntimeState;
use crate::control::store::NetnsRecord;
use crate::host::container::Inside;

impl Model {
    /// The endpoint with a label.
    pub(crate) fn endpoint_labelled(&self, label: &str, text: &str) -> Option<EndpointKey> {
        let mut all = self.endpoints();
        let found = all.find(|it| it.labels.get(label).is_some_and(|value| value == text))?;
        Some(found.lease.key())
    }

    /// The network with a label.
    pub(crate) fn network_labelled(&self, label: &str, text: &str) -> Option<NetworkName> {
        let mut all = self.networks();
        let found = all.find(|it| it.spec.labels.get(label).is_some_and(|value| value == text))?;
        Some(found.spec.name.clone())
    }

    /// The endpoint whose TAP has that name while it is in the host's namespace.
    pub(crate) fn runtime_endpoint_of(&self, tap: &str) -> Option<EndpointKey> {
        let is_of = |state: &RuntimeState| state.tap == tap && state.sandbox.is_some();
        let mut all = self.endpoints();
        let found = all.find(|it| it.runtime.as_ref().is_some_and(is_of));
        found.map(|it| it.lease.key())
    }

    /// Whether a runtime configures the namespace of an endpoint.
    pub(crate) fn is_runtimes(&self, key: &EndpointKey) -> bool {
        self.endpoints.get(key).is_some_and(|it| it.runtime.is_some())
    }

    /// Changes the runtime's side of an endpoint; says whether the endpoint is active and has one.
    pub(crate) fn change_runtime(
        &mut self,
        key: &EndpointKey,
        change: impl FnOnce(&mut RuntimeState),
    ) -> bool {
        let active = self.endpoints.get_mut(key).filter(|it| it.state == EndpointState::Active);
        let Some(state) = active.and_then(|it| it.runtime.as_mut()) else { return false };
        change(state);
        true
    }

    /// TAPs of joined endpoints.
    pub(crate) fn unfollowed_taps(&self) -> Vec<String> {
        let joined = self.active().filter(|(_, binding)| binding.netns.is_none());
        let states = joined.filter_map(|(endpoint, _)| endpoint.runtime.as_ref());
        states.filter(|state| state.sandbox.is_some()).map(|state| state.tap.clone()).collect()
    }

    /// A publication of an endpoint that its runtime has made.
    pub(crate) fn published_by_runtime(&self, key: &EndpointKey) -> Option<PortSpec> {
        let endpoint = self.endpoints.get(key)?;
        let marked = &endpoint.runtime.as_ref()?.published;
        let mut all = endpoint.publications.iter().map(|one| one.ports);
        all.find(|ports| marked.contains(ports))
    }

    /// Notes the namespace of the endpoint that has this TAP, and its interface there. False if it has not joined
    /// that namespace, or has left it.
    pub(crate) fn enter_netns(&mut self, tap: &str, netns: NetnsRecord, inside: Inside) -> bool {
        let Some(key) = self.runtime_endpoint_of(tap) else { return false };
        let endpoint = self.endpoints.get_mut(&key).filter(|it| it.state == EndpointState::Active);
        let Some(endpoint) = endpoint else { return false };
        let (Some(state), Some(binding)) = (&mut endpoint.runtime, &mut endpoint.binding) else {
            return false;
        };
        if state.sandbox.as_ref() != Some(&netns.path) {
            return false;
        }
        state.further = inside.addresses;
        state.further.retain(|net| !endpoint.lease.has(net.addr()));
        binding.netns = Some(netns);
        binding.ifname = inside.ifname;
        true
    }

    /// Forgets the namespace of an endpoint: the runtime takes the TAP back.
    pub(crate) fn leave_netns(&mut self, key: &EndpointKey) {
        self.change(key, |endpoint| {
            let Some(state) = &mut endpoint.runtime else { return };
            state.sandbox = None;
            state.further.clear();
            state.gives_default_route = false;
            if let Some(binding) = &mut endpoint.binding {
                binding.netns = None;
                binding.ifname = state.tap.clone();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use vswitch_api::port::NetnsRef;
    use vswitch_api::publish::Publication;

    use super::super::tests::{counter, key, model_with_uplink, spec};
    use super::super::{AttachSpec, Lease};
    use super::*;
    use crate::config::Uplink;
    use crate::host::netns::NetnsId;

    const TAP: &str = "vsw1";

    fn handed_out(model: &mut Model) -> Lease {
        let runtime = RuntimeState {
            tap: TAP.to_owned(),
            boot_id: "boot".to_owned(),
            sandbox: None,
            further: Vec::new(),
            gives_default_route: false,
            published: Vec::new(),
        };
        let spec = AttachSpec { runtime: Some(runtime), ..spec("web") };
        let lease = model.reserve(&spec, std::time::Duration::ZERO, &mut counter()).unwrap();
        model.bind(&lease.key(), TAP.to_owned(), None);
        model.activate(&lease.key());
        lease
    }

    fn record(path: &str) -> NetnsRecord {
        NetnsRecord {
            reference: NetnsRef::Path(path.into()),
            path: path.into(),
            id: NetnsId { dev: 1, ino: 1 },
            cookie: None,
            boot_id: "boot".to_owned(),
        }
    }

    fn inside() -> Inside {
        Inside { cookie: None, ifname: "eth0".to_owned(), addresses: Vec::new() }
    }

    #[test]
    fn the_document_has_it_before_its_tap_is_there() {
        let mut model = model_with_uplink(Uplink::Auto);
        let lease = handed_out(&mut model);
        model.change(&lease.key(), |endpoint| endpoint.binding = None);
        model.set_persisted(&lease.key(), true);
        let stored = model.document().attachments;
        assert_eq!((stored.len(), stored[0].ifname.as_str()), (1, TAP));
    }

    #[test]
    fn a_new_name_or_another_namespace_meanwhile_is_seen() {
        let mut model = model_with_uplink(Uplink::Auto);
        let lease = handed_out(&mut model);
        assert!(!model.enter_netns(TAP, record("/a"), inside()), "it has not joined");
        assert!(model.unfollowed_taps().is_empty());
        let joins = |path: &str| Some(PathBuf::from(path));
        model.change_runtime(&lease.key(), |state| state.sandbox = joins("/a"));
        assert_eq!(model.unfollowed_taps(), [TAP]);
        // Between the look and the note it gets its container's name.
        let renamed = model.rename_one(&lease.key(), &"shop".parse().unwrap()).unwrap();
        assert!(model.enter_netns(TAP, record("/a"), inside()));
        let binding = |model: &Model, key| model.active_endpoint(key).unwrap().binding.clone();
        assert_eq!(binding(&model, &renamed).unwrap().ifname, "eth0");
        assert!(model.unfollowed_taps().is_empty());
        // It has left that namespace, and is in another one.
        model.leave_netns(&renamed);
        assert!(!model.enter_netns(TAP, record("/a"), inside()));
        model.change_runtime(&renamed, |state| state.sandbox = joins("/b"));
        assert!(!model.enter_netns(TAP, record("/a"), inside()));
        assert!(binding(&model, &renamed).unwrap().netns.is_none());
    }

    #[test]
    fn a_runtime_withdraws_its_own_publications_only() {
        let mut model = model_with_uplink(Uplink::Auto);
        let lease = handed_out(&mut model);
        let publish = |model: &mut Model, text: &str| {
            let one = Publication { ports: text.parse().unwrap(), allow_from: Vec::new() };
            model.add_publication(&lease.key(), &one, &mut counter()).unwrap().ports
        };
        publish(&mut model, "9090:90");
        let own = publish(&mut model, "8080:80");
        model.mark_runtimes(&lease.key(), own);
        assert_eq!(model.published_by_runtime(&lease.key()), Some(own));
        model.take_publications(&lease.key(), &own).unwrap();
        assert_eq!(model.published_by_runtime(&lease.key()), None);
        assert_eq!(model.publications(&lease.key()).unwrap().len(), 1);
        assert!(model.check_settled(&key("web", "br0")).is_ok());
        model.begin_detach(&key("web", "br0")).unwrap();
        assert!(model.check_settled(&key("web", "br0")).is_err());
    }
}
