//! Others decode what is on the wire: VXLAN of RFC 7348, with all checksums right, outside and inside.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use testkit::Netns;

use super::SOON;
use super::capture::Capture;
use super::sites::{Family, Sites, balanced};
use crate::transfer::transfer;

/// Sends 30 datagrams of 1,000 bytes and one of 500 by one call (`UDP_SEGMENT`): `ADDR PORT`.
const SEND_SEGMENTS: &str = "\
import os, socket, sys
s = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_UDP, 103, 1000)
s.sendto(os.urandom(30500), (sys.argv[1], int(sys.argv[2])))
";

/// What `tshark` calls a right checksum.
const GOOD: &str = "1";

/// The least severity of an error in `tshark`'s expert information (`PI_ERROR`).
const ERROR: u32 = 0x80_0000;

/// The link of the first host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    /// A veth with all it can do: the bridge segments datagrams and completes their checksums.
    Offload,
    /// Without checksum offload: the host does.
    None,
}

/// Fields that are read, as [`check`] takes them.
const FIELDS: [&str; 16] = [
    "frame.protocols",
    "frame.len",
    "_ws.malformed",
    "_ws.expert.severity",
    "vxlan.vni",
    "vxlan.flags",
    "vxlan.gbp",
    "vxlan.reserved8",
    "ip.checksum.status",
    "udp.checksum.status",
    "tcp.checksum.status",
    "icmp.checksum.status",
    "icmpv6.checksum.status",
    "udp.srcport",
    "ip.src",
    "ipv6.src",
];

/// Kinds of frames by their inner protocol, and how many there are of each from either host at least.
const KINDS: [(&str, usize); 6] =
    [("tcp", 700), ("icmpv6", 8), ("icmp", 8), ("udp", 64), ("arp", 1), ("fragment", 8)];

/// All kinds of traffic between two containers, in both directions.
#[track_caller]
fn talk(a: &Netns, b: &Netns, to: IpAddr, back: IpAddr) {
    for (from, to, address) in [(a, b, to), (b, a, back)] {
        from.ping_soon(address, SOON);
        for size in ["0", "1", "1400", "4000"] {
            from.ok(&["ping", "-n", "-c2", "-i0.01", "-W2", "-s", size, &address.to_string()]);
        }
        let _service = to.serve("udp", address, 7000);
        from.ask("udp", address, 7000);
        from.ok(&["python3", "-c", SEND_SEGMENTS, &address.to_string(), "7000"]);
        transfer(from, to, address, 1);
    }
}

/// Checks one frame. Returns its VTEP, source port and the kind of its inner protocol.
#[track_caller]
fn check(family: Family, fields: &[Vec<String>; FIELDS.len()]) -> (String, u16, &'static str) {
    let [protocols, len, malformed, severities, vni, flags, gbp, reserved, rest @ ..] = fields;
    let [checksums @ .., port, source4, source6] = rest;
    let (ip, source) = if family == Family::V4 { ("ip", source4) } else { ("ipv6", source6) };
    let outer = format!("eth:ethertype:{ip}:udp:vxlan:eth:ethertype:");
    let inner = protocols[0].strip_prefix(&outer).unwrap_or_else(|| panic!("{fields:?}"));
    assert!(malformed.is_empty(), "{fields:?}");
    let severities = severities.iter().map(|severity| severity.parse::<u32>().expect("a number"));
    assert!(severities.max().unwrap_or(0) < ERROR, "{fields:?}");
    // The flag of the VNI alone, and nothing where RFC 7348 reserves.
    let header = [vni, flags, gbp, reserved].map(|values| values.join(","));
    assert_eq!(header, ["42", "0x0800", "0", "0"], "{fields:?}");
    assert!(len[0].parse::<usize>().expect("a number") <= 1514, "{fields:?}");
    let [_, udp, tcp, icmp, icmpv6] = checksums;
    assert_eq!(udp.first().map(String::as_str), Some(GOOD), "the outer checksum: {fields:?}");
    assert!(checksums.iter().flatten().all(|status| status == GOOD), "{fields:?}");
    let kind = KINDS.into_iter().map(|(kind, _)| kind);
    let kind = kind.into_iter().find(|kind| inner.split(':').any(|word| word == *kind));
    let is_looked_at = match kind {
        Some("tcp") => tcp.len() == 1,
        Some("icmp") => icmp.len() == 1,
        Some("icmpv6") => icmpv6.len() == 1,
        Some("udp") => udp.len() == 2,
        _ => true,
    };
    assert!(is_looked_at, "{fields:?}");
    let port = port[0].parse().expect("a port");
    (source[0].clone(), port, kind.unwrap_or("fragment"))
}

/// Captures at the second host, where all is complete: what it sends, and what came from the first one.
#[track_caller]
fn decodes(family: Family, link: Link) {
    let (mut sites, bridge) = Sites::bridged(family);
    let [n1, n2] = [0, 1].map(|at| sites.hosts[at].netns());
    n2.ok(&["ethtool", "-K", "ul", "tx", "off"]);
    bridge.ok(&["ethtool", "-K", "p2", "tx", "off"]);
    if link == Link::None {
        n1.ok(&["ethtool", "-K", "ul", "tx", "off"]);
    }
    sites.start(&[]);
    let (a, b) = sites.containers();
    let n2 = sites.hosts[1].netns();
    let capture = Capture::start(n2, "ul");
    talk(&a, &b, b.v4(), a.v4());
    talk(&a, &b, b.v6(), a.v6());
    let (mut frames, mut ports) = (BTreeMap::<_, usize>::new(), BTreeSet::new());
    for row in capture.fields(n2, FIELDS) {
        let (vtep, port, kind) = check(family, &row);
        *frames.entry((vtep.clone(), kind)).or_default() += 1;
        ports.insert((vtep, port));
    }
    // Of each kind in each direction, and flows from several ports.
    for number in [1, 2] {
        let vtep = family.address(number).to_string();
        for (kind, least) in KINDS {
            let count = frames.get(&(vtep.clone(), kind)).copied().unwrap_or(0);
            assert!(count >= least, "{kind} of {vtep}: {frames:#?}");
        }
        assert!(ports.iter().filter(|(source, _)| *source == vtep).count() > 2, "{ports:?}");
    }
    sites.hosts.iter().for_each(balanced);
}

#[test]
fn over_ipv4() {
    decodes(Family::V4, Link::Offload);
}

#[test]
fn over_ipv4_without_offload() {
    decodes(Family::V4, Link::None);
}

#[test]
fn over_ipv6() {
    decodes(Family::V6, Link::Offload);
}

#[test]
fn over_ipv6_without_offload() {
    decodes(Family::V6, Link::None);
}
