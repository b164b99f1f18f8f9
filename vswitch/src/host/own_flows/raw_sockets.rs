//! Raw sockets, which the kernel lists as text: protocol in place of the port.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Flow;

/// Those of the flows that a raw socket of the calling thread's network namespace hears. A file that is not there is
/// that of a family the kernel has not.
pub(super) fn users(flows: &BTreeSet<Flow>) -> BTreeSet<Flow> {
    let lists = ["raw", "raw6"].map(|name| {
        fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default()
    });
    let sockets: Vec<_> = lists.iter().flat_map(|list| list.lines().filter_map(socket)).collect();
    let hears = |&(remote, protocol): &Flow| {
        sockets.iter().any(|&(of_peer, of)| {
            let is_for = of_peer == remote
                || of_peer.is_unspecified() && of_peer.is_ipv4() == remote.is_ipv4();
            of == protocol && is_for
        })
    };
    flows.iter().copied().filter(hears).collect()
}

/// Peer and protocol of a line.
fn socket(line: &str) -> Option<Flow> {
    let mut fields = line.split_whitespace().skip(1);
    let (_, protocol) = fields.next()?.split_once(':')?;
    let (peer, _) = fields.next()?.split_once(':')?;
    let protocol = u8::try_from(u16::from_str_radix(protocol, 16).ok()?).ok()?;
    let words: Option<Vec<u8>> = (0..peer.len() / 8).try_fold(Vec::new(), |mut all, n| {
        let word = u32::from_str_radix(peer.get(n * 8..n * 8 + 8)?, 16).ok()?;
        all.extend(word.to_ne_bytes());
        Some(all)
    });
    let words = words?;
    let peer: IpAddr = match <[u8; 4]>::try_from(&words[..]) {
        Ok(v4) => Ipv4Addr::from(v4).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(&words[..]).ok()?).into(),
    };
    Some((peer, protocol))
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_name_peer_and_protocol() {
        let header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when";
        assert_eq!(socket(header), None);
        let any = "  47: 00000000:002F 00000000:0000 07 00000000:00000000 00:00000000 00000000";
        assert_eq!(socket(any), Some((Ipv4Addr::UNSPECIFIED.into(), 47)));
        let one = "  50: 010200C0:0032 076433C6:0000 01 00000000:00000000 00:00000000 00000000";
        assert_eq!(socket(one), Some(([198, 51, 100, 7].into(), 50)));
        let v6 =
            "  50: 00000000000000000000000000000000:0032 B80D0120000000000000000007000000:0000 01";
        assert_eq!(socket(v6), Some(("2001:db8::7".parse().unwrap(), 50)));
    }

    #[test]
    fn sockets_of_the_namespace_are_seen() {
        testkit::in_namespace(|| {
            let (v4, v6): (IpAddr, IpAddr) =
                ([198, 51, 100, 7].into(), "2001:db8::7".parse().unwrap());
            let flows = BTreeSet::from([(v4, 47), (v4, 50), (v6, 47), (v6, 50)]);
            assert_eq!(users(&flows), BTreeSet::new());
            let open = |family, protocol: u32| {
                let protocol = Protocol::from_raw(NonZero::new(protocol).unwrap());
                socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol)).unwrap()
            };
            let _sockets = [open(AddressFamily::INET, 47), open(AddressFamily::INET6, 50)];
            assert_eq!(users(&flows), BTreeSet::from([(v4, 47), (v6, 50)]));
        });
    }
}
