//! Answers to hosts that configure themselves, and unsolicited router advertisements.
//!
//! Workers give requests by events ([`DhcpRequest`](crate::dataplane::DataplaneEvent::DhcpRequest)); the answer
//! goes straight to the port that asked. What it says is `vswitch_dhcp`'s part.
//!
//! Of several networks of a container one gives the default route: the others name no router. So each port gets
//! advertisements of its own: each [`ADVERT_INTERVAL`], more often after a start, when a network of its container
//! comes or goes, and a last one before it is detached and when the daemon ends. A host behind a bridge would keep
//! the router otherwise.

use std::path::Path;
use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::Ipv4Net;
use vswitch_dhcp::limits::{ADVERT_INITIAL_INTERVAL, ADVERT_INTERVAL, ADVERTS_INITIAL};
use vswitch_dhcp::{NetworkInfo, PortLease, SearchList};

use super::Control;
use super::dns::RESOLV_CONF;
use super::inner::Inner;
use super::model::{Lease, Model, Network};
use super::name::Name;

pub(super) mod state;

impl Control {
    /// Answers the request that came from a port. A port that is gone gets no answer.
    pub(super) fn answer_dhcp(&self, slot: PortIndex, request: &[u8]) {
        let Some((name, lease)) = self.0.port_lease(slot) else { return };
        let answer = vswitch_dhcp::answer(request, &lease);
        if let Some(address) = answer.declined
            && self.0.dhcp.may_log_decline()
        {
            tracing::warn!(%name, %address,
                "DHCP: the client declined the address: another host behind the port has it");
        }
        let Some(frame) = answer.frame else { return };
        if let Err(error) = self.0.dataplane.send_later(slot, frame) {
            tracing::debug!(%name, %error, "DHCP: not answered");
        }
    }

    /// Tells the hosts behind a container's ports which network gives the default route now.
    pub(super) async fn advertise_container(&self, name: &Name) {
        let slots = self.0.model().slots_of(name);
        self.0.send_adverts(slots, vswitch_dhcp::advertise).await;
    }

    /// Tells the hosts behind a port that its router is there no more.
    pub(super) async fn withdraw_router(&self, slot: PortIndex) {
        self.0.send_adverts([slot], vswitch_dhcp::withdraw).await;
    }

    /// The same for all ports.
    pub(super) async fn withdraw_routers(&self) {
        self.0.send_adverts(self.0.active_slots(), vswitch_dhcp::withdraw).await;
    }
}

/// Sends router advertisements until the daemon ends: the first ones at once, for hosts that have lost their
/// router with the last daemon.
pub(super) async fn advertise(inner: Arc<Inner>) {
    let first = std::iter::repeat_n(ADVERT_INITIAL_INTERVAL, ADVERTS_INITIAL);
    for pause in first.chain(std::iter::repeat(ADVERT_INTERVAL)) {
        if inner.check_not_ending().is_err() {
            return;
        }
        inner.send_adverts(inner.active_slots(), vswitch_dhcp::advertise).await;
        tokio::time::sleep(pause).await;
    }
}

impl Inner {
    fn active_slots(&self) -> Vec<PortIndex> {
        self.model().active().map(|(endpoint, _)| endpoint.lease.slot).collect()
    }

    /// Sends each port its advertisement, one after the other.
    async fn send_adverts(
        &self,
        slots: impl IntoIterator<Item = PortIndex>,
        advert: impl Fn(&PortLease) -> Option<Vec<u8>>,
    ) {
        for slot in slots {
            let Some((name, lease)) = self.port_lease(slot) else { continue };
            let Some(frame) = advert(&lease) else { continue };
            if let Err(error) = self.dataplane.send(slot, frame).await {
                tracing::debug!(%name, %error, "no router advertisement");
            }
        }
    }

    /// The lease of a container's port, with the port's name.
    fn port_lease(&self, slot: PortIndex) -> Option<(String, PortLease)> {
        let (name, mut lease) = port_lease(&self.model(), slot)?;
        lease.network.dns = self.has_dns();
        lease.network.search = self.dhcp.host_search(Path::new(RESOLV_CONF));
        Some((name, lease))
    }
}

/// What the model knows of such a lease.
fn port_lease(model: &Model, slot: PortIndex) -> Option<(String, PortLease)> {
    let lease = model.lease_in_slot(slot)?;
    let network = model.network(Some(lease.network.as_str())).ok()?;
    let prefix_len = network.spec.subnet.net().prefix_len();
    let port_lease = PortLease {
        ipv4: lease.ipv4.map(|own| Ipv4Net::new_assert(own, prefix_len)),
        ipv6: lease.ipv6,
        hostname: hostname(lease),
        is_default_route: model.gives_default_route(&lease.key()),
        network: network_info(network),
    };
    Some((lease.name.to_string(), port_lease))
}

fn network_info(network: &Network) -> NetworkInfo {
    let spec = &network.spec;
    NetworkInfo {
        mac: spec.gateway_mac,
        gateway: spec.gateway,
        subnet6: spec.gateway6_net(),
        gateway6: spec.gateway6,
        mtu: spec.mtu,
        has_host_port: network.host_port.is_some(),
        dns: false,
        search: SearchList::default(),
        dhcp: spec.host_config.dhcp,
        ra: spec.host_config.ra,
    }
}

/// The name of an endpoint as a host name: one label of letters, digits and hyphens (RFC 1123 section 2.1).
fn hostname(lease: &Lease) -> Option<String> {
    let name = lease.name.dns_name()?;
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (name.bytes().all(is_known) && !name.ends_with('-')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::super::model::AttachSpec;
    use super::super::model::tests::{
        attach_spec, key, model, network, open_network, reserve, spec,
    };
    use super::*;
    use crate::config::Uplink;

    #[test]
    fn a_port_is_told_its_own_address_and_name() {
        let mut model = model();
        let lease = attach_spec(&mut model, spec("Web-1"));
        let (name, told) = port_lease(&model, lease.slot).expect("a lease");
        assert_eq!((name.as_str(), told.hostname.as_deref()), ("Web-1", Some("web-1")));
        let net = told.ipv4.expect("an address");
        assert_eq!((Some(net.addr()), told.ipv6), (lease.ipv4, lease.ipv6));
        let network = model.network(None).expect("a network");
        assert_eq!(net.netmask(), network.spec.subnet.net().netmask());
        assert_eq!(told.network.mac, network.spec.gateway_mac);
        assert!(!told.network.dhcp && !told.network.ra, "off unless asked for");
    }

    #[test]
    fn names_that_no_host_can_have_are_left_out() {
        let mut model = model();
        for name in ["a_b", "a.b", "a-", &"a".repeat(64)] {
            let lease = attach_spec(&mut model, spec(name));
            assert_eq!(hostname(&lease), None, "{name}");
        }
    }

    #[test]
    fn one_network_of_a_container_gives_its_default_route() {
        let mut model = model();
        open_network(&mut model, network("br1", Uplink::None));
        let first = attach_spec(&mut model, spec("a"));
        let is_default =
            |model: &Model, slot| port_lease(model, slot).map(|it| it.1.is_default_route);
        assert_eq!(is_default(&model, first.slot), Some(true));
        let second = AttachSpec { gw_priority: 1, ..AttachSpec::new(key("a", "br1")) };
        let second = attach_spec(&mut model, second);
        assert_eq!(is_default(&model, first.slot), Some(false));
        assert_eq!(is_default(&model, second.slot), Some(true));
        // One that is attached later asks before it is active.
        let third = AttachSpec { gw_priority: 1, ..AttachSpec::new(key("b", "br1")) };
        let third = reserve(&mut model, &third).expect("a lease");
        model.set_in_snapshot(&third.key(), true);
        assert_eq!(is_default(&model, third.slot), Some(true));
        model.begin_detach(&second.key()).expect("an endpoint");
        assert_eq!(is_default(&model, first.slot), Some(true));
    }

    #[test]
    fn a_port_that_is_gone_or_the_hosts_has_no_lease() {
        let mut model = model();
        let host_port = model.network(None).expect("a network").host_port;
        assert!(port_lease(&model, host_port.expect("a port")).is_none());
        let lease = attach_spec(&mut model, spec("a"));
        model.set_in_snapshot(&lease.key(), false);
        assert!(port_lease(&model, lease.slot).is_none());
    }
}
