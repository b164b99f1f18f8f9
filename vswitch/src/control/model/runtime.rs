//! Endpoints whose namespace a runtime configures.
//!
//! ```text
//! created --(the runtime is told the TAP)--> joined --(it has moved the TAP in)--> inside --(leave)--> created
//! ```
//!
//! All three are active endpoints: frames pass as soon as the runtime brings the interface up. *Created*: the TAP is
//! in the host's namespace. *Joined*: the runtime has said where it keeps the container's namespace. *Inside*: the
//! binding names the namespace and the interface in it, so that a restart can put a new TAP there.

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

    /// Notes the namespace of an active endpoint, and its interface there.
    pub(crate) fn enter_netns(&mut self, key: &EndpointKey, netns: NetnsRecord, inside: Inside) {
        self.change(key, |endpoint| {
            let Some(state) = &mut endpoint.runtime else { return };
            state.further = inside.addresses;
            state.further.retain(|net| !endpoint.lease.has(net.addr()));
            if let Some(binding) = &mut endpoint.binding {
                binding.netns = Some(netns);
                binding.ifname = inside.ifname;
            }
        });
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
