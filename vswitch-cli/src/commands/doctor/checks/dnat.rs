//! Ports that rules of other programs translate, read from what `nft list ruleset` and `iptables-save` print.

use std::ops::RangeInclusive;

/// Tables of a switch.
const OURS: &str = "vswitch-";

/// Destination ports of rules that translate the destination. Sets and maps are not looked into.
pub(super) fn ports(rules: &str) -> impl Iterator<Item = RangeInclusive<u16>> {
    let mut is_ours = false;
    rules.lines().flat_map(move |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["table", _, name, ..] = words[..] {
            is_ours = name.starts_with(OURS);
        }
        is_ours &= line != "}";
        let is_dnat =
            words.iter().any(|word| matches!(*word, "dnat" | "DNAT" | "redirect" | "REDIRECT"));
        if is_ours || !is_dnat { Vec::new() } else { dports(&words) }
    })
}

/// The values of `dport X`, `dport { X, Y-Z }`, `--dport X:Y` and `--dports X,Y`.
fn dports(words: &[&str]) -> Vec<RangeInclusive<u16>> {
    let is_dport = |word: &&str| matches!(*word, "dport" | "--dport" | "--dports");
    let Some(at) = words.iter().position(|word| is_dport(&word)) else { return Vec::new() };
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
        let found: Vec<_> = ports(rules).collect();
        assert_eq!(
            found,
            [27_017..=27_017, 25_000..=25_010, 53..=53, 20_001..=20_001, 20_003..=20_003]
        );
    }
}
