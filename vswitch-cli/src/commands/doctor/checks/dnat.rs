//! Ports that rules of other programs translate, read from what `nft list ruleset` and `iptables-save` print.
//!
//! A rule may have its ports itself, by a map (`dnat to tcp dport map { 8080 : 10.0.0.2 }`), or by a verdict map or a jump
//! that leads to a chain that translates, as those of kube-proxy and netavark. Maps have their elements in the rule, or by
//! name elsewhere in the table. Verdicts for single addresses are left out: they are of services, not of the host.

mod ruleset;

use std::ops::RangeInclusive;

use ruleset::Table;

/// Tables of a switch.
const OURS: &str = "vswitch-";

/// Destination ports of rules that translate the destination.
pub(super) fn ports(rules: &str) -> Vec<RangeInclusive<u16>> {
    let of_iptables = rules.lines().filter(|line| line.starts_with("-A ") && is_dnat(line));
    let of_iptables = of_iptables.flat_map(dports).collect::<Vec<_>>();
    let tables = ruleset::tables(rules);
    let others = tables.iter().filter(|table| !table.name.starts_with(OURS));
    others.flat_map(of_table).chain(of_iptables).collect()
}

fn is_dnat(rule: &str) -> bool {
    let is_it = |word: &str| matches!(word, "dnat" | "DNAT" | "redirect" | "REDIRECT");
    rule.split_whitespace().any(is_it)
}

fn of_table(table: &Table<'_>) -> Vec<RangeInclusive<u16>> {
    let translating = translating(table);
    let leads_there = |text: &str| targets(text).any(|chain| translating.contains(&chain));
    let mut found = Vec::new();
    for rule in table.chains.iter().flat_map(|(_, rules)| rules) {
        let (before, elements) = table.map_of(rule);
        let has_port = before.contains("dport");
        if is_dnat(rule) {
            match elements {
                Some(elements) if has_port => found.extend(keys(elements).filter_map(port)),
                _ => found.extend(dports(rule)),
            }
        } else if let Some(elements) = elements.filter(|_| has_port) {
            let there = elements.split(',').filter(|element| leads_there(element));
            let anywhere = there.flat_map(keys).filter(|key| !has_address(key));
            found.extend(anywhere.filter_map(port));
        } else if leads_there(rule) {
            found.extend(dports(rule));
        }
    }
    found
}

/// Chains that translate, and those that lead to them.
fn translating<'a>(table: &'a Table<'_>) -> Vec<&'a str> {
    let mut known: Vec<&str> = Vec::new();
    loop {
        let before = known.len();
        for (name, rules) in &table.chains {
            let translates = |rule: &String| {
                let elements = table.map_of(rule).1.unwrap_or_default();
                let mut all = targets(rule).chain(targets(elements));
                is_dnat(rule) || all.any(|chain| known.contains(&chain))
            };
            if !known.contains(name) && rules.iter().any(translates) {
                known.push(name);
            }
        }
        if known.len() == before {
            return known;
        }
    }
}

/// Chains that a rule or an element leads to.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split_whitespace();
    let next = words.clone().skip(1);
    let leads = words.zip(next).filter(|(word, _)| matches!(*word, "jump" | "goto"));
    leads.map(|(_, chain)| chain.trim_end_matches(','))
}

/// The keys of elements `KEY : VALUE, ...`.
fn keys(elements: &str) -> impl Iterator<Item = &str> {
    elements.split(',').filter_map(|element| Some(element.split_once(" : ")?.0.trim()))
}

/// The port of a key, which is its last number: `8080`, `tcp . 8080`, `192.0.2.1 . tcp . 8080-8090`.
fn port(key: &str) -> Option<RangeInclusive<u16>> {
    key.split(" . ").filter_map(|part| range(part.trim())).last()
}

fn has_address(key: &str) -> bool {
    key.split(" . ").any(|part| part.matches('.').count() == 3 || part.matches(':').count() > 1)
}

/// The values of `dport X`, `dport { X, Y-Z }`, `--dport X:Y` and `--dports X,Y`.
fn dports(rule: &str) -> Vec<RangeInclusive<u16>> {
    let words: Vec<&str> = rule.split_whitespace().collect();
    let is_dport = |word: &&str| matches!(*word, "dport" | "--dport" | "--dports");
    let Some(at) = words.iter().position(is_dport) else { return Vec::new() };
    let mut values = words[at + 1..].iter().peekable();
    let mut text = String::new();
    if values.peek() == Some(&&"{") {
        values.take_while(|word| **word != "}").for_each(|word| text.push_str(word));
    } else if let Some(value) = values.next() {
        text.push_str(value);
    }
    text.trim_start_matches('{').split(',').filter_map(range).collect()
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once(['-', ':']).unwrap_or((text, text));
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rules: &str) -> Vec<u16> {
        ports(rules).iter().map(|range| *range.start()).collect()
    }

    #[test]
    fn rules_of_nft_and_iptables_are_read() {
        let rules = "\
table ip nat {
    chain PREROUTING {
        tcp dport 27017 dnat to 10.0.0.2:27017
        udp dport { 25000-25010, 53 } counter packets 0 bytes 0 dnat to 10.0.0.2
        tcp dport 8080 accept
        tcp dport 20001 redirect to :80
    }
}
table ip vswitch-br0 {
    chain output {
        tcp dport 20002 dnat to 10.88.0.5:80
    }
}
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 20003 -j DNAT --to-destination 172.17.0.2:80
";
        assert_eq!(
            ports(rules),
            [27_017..=27_017, 25_000..=25_010, 53..=53, 20_001..=20_001, 20_003..=20_003]
        );
    }

    #[test]
    fn maps_are_read_in_the_rule_and_by_name() {
        let rules = "\
table inet nat {
\tmap ports {
\t\ttype inet_service : ipv4_addr . inet_service
\t\telements = { 20010 : 10.0.0.2 . 80, 20011 : 10.0.0.3 . 80,
\t\t\t     20012 : 10.0.0.4 . 80 }
\t}
\tmap unused {
\t\ttype inet_service : ipv4_addr
\t\telements = { 20099 : 10.0.0.2 }
\t}
\tchain prerouting {
\t\ttype nat hook prerouting priority dstnat; policy accept;
\t\tdnat ip to tcp dport map { 20020 : 10.0.0.2, 20021-20022 : 10.0.0.3 }
\t\tdnat ip to ip daddr . tcp dport map { 192.0.2.1 . 20023 : 10.0.0.2 . 80 }
\t\tdnat ip to tcp dport map @ports
\t\ttcp dport vmap { 20030 : accept, 20031 : drop }
\t}
}
";
        assert_eq!(found(rules), [20_020, 20_021, 20_023, 20_010, 20_011, 20_012]);
    }

    /// As `nft list ruleset` prints them.
    #[test]
    fn kube_proxy_and_netavark_are_read() {
        let rules = "\
table ip kube-proxy {
\tmap service-nodeports {
\t\ttype inet_proto . inet_service : verdict
\t\tcomment \"NodePort traffic\"
\t\telements = { tcp . 20080 : goto external-A2/default/web/tcp/p80 }
\t}
\tmap service-ips {
\t\ttype ipv4_addr . inet_proto . inet_service : verdict
\t\telements = { 10.96.0.1 . tcp . 20443 : goto service-B3/default/api/tcp/https }
\t}
\tchain services {
\t\tip daddr . meta l4proto . th dport vmap @service-ips
\t\tip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
\t}
\tchain external-A2/default/web/tcp/p80 {
\t\tgoto service-A2/default/web/tcp/p80
\t}
\tchain service-A2/default/web/tcp/p80 {
\t\tnumgen random mod 1 vmap { 0 : goto endpoint-A2/default/web/tcp/p80__10.1.0.3/80 }
\t}
\tchain endpoint-A2/default/web/tcp/p80__10.1.0.3/80 {
\t\tmeta l4proto tcp dnat to 10.1.0.3:80
\t}
\tchain service-B3/default/api/tcp/https {
\t\tmeta l4proto tcp dnat to 10.1.0.4:443
\t}
}
table inet netavark {
\tchain NETAVARK-HOSTPORT-DNAT {
\t\ttcp dport 20500 jump nv_2f259bab_10_88_0_0_nm16_dnat
\t\ttcp dport 20501 jump nv_other
\t}
\tchain nv_2f259bab_10_88_0_0_nm16_dnat {
\t\tdnat ip to 10.88.0.2:80
\t}
\tchain nv_other {
\t\taccept
\t}
}
";
        assert_eq!(found(rules), [20_080, 20_500]);
    }
}
