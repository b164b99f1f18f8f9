//! Publications of an endpoint that leaves a container which stays.

use vswitch_api::publish::PortSpec;

use super::super::{EndpointKey, EndpointState, Lease, Model};
use crate::control::limits::PUBLICATIONS_MAX;

impl Model {
    /// Gives the publications of an endpoint to others of its container in a state: each to the first one, in the
    /// order of its gateways, whose network can have it. Gives the new owners, and the ports that stay.
    pub(crate) fn hand_publications_on(
        &mut self,
        from: &EndpointKey,
        to: EndpointState,
    ) -> (Vec<(Lease, PortSpec)>, Vec<PortSpec>) {
        let (mut handed, mut left) = (Vec::new(), Vec::new());
        for one in self.publications_of(from) {
            let next = self.endpoints_in(&from.name, to).into_iter().find(|(endpoint, _)| {
                let network = &endpoint.lease.network;
                endpoint.lease.key() != *from
                    && endpoint.publications.len() < PUBLICATIONS_MAX
                    && self.check_publications(network, std::slice::from_ref(&one)).is_ok()
                    && self.check_publication_family(&endpoint.lease.key(), &one).is_ok()
            });
            match next.map(|(endpoint, _)| endpoint.lease.clone()) {
                Some(lease) => {
                    self.move_publication(from, &lease.key(), &one.ports);
                    handed.push((lease, one.ports));
                }
                None => left.push(one.ports),
            }
        }
        (handed, left)
    }

    /// Undoes [`Model::hand_publications_on`].
    pub(crate) fn take_publications_back(
        &mut self,
        from: &EndpointKey,
        handed: &[(Lease, PortSpec)],
    ) {
        for (lease, ports) in handed {
            self.move_publication(&lease.key(), from, ports);
        }
    }

    /// Moves a publication, and its marks: pending, and made by the runtime.
    fn move_publication(&mut self, from: &EndpointKey, to: &EndpointKey, ports: &PortSpec) {
        let (mut moved, mut pending) = (Vec::new(), Vec::new());
        let is_runtimes = self.endpoints.get(from).and_then(|it| it.runtime.as_ref());
        let is_runtimes = is_runtimes.is_some_and(|state| state.published.contains(ports));
        self.change(from, |endpoint| {
            moved = endpoint.publications.extract_if(.., |one| one.ports == *ports).collect();
            pending = endpoint.pending.extract_if(.., |one| one.ports == *ports).collect();
        });
        self.change(to, |endpoint| {
            endpoint.publications.extend(moved);
            endpoint.pending.extend(pending);
        });
        if is_runtimes {
            self.mark_runtimes(to, *ports);
        }
        self.invalidate_publications();
    }
}

#[cfg(test)]
mod tests {
    use vswitch_api::publish::Publication;

    use super::super::super::tests::{attach_spec, key, model, network, open_network};
    use super::super::super::{AttachSpec, EndpointState, Model};
    use crate::config::Uplink;

    fn publication(text: &str) -> Publication {
        Publication { ports: text.parse().unwrap(), allow_from: Vec::new() }
    }

    /// The container `a` on three networks; `isle` has the default route, and is internal.
    fn container() -> Model {
        let mut model = model();
        open_network(&mut model, network("zeta", Uplink::Auto));
        open_network(&mut model, network("isle", Uplink::None));
        let publish = ["8080:80", "8081:81"].map(publication).to_vec();
        attach_spec(&mut model, AttachSpec { publish, ..AttachSpec::new(key("a", "zeta")) });
        attach_spec(&mut model, AttachSpec { gw_priority: 9, ..AttachSpec::new(key("a", "isle")) });
        model
    }

    #[test]
    fn the_next_network_that_can_have_them_gets_them() {
        let mut model = container();
        let from = key("a", "zeta");
        model.mark_pending(&from, &"8081:81".parse().unwrap(), "taken".to_owned());
        model.begin_detach(&from).unwrap();
        let (handed, left) = model.hand_publications_on(&from, EndpointState::Active);
        assert!(handed.is_empty(), "an internal network cannot have them");
        assert_eq!(left.len(), 2);
        open_network(&mut model, network("xi", Uplink::Auto));
        let lease = attach_spec(&mut model, AttachSpec::new(key("a", "xi")));
        let (handed, left) = model.hand_publications_on(&from, EndpointState::Waiting);
        assert_eq!((handed.len(), left.len()), (0, 2));
        let (handed, left) = model.hand_publications_on(&from, EndpointState::Active);
        assert_eq!((handed.len(), left.len()), (2, 0));
        assert!(handed.iter().all(|(to, _)| *to == lease));
        assert_eq!(model.publications(&lease.key()).unwrap().len(), 2);
        assert_eq!(model.all_pending().len(), 1);
        assert_eq!(model.all_pending()[0].0, lease.key());
        model.take_publications_back(&from, &handed);
        assert_eq!(model.publications_of(&from).len(), 2);
        assert!(model.publications(&lease.key()).unwrap().is_empty());
    }
    #[test]
    fn one_that_waits_leaves_them_to_another_that_waits() {
        let mut model = container();
        open_network(&mut model, network("xi", Uplink::Auto));
        let lease = attach_spec(&mut model, AttachSpec::new(key("a", "xi")));
        let from = key("a", "zeta");
        for one in [&from, &lease.key()] {
            model.begin_detach(one).unwrap();
            model.wait_for_container(one);
        }
        model.begin_detach(&from).unwrap();
        let (handed, left) = model.hand_publications_on(&from, EndpointState::Waiting);
        assert_eq!((handed.len(), left.len()), (2, 0));
        assert_eq!(model.publications_of(&lease.key()).len(), 2);
        assert!(model.publications_of(&from).is_empty() && model.works_or_waits(&from.name));
    }
}
