//! Answers to hosts that configure themselves, and unsolicited router advertisements.
//!
//! Workers give requests by events ([`DhcpRequest`](crate::dataplane::DataplaneEvent::DhcpRequest)); the answer
//! goes straight to the port that asked. What it says is `vswitch_dhcp`'s part.

use std::sync::Arc;

use fastpath::PortIndex;
use ipnet::Ipv4Net;
use vswitch_dhcp::limits::ADVERT_INTERVAL;
use vswitch_dhcp::{NetworkInfo, PortLease};

use super::Control;
use super::inner::Inner;
use super::model::{Lease, Model, Network};

impl Control {
    /// Answers the request that came from a port. A port that is gone gets no answer.
    pub(super) fn answer_dhcp(&self, slot: PortIndex, request: &[u8]) {
        let Some((name, lease)) = port_lease(&self.0.model(), slot) else { return };
        let answer = vswitch_dhcp::answer(request, &lease);
        if let Some(address) = answer.declined {
            tracing::warn!(%name, %address,
                "DHCP: the client declined the address: another host behind the port has it");
        }
        let Some(frame) = answer.frame else { return };
        if let Err(error) = self.0.dataplane.send(slot, frame) {
            tracing::debug!(%name, %error, "DHCP: not answered");
        }
    }
}

/// Sends router advertisements until the daemon ends: the first ones at once, for hosts that have lost their
/// router with the last daemon.
pub(super) async fn advertise(inner: Arc<Inner>) {
    loop {
        let adverts: Vec<_> = {
            let model = inner.model();
            let advert = |network: &Network| {
                Some((network.host_port?, vswitch_dhcp::advertise(&network_info(network))?))
            };
            model.networks().filter_map(advert).collect()
        };
        for (host_port, frame) in adverts {
            // The host's port sends it, so that it reaches what reaches the gateway.
            if let Err(error) = inner.dataplane.inject(host_port, frame).await {
                tracing::debug!(%error, "no router advertisement");
            }
        }
        tokio::time::sleep(ADVERT_INTERVAL).await;
        if inner.check_not_ending().is_err() {
            return;
        }
    }
}

/// The lease of a container's port, with the port's name.
fn port_lease(model: &Model, slot: PortIndex) -> Option<(String, PortLease)> {
    let lease = model.lease_in_slot(slot)?;
    let network = model.network(Some(lease.network.as_str())).ok()?;
    let prefix_len = network.spec.subnet.net().prefix_len();
    let port_lease = PortLease {
        ipv4: Ipv4Net::new_assert(lease.ipv4, prefix_len),
        ipv6: lease.ipv6,
        hostname: hostname(lease),
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
        dhcp: spec.host_config.dhcp,
        // Without the host's port nobody has the router's address.
        ra: spec.host_config.ra && network.host_port.is_some(),
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
    use super::super::model::tests::{attach_spec, model, spec};
    use super::*;

    #[test]
    fn a_port_is_told_its_own_address_and_name() {
        let mut model = model();
        let lease = attach_spec(&mut model, spec("Web-1"));
        let (name, told) = port_lease(&model, lease.slot).expect("a lease");
        assert_eq!((name.as_str(), told.hostname.as_deref()), ("Web-1", Some("web-1")));
        assert_eq!((told.ipv4.addr(), told.ipv6), (lease.ipv4, lease.ipv6));
        let network = model.network(None).expect("a network");
        assert_eq!(told.ipv4.netmask(), network.spec.subnet.net().netmask());
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
    fn a_port_that_is_gone_or_the_hosts_has_no_lease() {
        let mut model = model();
        let host_port = model.network(None).expect("a network").host_port;
        assert!(port_lease(&model, host_port.expect("a port")).is_none());
        let lease = attach_spec(&mut model, spec("a"));
        model.set_in_snapshot(&lease.key(), false);
        assert!(port_lease(&model, lease.slot).is_none());
    }
}
