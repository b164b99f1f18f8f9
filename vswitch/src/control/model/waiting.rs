//! Endpoints that wait: the container of an engine has ended, and may start again.
//!
//! A waiting endpoint keeps its names, addresses, slot, settings and publications, so that nobody else gets
//! them, and it is in the document. It has no namespace, and the datapath does not know it. The name of its
//! interface is kept as a wish for the next start.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use vswitch_api::port::Configure;

use super::{AttachSpec, Endpoint, EndpointKey, EndpointState, Lease, Model, Name, Random};
use crate::control::error::ControlError;
use crate::control::limits::WAITING_MAX;
use crate::control::store::{ContainerRecord, ResolvConfRecord};
use crate::host::netns::NetnsId;

/// An endpoint of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerEndpoint {
    pub(crate) lease: Lease,
    pub(crate) state: EndpointState,
    /// The namespace of an active one.
    pub(crate) netns: Option<NetnsId>,
}

impl Model {
    /// Endpoints that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints().filter(|endpoint| endpoint.waits())
    }

    /// The container of an endpoint.
    pub(crate) fn container_of(&self, key: &EndpointKey) -> Option<&ContainerRecord> {
        self.endpoints.get(key)?.container.as_ref()
    }

    /// The container of the attachment of a name.
    pub(crate) fn container_named(&self, name: &Name) -> Option<&ContainerRecord> {
        self.endpoints().filter(|it| it.lease.name == *name).find_map(|it| it.container.as_ref())
    }

    /// Whether an endpoint may wait: it is a container's, and not too many wait already.
    pub(crate) fn may_wait(&self, key: &EndpointKey) -> Result<bool, ControlError> {
        let is_containers = self.container_of(key).is_some();
        let waiting = self.waiting().filter(|it| it.container.is_some());
        if is_containers && waiting.count() >= WAITING_MAX {
            return Err(ControlError::WaitingMax(key.to_string()));
        }
        Ok(is_containers)
    }

    /// Lets an endpoint wait whose detach, or whose attach, has undone all steps but the reservation.
    pub(crate) fn wait_for_container(&mut self, key: &EndpointKey) {
        self.change(key, |endpoint| {
            endpoint.state = EndpointState::Waiting;
            endpoint.pending.clear();
            endpoint.interface_gone = false;
            // The next run of a container has another one; what is kept is tried in the same.
            if let Some(binding) = endpoint.binding.as_mut().filter(|_| endpoint.fault.is_none()) {
                binding.netns = None;
            }
        });
    }

    /// Begins the end of an endpoint that is as it was found, and waits: its container is no more.
    pub(crate) fn begin_forget(
        &mut self,
        found: &ContainerEndpoint,
        engine: &Path,
        id: &str,
    ) -> Option<Lease> {
        let is_same = self.endpoints_of_container(engine, id).contains(found);
        let waits = found.state == EndpointState::Waiting;
        if is_same && waits { self.begin_detach(&found.lease.key()).ok() } else { None }
    }

    /// Begins the wait of an active endpoint that is as it was found: its container runs in another namespace.
    pub(crate) fn begin_wait(
        &mut self,
        found: &ContainerEndpoint,
        engine: &Path,
        id: &str,
    ) -> Option<Lease> {
        let is_same = self.endpoints_of_container(engine, id).contains(found);
        let is_active = found.state == EndpointState::Active;
        if is_same && is_active { self.begin_detach_lost(found.lease.slot) } else { None }
    }

    /// Begins the attach of a waiting endpoint: it is reserved, as a new one is. The container's record may be
    /// a newer one.
    pub(crate) fn resume(
        &mut self,
        key: &EndpointKey,
        container: Option<ContainerRecord>,
    ) -> Result<Lease, ControlError> {
        let unknown = || ControlError::UnknownPort(key.to_string());
        // It goes with its network.
        self.network(Some(key.network.as_str()))?;
        let endpoint = self.endpoints.get_mut(key).ok_or_else(unknown)?;
        if endpoint.state != EndpointState::Waiting {
            return Err(ControlError::Busy(key.to_string(), "attached"));
        }
        endpoint.state = EndpointState::Reserved;
        endpoint.container = container;
        Ok(endpoint.lease.clone())
    }

    /// What a waiting endpoint wants of its namespace: the configuration, and the name of the interface.
    pub(crate) fn wish_of(
        &self,
        key: &EndpointKey,
    ) -> Result<(Configure, Option<String>), ControlError> {
        let endpoint = self.endpoints.get(key).filter(|it| it.state == EndpointState::Waiting);
        let endpoint = endpoint.ok_or_else(|| ControlError::UnknownPort(key.to_string()))?;
        let ifname = endpoint.binding.as_ref().map(|binding| binding.ifname.clone());
        Ok((endpoint.configure, ifname))
    }

    /// Adds a waiting endpoint of the document, with an interface name.
    pub(crate) fn restore_waiting(
        &mut self,
        spec: &AttachSpec,
        ifname: &str,
        now: Duration,
        random: Random<'_>,
    ) -> Result<(), ControlError> {
        let key = self.reserve(spec, now, random)?.key();
        self.bind(&key, ifname.to_owned(), None);
        self.change(&key, |endpoint| {
            endpoint.persisted = true;
            endpoint.state = EndpointState::Waiting;
        });
        Ok(())
    }

    /// All endpoints of a container.
    pub(crate) fn endpoints_of_container(&self, engine: &Path, id: &str) -> Vec<ContainerEndpoint> {
        let is_its = |container: &ContainerRecord| container.engine == engine && container.id == id;
        let own = self.endpoints().filter(|it| it.container.as_ref().is_some_and(is_its));
        own.map(|endpoint| ContainerEndpoint {
            lease: endpoint.lease.clone(),
            state: endpoint.state,
            netns: endpoint.binding.as_ref().and_then(|it| Some(it.netns.as_ref()?.id)),
        })
        .collect()
    }

    /// The containers of all endpoints, once for each endpoint.
    pub(crate) fn all_containers(&self) -> Vec<ContainerRecord> {
        self.endpoints().filter_map(|endpoint| endpoint.container.clone()).collect()
    }

    /// Whether an endpoint has a port: not while it waits, and not before and after.
    pub(crate) fn has_port(&self, key: &EndpointKey) -> bool {
        self.endpoints.get(key).is_some_and(|endpoint| endpoint.in_snapshot)
    }

    /// Whether a container has endpoints.
    pub(crate) fn has_container(&self, engine: &Path, id: &str) -> bool {
        let mut containers = self.endpoints().filter_map(|endpoint| endpoint.container.as_ref());
        containers.any(|container| container.id == id && container.engine == engine)
    }

    /// Ids of the containers of an engine that have endpoints.
    pub(crate) fn containers(&self, engine: &Path) -> BTreeSet<String> {
        let containers = self.endpoints().filter_map(|endpoint| endpoint.container.as_ref());
        containers.filter(|it| it.engine == engine).map(|it| it.id.clone()).collect()
    }

    /// Sockets of the engines whose containers have endpoints.
    pub(crate) fn engines(&self) -> BTreeSet<PathBuf> {
        let containers = self.endpoints().filter_map(|endpoint| endpoint.container.as_ref());
        containers.map(|container| container.engine.clone()).collect()
    }

    /// Notes a new name of a container in the engine. Gives the former one.
    pub(crate) fn rename_container(
        &mut self,
        engine: &Path,
        id: &str,
        new: &str,
    ) -> Option<String> {
        let containers = self.endpoints.values_mut().filter_map(|it| it.container.as_mut());
        let own = containers.filter(|it| it.engine == engine && it.id == id && it.name != new);
        own.map(|container| std::mem::replace(&mut container.name, new.to_owned())).last()
    }

    /// Gateways of the networks that a container is on, that of the default route first.
    pub(crate) fn gateways_of_container(&self, engine: &Path, id: &str) -> Vec<IpAddr> {
        let own = self.endpoints_of_container(engine, id);
        let names: BTreeSet<_> = own.into_iter().map(|endpoint| endpoint.lease.name).collect();
        let ranked = names.iter().flat_map(|name| self.endpoints_of(name));
        let gateways = ranked.flat_map(|(endpoint, network)| {
            let has = |gateway: &IpAddr| {
                let mut own = endpoint.lease.all_addresses();
                own.any(|address| address.is_ipv4() == gateway.is_ipv4())
            };
            network.spec.gateways().into_iter().filter(has).collect::<Vec<_>>()
        });
        gateways.collect()
    }

    /// The file of name servers of a container.
    pub(crate) fn resolv_conf_of(&self, engine: &Path, id: &str) -> Option<ResolvConfRecord> {
        let containers = self.endpoints().filter_map(|endpoint| endpoint.container.as_ref());
        let mut own = containers.filter(|it| it.engine == engine && it.id == id);
        own.find_map(|container| container.resolv_conf.clone())
    }
}

#[cfg(test)]
mod tests {
    use vswitch_api::address::Family;

    use super::super::tests::{attach_spec, key, model, network, open_network, spec};
    use super::*;
    use crate::config::Uplink;

    fn container(id: &str) -> ContainerRecord {
        ContainerRecord {
            engine: "/e".into(),
            id: id.to_owned(),
            name: "web".to_owned(),
            resolv_conf: None,
        }
    }

    fn attached(model: &mut Model) -> Lease {
        let publish = vec![serde_json::from_str(r#"{"ports": "8080:80"}"#).unwrap()];
        let web = AttachSpec { container: Some(container("1")), publish, ..spec("web") };
        attach_spec(model, web)
    }

    /// As the plan of a container that ends does.
    fn end(model: &mut Model, lease: &Lease) {
        assert_eq!(model.begin_detach_lost(lease.slot).as_ref(), Some(lease));
        model.set_in_snapshot(&lease.key(), false);
        model.wait_for_container(&lease.key());
    }

    #[test]
    fn a_waiting_endpoint_keeps_what_it_has_and_comes_back_with_it() {
        let mut model = model();
        let lease = attached(&mut model);
        end(&mut model, &lease);
        assert!(model.active().count() == 0 && model.waiting().count() == 1);
        assert!(matches!(model.active_endpoint(&lease.key()), Err(ControlError::Waiting(_))));
        assert!(model.name_records(&lease.network).is_empty(), "nobody answers at its name");
        // Nobody else gets name, addresses, MAC address, port or slot.
        let now = Duration::ZERO;
        let mut refused =
            |other: AttachSpec| model.reserve(&other, now, &mut || Ok(7)).unwrap_err();
        assert!(matches!(refused(spec("web")), ControlError::NameTaken(_)));
        let same = AttachSpec { ipv4: lease.ipv4, ..spec("other") };
        assert!(matches!(refused(same), ControlError::AddressInUse { .. }));
        let same = AttachSpec { mac: Some(lease.mac), ..spec("other") };
        assert!(matches!(refused(same), ControlError::MacInUse { .. }));
        let publish = vec![serde_json::from_str(r#"{"ports": "8080:81"}"#).unwrap()];
        let same = AttachSpec { publish, ..spec("other") };
        assert!(matches!(refused(same), ControlError::PortPublished { .. }));
        assert_ne!(attach_spec(&mut model, spec("other")).slot, lease.slot);
        // A late report of another worker does not touch it.
        assert_eq!(model.begin_detach_lost(lease.slot), None);
        let newer = ContainerRecord { name: "front".to_owned(), ..container("1") };
        assert_eq!(model.resume(&lease.key(), Some(newer.clone())).unwrap(), lease);
        assert!(matches!(model.resume(&lease.key(), None), Err(ControlError::Busy(..))));
        assert_eq!(model.container_of(&lease.key()), Some(&newer));
        model.bind_netns(&lease.key(), &super::super::tests::netns(99), None, &[]).unwrap();
        assert!(model.activate(&lease.key()));
    }

    #[test]
    fn the_document_brings_it_back_waiting() {
        let mut before = model();
        let lease = attached(&mut before);
        end(&mut before, &lease);
        let [stored] = &before.document().attachments[..] else { panic!("one attachment") };
        assert_eq!((stored.netns.as_ref(), stored.ifname.as_str()), (None, "eth0"));
        let mut after = model();
        let (spec, now) = (stored.spec().unwrap(), Duration::ZERO);
        after.restore_waiting(&spec, &stored.ifname, now, &mut || Ok(7)).unwrap();
        assert_eq!(after.wish_of(&key("web", "br0")).unwrap().1.as_deref(), Some("eth0"));
        assert_eq!(after.document().attachments, std::slice::from_ref(stored));
        assert_eq!(after.engines().into_iter().collect::<Vec<_>>(), [PathBuf::from("/e")]);
        assert_eq!(after.containers(Path::new("/e")).len(), 1);
        assert!(
            after.has_container(Path::new("/e"), "1") && !after.has_container(Path::new("/e"), "2")
        );
    }

    #[test]
    fn too_many_do_not_wait_and_others_never_do() {
        let mut model = model();
        let lease = attach_spec(&mut model, spec("plain"));
        assert!(!model.may_wait(&lease.key()).unwrap());
        let lease = attached(&mut model);
        assert!(model.may_wait(&lease.key()).unwrap());
        let mut number = 0x1000;
        let mut random = || {
            number += 1;
            Ok(number)
        };
        for number in 0..WAITING_MAX {
            let id = number.to_string();
            // The IPv4 subnet of the test has fewer addresses.
            let (family, container) = (Some(Family::Ipv6), Some(container(&id)));
            let spec = AttachSpec { container, family, ..spec(&format!("c{id}")) };
            model.restore_waiting(&spec, "eth0", Duration::ZERO, &mut random).unwrap();
        }
        assert!(matches!(model.may_wait(&lease.key()), Err(ControlError::WaitingMax(_))));
        // One that is detached makes room.
        model.begin_detach(&key("c0", "br0")).unwrap();
        assert!(model.may_wait(&lease.key()).unwrap());
    }

    #[test]
    fn a_new_name_of_the_container_is_noted_once() {
        let mut model = model();
        let lease = attached(&mut model);
        let engine = Path::new("/e");
        assert_eq!(model.rename_container(engine, "1", "front").as_deref(), Some("web"));
        assert_eq!(model.rename_container(engine, "1", "front"), None);
        assert_eq!(model.rename_container(engine, "2", "x"), None);
        let [endpoint] = &model.endpoints_of_container(engine, "1")[..] else { panic!("one") };
        assert_eq!(endpoint.lease, lease);
        assert!(model.gateways_of_container(engine, "1").len() == 2);
    }
    /// The engine has answered, slowly, that it knows the container no more, or that it runs elsewhere.
    #[test]
    fn what_changed_while_the_engine_was_asked_is_left_alone() {
        let mut model = model();
        let (engine, lease) = (Path::new("/e"), attached(&mut model));
        let found = |model: &Model| model.endpoints_of_container(engine, "1")[0].clone();
        let active = found(&model);
        assert_eq!(model.begin_forget(&active, engine, "1"), None, "its namespace lives");
        end(&mut model, &lease);
        let waiting = found(&model);
        assert_eq!(model.begin_wait(&active, engine, "1"), None, "it waits already");
        // Detached, and another container has its name.
        model.begin_detach(&lease.key()).unwrap();
        model.remove(&lease.key(), Duration::ZERO);
        let other = AttachSpec { container: Some(container("2")), ..spec("web") };
        let new = attach_spec(&mut model, other);
        assert_eq!(new.key(), lease.key());
        assert_eq!(model.begin_forget(&waiting, engine, "1"), None);
        assert_eq!(model.begin_wait(&active, engine, "1"), None);
        assert!(model.active_endpoint(&new.key()).is_ok());
        // What is as it was goes.
        let [active] = &model.endpoints_of_container(engine, "2")[..] else { panic!("one") };
        assert_eq!(model.begin_wait(active, engine, "2").as_ref(), Some(&new));
        model.wait_for_container(&new.key());
        let [waiting] = &model.endpoints_of_container(engine, "2")[..] else { panic!("one") };
        assert_eq!(model.begin_forget(waiting, engine, "2"), Some(new));
    }

    #[test]
    fn a_detach_that_is_taken_back_leaves_all_as_it_was() {
        let mut model = model();
        let lease = attached(&mut model);
        let key = lease.key();
        model.set_in_snapshot(&key, true);
        let before = model.endpoints_of_container(Path::new("/e"), "1");
        model.begin_detach(&key).unwrap();
        model.set_persisted(&key, false);
        assert!(model.cancel_detach(&key));
        assert_eq!(model.endpoints_of_container(Path::new("/e"), "1"), before);
        assert!(model.endpoints[&key].persisted);
        // Its interface went meanwhile.
        model.begin_detach(&key).unwrap();
        assert_eq!(model.begin_detach_lost(lease.slot), None);
        assert!(!model.cancel_detach(&key));
        // One that waits waits again.
        end(&mut model, &lease);
        model.begin_detach(&key).unwrap();
        assert!(model.cancel_detach(&key));
        assert_eq!(model.waiting().count(), 1);
    }

    #[test]
    fn one_on_a_network_that_goes_is_detached_and_not_resumed() {
        let mut model = model();
        open_network(&mut model, network("blue", Uplink::None));
        let on_blue =
            AttachSpec { container: Some(container("1")), ..AttachSpec::new(key("web", "blue")) };
        let lease = attach_spec(&mut model, on_blue);
        model.begin_detach_lost(lease.slot).unwrap();
        let blue = &lease.network;
        model.begin_remove_network(blue, true).unwrap();
        assert!(model.detachable_on(blue).is_empty(), "its container has just ended");
        model.wait_for_container(&lease.key());
        assert!(matches!(model.resume(&lease.key(), None), Err(ControlError::UnknownNetwork(_))));
        assert_eq!(model.detachable_on(blue), [lease.key()]);
    }
}
