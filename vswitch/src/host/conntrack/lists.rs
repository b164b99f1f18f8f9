//! The parts of the kernel's table that are asked for after a change of publications: it may have hundreds of thousands of
//! entries, most of them of others.

use std::collections::BTreeSet;

use super::ctnetlink::Filter;
use crate::host::nft::{Forward, protocol_number};

/// Lists that are asked for one by one, each for a walk of the kernel through its table; more are put together.
pub(super) const LISTS_MAX: usize = 4;

/// The lists that have all entries of forwards that have gone, and from before those that have come.
pub(super) fn lists(gone: &[Forward], fresh: &[Forward]) -> BTreeSet<Filter> {
    let single = || filters(gone, true).chain(filters(fresh, false));
    let mut lists: BTreeSet<Filter> = single().take(1 + LISTS_MAX).collect();
    if single().nth(LISTS_MAX).is_some() {
        lists = single().map(|filter| Filter { to_port: None, ..filter }).collect();
    }
    // Both kinds of entries of one port or protocol by one walk.
    let other = |it: &Filter| Filter { has_dnat: it.has_dnat.map(|has| !has), ..*it };
    let is_double = |it: &Filter| lists.contains(&other(it));
    lists
        .iter()
        .map(|it| if is_double(it) { Filter { has_dnat: None, ..*it } } else { *it })
        .collect()
}

/// For each family that a forward has a target of.
fn filters(forwards: &[Forward], has_dnat: bool) -> impl Iterator<Item = Filter> {
    forwards.iter().flat_map(move |forward| {
        let published = &forward.published;
        let families = [(true, forward.to4.is_some()), (false, forward.to6.is_some())];
        let is_asked = |is_v4| published.address.is_none_or(|address| address.is_ipv4() == is_v4);
        let filter = move |is_v4| Filter {
            is_v4,
            protocol: Some(protocol_number(published.protocol)),
            to_port: (published.ports.len() == 1).then_some(*published.ports.start()),
            has_dnat: Some(has_dnat),
        };
        families
            .into_iter()
            .filter(move |(is_v4, has)| *has && is_asked(*is_v4))
            .map(move |it| filter(it.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::nft::{Protocol, Published};

    fn forward(ports: std::ops::RangeInclusive<u16>) -> Forward {
        Forward {
            published: Published { address: None, protocol: Protocol::Udp, ports },
            to4: Some([10, 88, 0, 5].into()),
            to6: Some("fd00::5".parse().unwrap()),
            to_port: 125,
            allow_from: Vec::new(),
        }
    }

    fn filter(is_v4: bool, to_port: Option<u16>, has_dnat: Option<bool>) -> Filter {
        Filter { is_v4, protocol: Some(17), to_port, has_dnat }
    }

    #[test]
    fn a_change_asks_for_entries_of_its_ports_and_kind_only() {
        let one = [forward(8125..=8125)];
        let both =
            |port, has_dnat| BTreeSet::from([true, false].map(|v4| filter(v4, port, has_dnat)));
        assert_eq!(lists(&one, &[]), both(Some(8125), Some(true)));
        assert_eq!(lists(&[], &one), both(Some(8125), Some(false)));
        let other = [Forward { to_port: 126, ..one[0].clone() }];
        assert_eq!(lists(&one, &other), both(Some(8125), None), "both kinds in one walk");
        assert_eq!(lists(&[forward(1..=9)], &[]), both(None, Some(true)));
        let many: Vec<_> = (1..=1_000).map(|port| forward(port..=port)).collect();
        assert_eq!(lists(&many, &[]), both(None, Some(true)));
        let ipv4 = Forward { to6: None, ..one[0].clone() };
        assert_eq!(lists(&[ipv4], &[]), [filter(true, Some(8125), Some(true))].into());
        assert!(lists(&[], &[]).is_empty());
    }
}
