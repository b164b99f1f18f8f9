use netlink_packet_route::rule::RulePortRange;

use super::*;

/// A rule of IPv4 for a table.
fn rule(priority: u32, table: u32, attributes: Vec<RuleAttribute>) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.action = RuleAction::ToTable;
    message.attributes = attributes;
    message.attributes.push(RuleAttribute::Priority(priority));
    message.attributes.push(RuleAttribute::Table(table));
    message
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn from(mut message: RuleMessage, source: &str) -> RuleMessage {
    message.header.src_len = net(source).prefix_len();
    message.attributes.push(RuleAttribute::Source(net(source).addr()));
    message
}

fn to(mut message: RuleMessage, destination: &str) -> RuleMessage {
    message.header.dst_len = net(destination).prefix_len();
    message.attributes.push(RuleAttribute::Destination(net(destination).addr()));
    message
}

fn not(mut message: RuleMessage) -> RuleMessage {
    message.header.flags |= RuleFlags::Invert;
    message
}

/// The kernel's own rules, and these.
fn host(mut rules: Vec<RuleMessage>) -> Rules {
    rules.insert(0, rule(0, 255, vec![]));
    rules.push(rule(32_766, 254, vec![]));
    rules.push(rule(32_767, 253, vec![]));
    Rules::read(&rules)
}

/// The tables for a container of 10.88.0.0/16 at br0, with the prefix where there is one.
fn tables(rules: &Rules, source: &str) -> Vec<String> {
    let layers = rules.layers("br0", net(source));
    let shown = layers.iter().map(|layer| {
        let lookup = match layer.lookup {
            Lookup::Table { number, suppressed_len: None } => number.to_string(),
            Lookup::Table { number, suppressed_len: Some(len) } => format!("{number} over {len}"),
            Lookup::Unreachable => "unreachable".to_owned(),
        };
        match layer.scope {
            Scope::Within(net) if net.prefix_len() == 0 => lookup,
            Scope::Within(net) => format!("{lookup} to {net}"),
            Scope::Outside(net) => format!("{lookup} not to {net}"),
        }
    });
    shown.collect()
}

const SUBNET: &str = "10.88.0.0/16";

#[test]
fn without_rules_of_the_user_main_and_default_are_read() {
    assert_eq!(tables(&host(vec![]), SUBNET), ["254", "253"]);
    assert_eq!(tables(&Rules::default(), SUBNET), ["254", "253"]);
    assert_eq!(Rules::default().layers("br0", net("fd00::/64")).len(), 2);
}

#[test]
fn rules_apply_by_source_destination_and_device() {
    let rules = host(vec![
        from(rule(100, 1, vec![]), "10.88.0.0/16"),
        from(rule(101, 2, vec![]), "10.0.0.0/8"),
        from(rule(102, 3, vec![]), "10.89.0.0/16"),
        from(rule(103, 4, vec![]), "10.88.0.5/32"),
        to(rule(104, 5, vec![]), "198.51.100.0/24"),
        rule(105, 6, vec![RuleAttribute::Iifname("br0".into())]),
        rule(106, 7, vec![RuleAttribute::Iifname("br1".into())]),
        rule(107, 8, vec![RuleAttribute::Oifname("eth1".into())]),
    ]);
    let of_all = ["1", "2", "5 to 198.51.100.0/24", "6", "254", "253"];
    assert_eq!(tables(&rules, SUBNET), of_all);
    // One container has a rule of its own.
    assert_eq!(rules.sources_within(net(SUBNET)), [net("10.88.0.5/32")]);
    assert_eq!(tables(&rules, "10.88.0.5/32")[..3], ["1", "2", "4"]);
    assert!(rules.unread().is_empty());
    assert!(rules.names_source("10.88.0.1".parse().unwrap()));
    assert!(!rules.names_source("192.0.2.1".parse().unwrap()));
    assert_eq!(rules.tables().max(), Some(254));
}

#[test]
fn rules_follow_their_priority_not_the_list() {
    let rules = host(vec![from(rule(200, 2, vec![]), SUBNET), from(rule(100, 1, vec![]), SUBNET)]);
    assert_eq!(tables(&rules, SUBNET), ["1", "2", "254", "253"]);
}

#[test]
fn a_packet_of_a_container_has_no_mark() {
    let mark = |number| vec![RuleAttribute::FwMark(number)];
    let rules = host(vec![rule(100, 1, mark(1)), not(rule(101, 2, mark(1)))]);
    assert_eq!(tables(&rules, SUBNET), ["2", "254", "253"]);
    let masked = vec![RuleAttribute::FwMark(0x10), RuleAttribute::FwMask(0x0f)];
    assert_eq!(tables(&host(vec![rule(100, 1, masked)]), SUBNET), ["1", "254", "253"]);
}

/// `wg-quick up`: beside its own packets all take the tunnel; more precise routes of `main` stay.
#[test]
fn the_rules_of_wg_quick_lead_into_the_tunnel() {
    let suppress = vec![RuleAttribute::SuppressPrefixLen(0)];
    let rules = host(vec![
        rule(32_764, 254, suppress),
        not(rule(32_765, 51_820, vec![RuleAttribute::FwMark(51_820)])),
    ]);
    assert_eq!(tables(&rules, SUBNET), ["254 over 0", "51820", "254", "253"]);
}

#[test]
fn inverted_rules_apply_to_all_others() {
    let rules = host(vec![
        not(from(rule(100, 1, vec![]), "192.0.2.0/24")),
        not(from(rule(101, 2, vec![]), SUBNET)),
        not(to(rule(102, 3, vec![]), "198.51.100.0/24")),
    ]);
    assert_eq!(tables(&rules, SUBNET), ["1", "3 not to 198.51.100.0/24", "254", "253"]);
}

#[test]
fn a_rule_may_forbid() {
    let mut forbid = to(rule(100, 0, vec![]), "198.51.100.0/24");
    forbid.header.action = RuleAction::Prohibit;
    assert_eq!(tables(&host(vec![forbid]), SUBNET)[0], "unreachable to 198.51.100.0/24");
}

#[test]
fn rules_of_other_kinds_are_named_and_left_out() {
    let ports = RulePortRange { start: 80, end: 80 };
    let rules = host(vec![
        rule(100, 1, vec![RuleAttribute::DestinationPortRange(ports)]),
        from(rule(101, 1, vec![RuleAttribute::IpProtocol(6.into())]), SUBNET),
        // Devices of VRFs: no container's.
        rule(1000, 0, vec![RuleAttribute::L3MDev(true)]),
    ]);
    assert_eq!(tables(&rules, SUBNET), ["254", "253"]);
    assert_eq!(rules.unread(), ["100: from all dport", "101: from 10.88.0.0/16 ipproto"]);
}

/// A kernel without policy routing for a family still looks up its routes.
#[test]
fn a_family_without_rules_has_those_of_the_kernel() {
    let mut v6 = rule(100, 7, vec![]);
    v6.header.family = AddressFamily::Inet6;
    for (rules, v4_tables, v6_tables) in [
        (Rules::read(&[]), vec![254, 253], vec![254, 253]),
        (Rules::read(&[rule(100, 7, vec![])]), vec![7], vec![254, 253]),
        (Rules::read(&[v6]), vec![254, 253], vec![7]),
    ] {
        let tables = |from: &str| -> Vec<u32> {
            let layers = rules.layers("br0", net(from)).into_iter();
            let table = |layer: RuleLayer| match layer.lookup {
                Lookup::Table { number, .. } => number,
                Lookup::Unreachable => 0,
            };
            layers.map(table).collect()
        };
        assert_eq!(tables("10.99.0.0/16"), v4_tables);
        assert_eq!(tables("fd00:99::/64"), v6_tables);
    }
}
