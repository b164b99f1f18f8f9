//! Frames that the service refuses.

use std::sync::Arc;

use wire::ipv4;

use super::*;

#[test]
fn a_forged_source_and_fragments_are_refused() {
    for family in FAMILIES {
        let mut net = Service::new();
        let gateway = at(family.gateway(), 53);
        for forged in [family.container(B), family.remote(), family.gateway()] {
            let frame = udp(up(A), at(forged, 5000), gateway, b"name?");
            net.refused(A, frame, DropReason::ServiceForeignSource);
        }
    }
    let mut net = Service::new();
    let mut first = query(A, Family::V4);
    let mut ip = ipv4::Packet::new_checked(&mut first[VNET_LEN + 14..]).expect("IPv4");
    ip.set_fragment(false, true, 0);
    ip.fill_checksum();
    net.refused(A, first, DropReason::ServiceFragment);
    // A port without addresses, such as one that is being attached.
    net.0.sim.set(B, |conf| conf.addresses = PortAddresses::NONE);
    net.refused(B, query(B, Family::V4), DropReason::ServiceForeignSource);
}

#[test]
fn of_the_namespace_only_answers_pass() {
    for family in FAMILIES {
        let mut net = Service::new();
        let (server, client) = (server(family), at(client(A, family), 5000));
        for frame in [
            udp(FROM_SERVER, at(server.ip(), 54), client, b"another port"),
            udp(FROM_SERVER, at(family.gateway(), 53), client, b"another source"),
            udp(FROM_SERVER, server, at(family.container(A), 5000), b"no client"),
            udp(FROM_SERVER, server, at(family.remote(), 5000), b"no client"),
            echo(FROM_SERVER, (server.ip(), client.ip()), true, 53),
        ] {
            net.refused(SERVICE, frame, DropReason::ServiceUnexpected);
        }
        let arp = crate::datapath::tests::sim::frame(MacAddr::BROADCAST, SERVICE_MAC, b"anything");
        net.refused(SERVICE, arp, DropReason::ServiceUnexpected);
    }
    // The last fragment of an answer has no port.
    let mut net = Service::new();
    let mut last = answer(A, Family::V4);
    let mut ip = ipv4::Packet::new_checked(&mut last[VNET_LEN + 14..]).expect("IPv4");
    ip.set_fragment(false, false, 1232);
    ip.fill_checksum();
    assert_eq!(net.one(SERVICE, last).0, A);
}

#[test]
fn an_answer_to_a_port_that_is_gone_or_another_ones_is_dropped() {
    for family in FAMILIES {
        let mut net = Service::new();
        let no_client = DropReason::ServiceNoClient;
        for port in [HOST, UPLINK, SERVICE, ALL, 999] {
            net.refused(SERVICE, answer(port, family), no_client);
        }
        net.0.sim.disable(A);
        net.refused(SERVICE, answer(A, family), no_client);
        // Its successor in the slot has other addresses, or none of the family.
        net.0.sim.set(B, |conf| conf.addresses = PortAddresses::new([Family::V4.container(B)]));
        let sent = net.sent(SERVICE, answer(B, family));
        assert_eq!(sent.len(), usize::from(family == Family::V4));
        let mixed = ServiceClient { port: PortIndex(OTHER), gateway: 0, own: 1 };
        let mixed = mixed.address(server(family).ip()).expect("an address");
        let mixed = udp(FROM_SERVER, server(family), at(mixed, 5000), b"of two families");
        net.refused(SERVICE, mixed, no_client);
    }
}

#[test]
fn the_rates_of_a_port_apply() {
    let mut net = Service::new();
    let rate = Rate::bits(8_000.try_into().expect("in range"));
    let bucket = || Some(Arc::new(TokenBucket::new(rate)));
    net.0.sim.limit(A, |limits| limits.rate_in = bucket());
    while net.0.sim.drops(A, DropReason::RateLimitIn) == 0 {
        net.sent(A, query(A, Family::V4));
    }
    net.0.sim.limit(B, |limits| limits.rate_out = bucket());
    while net.0.sim.drops(B, DropReason::RateLimitOut) == 0 {
        net.sent(SERVICE, answer(B, Family::V4));
    }
}
