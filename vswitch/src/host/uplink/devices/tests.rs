use rtnetlink::packet_core::Parseable;

use super::*;

/// `RTM_NEWLINK` of `eth0.101`, type vlan, recorded by nlmon.
const VLAN: &str = "\
    000001002200000043100100000000005000120009000100766c616e000000004000020006000500810000000600010065000000\
    0c00020001000000ffffffff100004000c0001000600000007000000100003000c0001000400000005000000";

/// The same of a bond.
const BOND: &str = "\
    00000100180000004314010000000000dc00120009000100626f6e6400000000cc00020005000100000000000800030000000000\
    0800040000000000080005000000000008001c000000000005000600010000000800070000000000080009000000000008000a00\
    0000000005000c000000000005000d000000000005000e000000000008000f000100000005001000010000000500110000000000\
    08001200000000000800130001000000080014000100000005001d00010000000500150000000000050016000000000005001b00\
    0100000005001e000200000005002000010000000500210001000000";

/// The same of a veth that is a member of the bond.
const BOND_PORT: &str = "\
    000001001500000043180100000000005400120009000100766574680000000009000400626f6e64000000003800050005000100\
    00000000050002000000000008000300000000000a00040000234567891a000006000500000000000800090000000000";

/// A link of a recorded message, which lacks the name and the controller.
fn recorded(hex: &str, name: &str, controller: Option<u32>) -> LinkMessage {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes: Vec<u8> = digits.chunks(2).map(byte).collect();
    let mut link = LinkMessage::parse(&bytes).expect("a recorded message");
    link.attributes.push(LinkAttribute::IfName(name.into()));
    link.attributes.extend(controller.map(LinkAttribute::Controller));
    link
}

/// A link of a kind; none for a NIC.
fn link(index: u32, name: &str, kind: Option<InfoKind>) -> LinkMessage {
    let mut link = LinkMessage::default();
    (link.header.index, link.header.link_layer_type) = (index, LinkLayerType::Ether);
    link.header.flags = LinkFlags::Up | LinkFlags::LowerUp;
    link.attributes.push(LinkAttribute::IfName(name.into()));
    link.attributes.extend(kind.map(|kind| LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)])));
    link
}

fn member(index: u32, name: &str, kind: Option<InfoKind>, controller: u32) -> LinkMessage {
    let mut link = link(index, name, kind);
    link.attributes.push(LinkAttribute::Controller(controller));
    link
}

fn tunnel(index: u32, name: &str) -> LinkMessage {
    let mut link = link(index, name, Some(InfoKind::Wireguard));
    link.header.link_layer_type = LinkLayerType::None;
    link
}

/// A host whose default route leads by the first of `gateways`; all links have an address.
fn select_of(links: &[LinkMessage], gateways: &[u32], selector: &UplinkSelector) -> Selection {
    let metrics = gateways.iter().zip(10..).map(|(index, metric)| (*index, Some(metric)));
    let used = DeviceUse {
        gateways: metrics.collect(),
        configured: links.iter().map(|link| link.header.index).collect(),
        former: BTreeSet::new(),
    };
    select(links, &used, selector, &["br0".into(), "up-br0".into()])
}

fn auto(links: &[LinkMessage], gateways: &[u32]) -> Vec<String> {
    select_of(links, gateways, &UplinkSelector::default()).devices
}

fn named(names: &[&str]) -> UplinkSelector {
    let named = names.iter().map(|name| name.to_string()).collect();
    UplinkSelector { named, exclude: Vec::new() }
}

#[test]
fn auto_takes_what_leads_out() {
    let links = [
        link(2, "eth0", None),
        link(3, "eth1", None),
        link(4, "veth9", Some(InfoKind::Veth)),
        link(5, "dummy0", Some(InfoKind::Dummy)),
        link(6, "up-br0", Some(InfoKind::Tun)),
        link(7, "br0", Some(InfoKind::Tun)),
        link(8, "lab0", Some(InfoKind::Tun)),
        link(9, "vxlan7", Some(InfoKind::Vxlan)),
    ];
    assert_eq!(auto(&links, &[3]), ["eth1", "eth0", "veth9"], "the default route's first");
    // What has no address and no route is of no use.
    let gateways = [(3, Some(1))].into();
    let used = DeviceUse { gateways, configured: [2].into(), former: [5].into() };
    let selection = select(&links, &used, &UplinkSelector::default(), &[]);
    assert_eq!(selection.devices, ["eth1", "eth0", "dummy0"], "an uplink of before stays");
    // A gateway route leads by it.
    assert_eq!(auto(&links, &[5])[0], "dummy0");
    assert!(auto(&[], &[]).is_empty());
}

#[test]
fn container_networks_are_left_out_unless_named() {
    let foreign =
        ["docker0", "docker_gwbridge", "br-1a2b", "virbr0", "cni0", "cali7", "lxc1", "flannel.1"];
    let mut links: Vec<_> =
        (10..).zip(foreign).map(|(index, name)| link(index, name, Some(InfoKind::Veth))).collect();
    links.push(link(2, "eth0", None));
    assert_eq!(auto(&links, &[2, 10, 12]), ["eth0"]);
    let selection = select_of(&links, &[2, 12], &UplinkSelector::default());
    assert_eq!(selection.hints.len(), 1, "{:?}", selection.hints);
    assert!(selection.hints[0].contains("--uplink br-1a2b"), "{:?}", selection.hints);
    let selection = select_of(&links, &[2], &named(&["docker0", "eth0", "lxc1"]));
    assert_eq!(selection.devices, ["docker0", "eth0", "lxc1"], "in the order of the option");
}

#[test]
fn bonds_vlans_and_bridges_stand_for_their_members() {
    let links = [
        recorded(VLAN, "eth0.101", None),
        recorded(BOND, "bond0", None),
        recorded(BOND_PORT, "veth-a", Some(24)),
        link(50, "lan", Some(InfoKind::Bridge)),
        member(51, "eth3", None, 50),
        link(60, "vms", Some(InfoKind::Bridge)),
        member(61, "vnet0", Some(InfoKind::Tun), 60),
        member(62, "veth7", Some(InfoKind::Veth), 60),
        link(70, "team0", Some(InfoKind::Other("team".into()))),
    ];
    assert_eq!(auto(&links, &[]), ["bond0", "eth0.101", "lan", "team0"]);
    // A bridge of virtual machines only is one if the host leaves by it.
    assert_eq!(auto(&links, &[60]), ["vms", "bond0", "eth0.101", "lan", "team0"]);
    // A bridge of a VLAN.
    let bridged = [
        link(50, "lan", Some(InfoKind::Bridge)),
        recorded(VLAN, "eth0.101", Some(50)),
        link(2, "eth0", None),
    ];
    assert_eq!(auto(&bridged, &[]), ["eth0", "lan"]);
    let selection = select_of(&links, &[], &named(&["veth-a", "eth3"]));
    assert_eq!(selection.devices, Vec::<String>::new());
    assert!(selection.hints[0].contains("--uplink bond0"), "{:?}", selection.hints);
    assert!(selection.hints[1].contains("--uplink lan"), "{:?}", selection.hints);
}

#[test]
fn devices_are_left_out_by_pattern() {
    let links = [link(2, "eth0", None), link(3, "wlan0", None), link(4, "eth1", None)];
    let exclude = vec!["wlan*".parse().unwrap(), "eth1".parse().unwrap()];
    let selector = UplinkSelector { exclude, ..UplinkSelector::default() };
    assert_eq!(select_of(&links, &[], &selector).devices, ["eth0"]);
    let selection = select_of(&links, &[3], &selector);
    assert_eq!(selection.devices, ["eth0"]);
    assert!(selection.hints[0].contains("wlan0 is left out"), "{:?}", selection.hints);
}

#[test]
fn what_is_no_ethernet_is_answered_for() {
    let links = [link(2, "eth0", None), tunnel(3, "wg0"), tunnel(4, "wg1")];
    let selection = select_of(&links, &[2, 3], &UplinkSelector::default());
    assert_eq!(selection.devices, ["eth0"]);
    let hints = selection.hints;
    assert_eq!(hints.len(), 2, "{hints:?}");
    assert!(hints[0].contains("wg0") && hints[0].contains("--uplink kernel"), "{hints:?}");
    // Without an address, or left out, it is of no interest; nor is the loopback device.
    let exclude = vec!["wg0".parse().unwrap()];
    let selector = UplinkSelector { exclude, ..UplinkSelector::default() };
    let mut lo = tunnel(1, "lo");
    lo.header.flags |= LinkFlags::Loopback;
    let links = [lo, link(2, "eth0", None), tunnel(3, "wg0"), tunnel(4, "wg1")];
    let used = DeviceUse { configured: [1, 2, 3].into(), ..DeviceUse::default() };
    assert_eq!(select(&links, &used, &selector, &[]).hints, Vec::<String>::new());
    let selection = select_of(&links, &[2], &named(&["wg0"]));
    assert!(selection.devices.is_empty() && selection.hints.len() == 1);
}

#[test]
fn there_are_sixteen_at_most() {
    let links: Vec<_> = (2..30).map(|n| link(n, &format!("eth{n}"), None)).collect();
    let selection = select_of(&links, &[29], &UplinkSelector::default());
    assert_eq!((selection.devices.len(), selection.devices[0].as_str()), (UPLINKS_MAX, "eth29"));
    assert!(selection.hints[0].contains("eth28"), "{:?}", selection.hints);
}
