//! Which ports may be cut through.

use std::sync::Arc;

use vswitch_cutthrough::{Allowed, NetnsCookie};

use super::{Endpoint, EndpointKey, Model, NetworkSpec};

/// Cut-through, as the networks and the kernel have it.
#[derive(Debug, Default)]
pub(super) struct CutThrough {
    /// Networks that do not say otherwise ask for it.
    is_default: bool,
    /// The table of handshakes; none while it is off.
    pub(super) allowed: Option<Arc<Allowed>>,
}

impl Model {
    /// Sets what networks that do not say otherwise ask for.
    pub(crate) fn set_cut_through_default(&mut self, is_default: bool) {
        self.cut_through.is_default = is_default;
    }

    /// Sets the table of handshakes for the next [`Model::snapshot`].
    pub(crate) fn set_cut_through(&mut self, allowed: Option<Arc<Allowed>>) {
        self.cut_through.allowed = allowed;
    }

    /// Whether connections between the ports of a network may be cut through.
    pub(crate) fn may_cut_through(&self, network: &NetworkSpec) -> bool {
        network.cut_through.unwrap_or(self.cut_through.is_default)
    }

    /// Whether connections of an endpoint may be cut through. A rate limit has to see each byte.
    pub(crate) fn is_cut_through(&self, endpoint: &Endpoint) -> bool {
        let network = self.networks.get(&endpoint.lease.network);
        let limits = &endpoint.limits;
        network.is_some_and(|network| self.may_cut_through(&network.spec))
            && limits.rate_in.is_none()
            && limits.rate_out.is_none()
    }

    /// The namespace of an endpoint for the datapath, where its new connections may be cut through.
    pub(super) fn cut_through_of(&self, endpoint: &Endpoint) -> Option<NetnsCookie> {
        self.cut_through.allowed.as_ref()?;
        netns_cookie(endpoint).filter(|_| self.is_cut_through(endpoint))
    }

    /// The namespace of an endpoint.
    pub(crate) fn netns_cookie_of(&self, key: &EndpointKey) -> Option<NetnsCookie> {
        netns_cookie(self.endpoints.get(key)?)
    }
}

/// The namespace of an endpoint, once it is known.
pub(crate) fn netns_cookie(endpoint: &Endpoint) -> Option<NetnsCookie> {
    let netns = endpoint.binding.as_ref()?.netns.as_ref()?;
    netns.cookie.and_then(|cookie| cookie.try_into().ok()).map(NetnsCookie)
}
