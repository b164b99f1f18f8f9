//! Containers: the endpoints of one name, in one namespace.

use std::cmp::Reverse;

use fastpath::PortIndex;

use super::{AttachSpec, Endpoint, EndpointKey, EndpointState, Model, Name, Network, NetworkName};
use crate::control::error::ControlError;
use crate::control::store::{ContainerRecord, NetnsRecord};
use crate::host::container::InterfaceRoutes;

/// The order of a container's endpoints: the first one is the gateway endpoint.
fn rank<'a>(
    (endpoint, network): &(&'a Endpoint, &'a Network),
) -> (Reverse<i32>, bool, &'a NetworkName) {
    (Reverse(endpoint.gw_priority), network.spec.is_internal(), &network.spec.name)
}

/// Whether two records are of one container.
fn is_same(one: &ContainerRecord, other: &ContainerRecord) -> bool {
    one.engine == other.engine && one.id == other.id
}

impl Model {
    /// Active endpoints of a container, the gateway endpoint first: the highest
    /// priority, then a network that reaches the world, then the first name of a network.
    pub(super) fn endpoints_of(&self, name: &Name) -> Vec<(&Endpoint, &Network)> {
        self.endpoints_in(name, EndpointState::Active)
    }

    /// Endpoints of a container in a state, in the same order.
    pub(super) fn endpoints_in(
        &self,
        name: &Name,
        state: EndpointState,
    ) -> Vec<(&Endpoint, &Network)> {
        let of_name = self.endpoints().filter(|endpoint| endpoint.lease.name == *name);
        let mut found: Vec<_> = of_name
            .filter(|endpoint| endpoint.state == state)
            .filter_map(|endpoint| Some((endpoint, self.networks.get(&endpoint.lease.network)?)))
            .collect();
        found.sort_by_key(rank);
        found
    }

    /// Whether a container has endpoints that work, or wait for it.
    pub(crate) fn works_or_waits(&self, name: &Name) -> bool {
        [EndpointState::Active, EndpointState::Waiting]
            .into_iter()
            .any(|state| !self.endpoints_in(name, state).is_empty())
    }

    /// Whether the network of an endpoint gives its container the default route, or will once it is active.
    pub(crate) fn gives_default_route(&self, key: &EndpointKey) -> bool {
        let shown = self.endpoints().filter(|it| it.lease.name == key.name && it.in_snapshot);
        let shown = shown.filter(|it| it.state != EndpointState::Detaching);
        let ranked = shown.filter_map(|it| Some((it, self.networks.get(&it.lease.network)?)));
        ranked.min_by_key(rank).is_some_and(|(first, _)| first.lease.network == key.network)
    }

    /// The endpoint whose network gives a container its default route, and has its publications.
    pub(crate) fn gateway_endpoint(&self, name: &Name) -> Option<EndpointKey> {
        self.endpoints_of(name).first().map(|(endpoint, _)| endpoint.lease.key())
    }

    /// Ports of a container's active endpoints.
    pub(crate) fn slots_of(&self, name: &Name) -> Vec<PortIndex> {
        self.endpoints_of(name).iter().map(|(endpoint, _)| endpoint.lease.slot).collect()
    }

    /// Whether a container has several endpoints.
    pub(crate) fn is_on_several(&self, name: &Name) -> bool {
        self.endpoints_of(name).len() > 1
    }

    /// The namespace of a container.
    pub(crate) fn namespace_of(&self, name: &Name) -> Result<NetnsRecord, ControlError> {
        let endpoints = self.endpoints_of(name);
        let none = || match self.waiting().find(|it| it.lease.name == *name) {
            Some(waiting) => waiting.waiting_error(),
            None => ControlError::UnknownPort(name.to_string()),
        };
        let (endpoint, _) = endpoints.first().ok_or_else(none)?;
        let binding = endpoint.binding.as_ref().and_then(|binding| binding.netns.clone());
        binding.ok_or_else(|| ControlError::UnknownPort(name.to_string()))
    }

    /// The namespace of a container, and its interfaces, the gateway endpoint's first.
    pub(crate) fn container_routes(
        &self,
        name: &Name,
    ) -> Option<(NetnsRecord, Vec<InterfaceRoutes>)> {
        let record = self.namespace_of(name).ok()?;
        // Who configures itself has routes of its own, and so has a runtime.
        let mut endpoints = self.endpoints_of(name);
        endpoints.retain(|(it, _)| it.configure.is_static() && it.runtime.is_none());
        let interfaces = endpoints.into_iter().filter_map(|(endpoint, network)| {
            let (lease, binding) = (&endpoint.lease, endpoint.binding.as_ref()?);
            Some(InterfaceRoutes {
                ifname: binding.ifname.clone(),
                addresses: lease.all_addresses().collect(),
                gateways: network.spec.gateways(),
                subnets: network.spec.subnets(),
            })
        });
        Some((record, interfaces.collect()))
    }

    /// Refuses a name that another container of an engine has on another network, whether it runs or not.
    pub(super) fn check_one_container(&self, spec: &AttachSpec) -> Result<(), ControlError> {
        let own = spec.container.as_ref();
        let is_other = |endpoint: &Endpoint| {
            endpoint.lease.name == spec.name
                && endpoint.container.as_ref().is_some_and(|other| match own {
                    Some(own) => !is_same(own, other),
                    // A namespace may be one of its own, while it runs.
                    None => endpoint.state == EndpointState::Waiting,
                })
        };
        match self.endpoints().any(is_other) {
            true => Err(ControlError::NameTaken(spec.name.to_string())),
            false => Ok(()),
        }
    }

    /// Refuses a name that a container of another namespace has, or one that has none now.
    pub(super) fn check_one_namespace(
        &self,
        key: &EndpointKey,
        netns: &NetnsRecord,
    ) -> Result<(), ControlError> {
        let mut others = self.endpoints().filter(|endpoint| {
            endpoint.lease.name == key.name && endpoint.lease.network != key.network
        });
        let own = self.container_of(key);
        let is_other = |endpoint: &Endpoint| {
            let binding = endpoint.binding.as_ref().and_then(|binding| binding.netns.as_ref());
            let other = endpoint.container.as_ref();
            match binding {
                Some(binding) => binding.id != netns.id,
                None => other.is_some_and(|other| own.is_none_or(|own| !is_same(own, other))),
            }
        };
        if others.any(is_other) {
            Err(ControlError::NameTaken(key.name.to_string()))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attach_spec, key, model, netns, network, open_network, reserve};
    use super::*;
    use crate::config::Uplink;

    fn web(network: &str, id: Option<&str>) -> AttachSpec {
        let container = id.map(|id| ContainerRecord {
            engine: "/e".into(),
            id: id.to_owned(),
            name: "web".to_owned(),
            resolv_conf: None,
        });
        AttachSpec { container, ..AttachSpec::new(key("web", network)) }
    }

    #[test]
    fn a_name_is_one_containers_while_it_waits_too() {
        let mut model = model();
        for name in ["blue", "green"] {
            open_network(&mut model, network(name, Uplink::None));
        }
        let lease = attach_spec(&mut model, web("br0", Some("1")));
        let taken = |model: &mut Model, spec: AttachSpec| {
            let error = reserve(model, &spec).unwrap_err();
            assert!(matches!(error, ControlError::NameTaken(_)), "{error}");
        };
        taken(&mut model, web("blue", Some("2")));
        // A namespace that began to be attached while the container ran.
        let plain = reserve(&mut model, &web("blue", None)).unwrap().key();
        model.begin_detach_lost(lease.slot).unwrap();
        model.wait_for_container(&lease.key());
        let bound = model.bind_netns(&plain, &netns(77), None, &[]);
        assert!(matches!(bound, Err(ControlError::NameTaken(_))));
        model.remove(&plain, std::time::Duration::ZERO);
        taken(&mut model, web("blue", None));
        taken(&mut model, web("blue", Some("2")));
        // Its own may join, on its next run, one after the other.
        let own = reserve(&mut model, &web("green", Some("1"))).unwrap().key();
        model.bind_netns(&own, &netns(78), None, &[]).unwrap();
        model.resume(&lease.key(), web("br0", Some("1")).container).unwrap();
        model.bind_netns(&lease.key(), &netns(78), None, &[]).unwrap();
    }
}
