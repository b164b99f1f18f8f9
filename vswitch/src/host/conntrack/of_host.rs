//! Flows without ports in the kernel's connection tracking: the host's own, and what it masquerades.
//!
//! The switch's frames never pass it, so none of its flows is there. An entry whose packets come in only, without
//! an answer of the host, is nobody's: it arises before the NIC hands a container's answers over.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_packet_netfilter::conntrack::{ConntrackAttribute, IPTuple, ProtoTuple, Status, Tuple};

use super::ctnetlink::{self, Filter};
use super::lists::LISTS_MAX;

/// Those of the flows (remote and protocol) that connection tracking has between the remote and an address of the
/// host, in the network namespace of the calling thread. Blocks.
///
/// # Errors
/// The kernel has no ctnetlink, or refuses.
pub(crate) fn flows_of_host(
    flows: &BTreeSet<(IpAddr, u8)>,
    local: &[IpAddr],
) -> io::Result<BTreeSet<(IpAddr, u8)>> {
    let mut used = BTreeSet::new();
    let socket = ctnetlink::open()?;
    let of = |(remote, protocol): &(IpAddr, u8)| Filter {
        protocol: Some(*protocol),
        ..Filter::family(remote.is_ipv4())
    };
    let mut lists: BTreeSet<Filter> = flows.iter().map(of).collect();
    if lists.len() > LISTS_MAX {
        lists = lists.into_iter().map(|filter| Filter::family(filter.is_v4)).collect();
    }
    for filter in lists {
        ctnetlink::list(&socket, filter, |_, attributes| {
            used.extend(flow_of_host(&attributes, local).filter(|flow| flows.contains(flow)));
        })?;
    }
    Ok(used)
}

fn flow_of_host(attributes: &[ConntrackAttribute], local: &[IpAddr]) -> Option<(IpAddr, u8)> {
    let (mut original, mut reply, mut has_reply) = (None, None, false);
    for attribute in attributes {
        match attribute {
            ConntrackAttribute::CtaTupleOrig(tuple) => original = Some(tuple),
            ConntrackAttribute::CtaTupleReply(tuple) => reply = Some(tuple),
            ConntrackAttribute::CtaStatus(status) => has_reply = status.contains(Status::SeenReply),
            _ => {}
        }
    }
    // Packets of the remote: the answers, if the host began, or began for another one that it masquerades.
    let from_remote = [(reply?, true), (original?, has_reply)];
    from_remote.into_iter().filter(|(_, is_used)| *is_used).find_map(|(tuple, _)| {
        let (protocol, from, to) = ends(tuple)?;
        local.contains(&to).then_some((from, protocol))
    })
}

/// Protocol, source and destination of a tuple.
fn ends(tuple: &[Tuple]) -> Option<(u8, IpAddr, IpAddr)> {
    let (mut protocol, mut from, mut to) = (None, None, None);
    for part in tuple {
        match part {
            Tuple::Ip(parts) => parts.iter().for_each(|part| match part {
                IPTuple::SourceAddress(address) => from = Some(*address),
                IPTuple::DestinationAddress(address) => to = Some(*address),
                _ => {}
            }),
            Tuple::Proto(parts) => parts.iter().for_each(|part| {
                if let ProtoTuple::Protocol(number) = part {
                    protocol = Some(u8::from(*number));
                }
            }),
            _ => {}
        }
    }
    Some((protocol?, from?, to?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(protocol: u8, from: &str, to: &str) -> Vec<Tuple> {
        let [from, to] = [from, to].map(|text| text.parse().unwrap());
        let ip = vec![IPTuple::SourceAddress(from), IPTuple::DestinationAddress(to)];
        vec![Tuple::Ip(ip), Tuple::Proto(vec![ProtoTuple::Protocol(protocol.into())])]
    }

    fn entry(
        original: (&str, &str),
        reply: (&str, &str),
        status: Status,
    ) -> [ConntrackAttribute; 3] {
        [
            ConntrackAttribute::CtaTupleOrig(tuple(50, original.0, original.1)),
            ConntrackAttribute::CtaTupleReply(tuple(50, reply.0, reply.1)),
            ConntrackAttribute::CtaStatus(status),
        ]
    }

    #[test]
    fn flows_that_the_host_has_sent_to_are_its_own() {
        for (host, remote, inside) in [
            ("192.0.2.1", "198.51.100.7", "172.17.0.2"),
            ("2001:db8::1", "2001:db8:f::7", "fd00:17::2"),
        ] {
            let local = [host.parse().unwrap()];
            let used = Some((remote.parse().unwrap(), 50));
            let of = |it: &[ConntrackAttribute]| flow_of_host(it, &local);
            let none = Status::empty();
            assert_eq!(of(&entry((host, remote), (remote, host), none)), used, "it began");
            assert_eq!(of(&entry((inside, remote), (remote, host), none)), used, "masqueraded");
            let answered = entry((remote, host), (host, remote), Status::SeenReply);
            assert_eq!(of(&answered), used, "it answers");
            let unanswered = entry((remote, host), (host, remote), none);
            assert_eq!(
                of(&unanswered),
                None,
                "a container's answers, before they were handed over"
            );
            let routed = entry((inside, remote), (remote, inside), Status::SeenReply);
            assert_eq!(of(&routed), None, "its answers come to another address");
        }
    }
}
